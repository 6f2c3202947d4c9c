/**
 * The records of the cluster's servers in the store, one key each: who is to be a member, where it is found, and
 * which role it holds. They are the will; the membership of Raft follows them (see role-keeper.ts).
 */
import { Mk8sError } from '../../base/errors.ts'
import { type KeyValue, prefixEnd } from '../store/store.ts'

export type MemberRole = 'voter' | 'standby' | 'spare'

export interface MemberAddress {
  readonly host: string
  readonly port: number
}

export interface MemberRecord {
  /** Below 2^48, never reused. */
  readonly id: number
  /** Also the name of its Node. */
  readonly nodeName: string
  /** Of its Raft listener; tried in turn. */
  readonly peerAddresses: readonly MemberAddress[]
  /** Of its API server. */
  readonly apiAddress: MemberAddress
  /** Of its join listener. */
  readonly joinAddress: MemberAddress
  /** Empty: fails by itself. */
  readonly failureDomain: string
  readonly role: MemberRole
  /** Newest format of log entries that its version of mk8s understands. */
  readonly entryVersion: number
  /** RFC 3339. */
  readonly joinedAt: string
  /** It is on its way out: it holds no role any more and is removed once it votes no longer. */
  readonly leaving: boolean
  /** It was stopped in order and comes back: somebody else has its role meanwhile. Cleared at its start. */
  readonly stopped?: true
}

export const MEMBERS_PREFIX = '/mk8s/members/'
export const MEMBERS_RANGE = { start: MEMBERS_PREFIX, end: prefixEnd(MEMBERS_PREFIX) }

/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export const memberName = (id: number): string => id.toString(16)

export const memberKey = (id: number): string => `${MEMBERS_PREFIX}${memberName(id)}`

export function encodeMember(record: MemberRecord): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(record))])
}

export function decodeMember({ key, value }: Pick<KeyValue, 'key' | 'value'>): MemberRecord {
  if (value[0] !== FORMAT_PLAIN)
    throw new Mk8sError('store/version', `the record ${key} has the unknown format ${value[0]}`)
  return JSON.parse(value.toString('utf8', 1)) as MemberRecord
}
