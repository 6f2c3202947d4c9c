/** What a new generation of the cluster begins with, given the state of the member that survived. Pure. */
import { Mk8sError } from '../../base/errors.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import { TOKENS_RANGE } from '../join/tokens.ts'
import { encodeMember, type MemberRecord, memberKey } from '../members/member-record.ts'
import { readMembers } from '../members/member-table.ts'
import { ENTRY_FORMAT_VERSION } from '../raft/entry.ts'
import type { ReadableState, StoreFound } from '../store/recover-store.ts'
import type { Operation } from '../store/store.ts'

/** What was found, and what becomes of it: shown before anything is done. */
export interface RecoveryPlan {
  readonly nodeName: string
  readonly memberId: string
  readonly oldClusterId: string
  readonly newClusterId: string
  readonly lastTerm: number
  readonly lastIndex: number
  readonly commit: number
  /** Entries that are kept although nobody here knows whether they were committed. */
  readonly uncertain: number
  readonly revision: number
  readonly keys: number
  /** Who is cut off. */
  readonly others: readonly MemberRecord[]
  readonly joinTokens: number
}

export function planRecovery(
  config: NodeConfig,
  newClusterId: string,
  state: ReadableState,
  found: StoreFound,
): RecoveryPlan {
  return {
    nodeName: config.nodeName,
    memberId: found.member.toString(16),
    oldClusterId: found.clusterId,
    newClusterId,
    lastTerm: found.lastTerm,
    lastIndex: found.lastIndex,
    commit: found.commit,
    uncertain: found.lastIndex - found.commit,
    revision: found.revision,
    keys: found.keys,
    others: recordsOf(state).filter(({ id }) => id !== found.member),
    joinTokens: state.range(TOKENS_RANGE).entries.length,
  }
}

/** This member alone, as voter; no tokens that would let in who was cut off. */
export function firstOperations(
  config: NodeConfig,
  now: Date,
  state: ReadableState,
  found: StoreFound,
): readonly Operation[] {
  if (found.member !== config.memberId) {
    throw new Mk8sError('store/corrupt', 'the datastore belongs to another member', {
      why: `it is of member ${found.member.toString(16)}, this node is ${config.memberId.toString(16)}`,
    })
  }
  const records = recordsOf(state)
  const own = records.find(({ id }) => id === found.member)
  // A cluster from before there were records has none at all; one of several servers has all of them.
  if (own === undefined && records.length > 0) throw notAMember(config)
  const gone = records.filter(({ id }) => id !== found.member)
  const tokens = state.range(TOKENS_RANGE).entries
  return [
    { type: 'put', key: memberKey(found.member), value: encodeMember(ownRecord(config, now, own)) },
    ...gone.map(({ id }) => ({ type: 'delete', key: memberKey(id) }) as const),
    ...tokens.map(({ key }) => ({ type: 'delete', key }) as const),
  ]
}

const recordsOf = (state: ReadableState): readonly MemberRecord[] =>
  readMembers(state).map(({ record }) => record)

export function ownRecord(config: NodeConfig, now: Date, known: MemberRecord | undefined): MemberRecord {
  const { memberId, nodeName, bindAddress: host, ports, failureDomain } = config
  return {
    id: memberId,
    nodeName,
    peerAddresses: [{ host, port: ports.raft }],
    apiAddress: { host, port: ports.api },
    joinAddress: { host, port: ports.join },
    failureDomain,
    role: 'voter',
    entryVersion: known?.entryVersion ?? ENTRY_FORMAT_VERSION,
    joinedAt: known?.joinedAt ?? now.toISOString(),
    leaving: false,
  }
}

const notAMember = ({ nodeName }: NodeConfig): Mk8sError =>
  new Mk8sError('refused', `${nodeName} is no member of the cluster whose data it holds`, {
    why: 'it was removed, or never finished joining; its data may be old',
    hint: 'recover on a server that was a member until the end',
  })
