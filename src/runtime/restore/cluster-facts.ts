/** Who the servers of the cluster are that a restore replaces the state of, and how far each has come. */
import { Mk8sError } from '../../base/errors.ts'
import { readKnownMembers } from '../../config/known-members.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import { MEMBER_PATH, type MemberAnswer } from '../members/member-answer.ts'
import { decodeMember, MEMBERS_RANGE, type MemberRecord } from '../members/member-record.ts'
import type { PresentOutcome } from './present-state.ts'
import type { ServerCalls } from './server-calls.ts'

export interface ClusterFacts {
  /** Beside the server that restores. */
  readonly others: readonly MemberRecord[]
  /** Of these: who did not answer. */
  readonly silent: readonly MemberRecord[]
  readonly voters: readonly number[]
  /** The latest that each server knows of. */
  readonly revisions: readonly number[]
}

const ASK_MS_MAX = 3_000

export async function collectClusterFacts(
  config: NodeConfig,
  calls: ServerCalls,
  { present, problem }: PresentOutcome,
): Promise<ClusterFacts> {
  const own = await ask(calls, { host: config.bindAddress, port: config.ports.join })
  const stored = present === null ? [] : [...present.state.range(MEMBERS_RANGE.start, MEMBERS_RANGE.end)]
  const records = own?.records ?? stored.map(decodeMember)
  if (own === null && problem !== '') refuseUnknownServers(config, problem)
  const others = records.filter(({ id }) => id !== config.memberId)
  const answers = await Promise.all(
    others.map(async record => ({ record, answer: await ask(calls, record.joinAddress) })),
  )
  const voting = records.filter(({ role }) => role === 'voter').map(({ id }) => id)
  const { voters = voting, outgoing = [] } = own?.configuration ?? {}
  return {
    others,
    silent: answers
      .filter(({ record, answer }) => answer === null || answer.id !== record.id)
      .map(({ record }) => record),
    voters: [...new Set([...voters, ...outgoing])],
    revisions: [own, ...answers.map(({ answer }) => answer)]
      .flatMap(answer => answer?.revision ?? [])
      .concat(present?.state.facts.revision ?? []),
  }
}

async function ask(
  calls: ServerCalls,
  address: { readonly host: string; readonly port: number },
): Promise<MemberAnswer | null> {
  return calls.get(address, MEMBER_PATH, ASK_MS_MAX).then(
    answer => answer as MemberAnswer,
    () => null,
  )
}

/** With a datastore that cannot be read, it is not known where the others are, who would not be told. */
function refuseUnknownServers({ dataDir, nodeName }: NodeConfig, problem: string): void {
  const others = readKnownMembers(dataDir).filter(name => name !== nodeName)
  if (others.length === 0) return
  throw new Mk8sError(
    'refused',
    `the datastore of ${nodeName} cannot be read, and it is one of several servers`,
    {
      why: `${problem}; the others are ${others.join(', ')}`,
      hint: 'restore on one of those; then, or without restoring: mk8s reset here, and join again',
    },
  )
}

/** Whether everybody is there who has to take part. */
export function refuseSilent({ others, silent }: ClusterFacts, othersAreOff: boolean): void {
  const leaving = others.filter(({ leaving }) => leaving).map(({ nodeName }) => nodeName)
  if (leaving.length > 0)
    throw new Mk8sError('refused', `${leaving.join(', ')} is just leaving the cluster`, {
      hint: 'wait until mk8s status does not show it any more',
    })
  if (silent.length === 0 || othersAreOff) return
  const names = silent.map(({ nodeName }) => nodeName).join(', ')
  throw new Mk8sError('refused', `not all servers of the cluster can be reached: ${names}`, {
    why: 'a server that is not told would go on with the old state',
    hint: `start it; or take it out: mk8s remove-node ${silent[0]?.nodeName} --force; or, when it is off for good: --others-are-off`,
  })
}
