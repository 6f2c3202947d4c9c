/**
 * What a server knows of the cluster's servers: what it says of itself when another one asks, and what it makes of
 * the answers of all of them.
 */
import type { Clock } from '../../base/clock.ts'
import type { DatastoreStatus } from '../../client/node-status.ts'
import type { RaftStore } from '../store/raft-store.ts'
import { judgeCluster } from './judge-cluster.ts'
import { leaderAmong, type MemberAnswer, memberAnswer } from './member-answer.ts'
import type { MemberClient } from './member-client.ts'
import type { MemberRecord } from './member-record.ts'
import { readMembers } from './member-table.ts'

/** The longest that anybody waits for the answers of the others. */
export const ASK_MS_MAX = 1_000

export interface MemberStatusParts {
  readonly store: Pick<RaftStore, 'status' | 'range'>
  /** What this server says of itself before it has a record. */
  readonly own: Omit<MemberRecord, 'role' | 'joinedAt' | 'leaving'>
  /** Of mk8s. */
  readonly version: string
  readonly client: Pick<MemberClient, 'ask'>
  /** Of the role keeper, when this server leads. */
  readonly settled: () => boolean | null
  readonly clock: Clock
}

export interface MemberStatus {
  /** The answer to `GET /v1/member`. */
  self(): MemberAnswer
  /** What is known without asking anybody. */
  brief(): DatastoreStatus
  /** Asks all others; takes as long as the slowest, and never longer than a second. */
  collect(signal?: AbortSignal): Promise<DatastoreStatus>
  /** The answers of the others that came in time. */
  ask(signal?: AbortSignal): Promise<readonly MemberAnswer[]>
  /** Whether a server that has a leader and knows more than this one says that this one is not in the cluster. */
  isForgotten(records: readonly MemberRecord[], signal: AbortSignal): Promise<boolean>
  /** Whether one of them was made a new cluster, with a leader, that this server is not in: `mk8s recover` does that. */
  isCutOff(records: readonly MemberRecord[], signal: AbortSignal): Promise<boolean>
  /** Whether the leader says that every server holds its role; false while there is none. */
  rolesSettled(signal?: AbortSignal): Promise<boolean>
}

export function createMemberStatus(parts: MemberStatusParts): MemberStatus {
  const { store, own, client, clock } = parts
  const recordsNow = () => readMembers(store).map(({ record }) => record)
  const self = () =>
    memberAnswer({
      status: store.status(),
      records: recordsNow(),
      nodeName: own.nodeName,
      version: parts.version,
      nowMs: clock.now(),
      settled: parts.settled(),
    })
  const askAll = async (records: readonly MemberRecord[], signal?: AbortSignal) => {
    const others = records.filter(({ id }) => id !== own.id)
    const limit = AbortSignal.timeout(ASK_MS_MAX)
    const ends = signal === undefined ? limit : AbortSignal.any([signal, limit])
    const answers = await Promise.allSettled(others.map(record => client.ask(record, ends)))
    return answers.flatMap(answer => (answer.status === 'fulfilled' ? [answer.value] : []))
  }
  // A server that was made a new cluster by a recovery says nothing about this one.
  const askOwn = async (signal?: AbortSignal) => {
    const { clusterId } = store.status()
    return (await askAll(recordsNow(), signal)).filter(answer => answer.clusterId === clusterId)
  }
  const judge = (answers: readonly MemberAnswer[], asked: boolean) =>
    judgeCluster({ self: withOwnRecord(self(), own, clock), answers, asked })
  return {
    self,
    brief: () => judge([], false),
    collect: async signal => judge(await askOwn(signal), true),
    ask: askOwn,
    async isForgotten(records, signal) {
      const here = store.status()
      const answers = await askAll(records, signal)
      return answers.some(
        ({ clusterId, leader, applied, records: theirs, configuration }) =>
          leader !== 0 &&
          // After a recovery the cluster has another id, and its log may have begun behind what is known here.
          (clusterId !== here.clusterId || applied >= here.applied) &&
          isWithout(own.id, theirs, configuration.voters),
      )
    },
    async isCutOff(records, signal) {
      const here = store.status()
      const answers = await askAll(records, signal)
      return answers.some(
        ({ clusterId, leader, records: theirs, configuration }) =>
          clusterId !== here.clusterId && leader !== 0 && isWithout(own.id, theirs, configuration.voters),
      )
    },
    async rolesSettled(signal) {
      const here = self()
      const leading = leaderAmong([here, ...(here.leader === own.id ? [] : await askOwn(signal))])
      return leading?.settled === true
    },
  }
}

/** No record is left, or one that is only there until the rest of the server is cleared away. */
function isWithout(id: number, records: readonly MemberRecord[], voters: readonly number[]): boolean {
  return !voters.includes(id) && !records.some(record => record.id === id)
}

/** A cluster that begins shows its first server before there is a record of it. */
function withOwnRecord(answer: MemberAnswer, own: MemberStatusParts['own'], clock: Clock): MemberAnswer {
  const { records, configuration } = answer
  if (records.length > 0) return answer
  const role = configuration.voters.includes(own.id) ? 'voter' : 'standby'
  const joinedAt = new Date(clock.now()).toISOString()
  return { ...answer, records: [{ ...own, role, joinedAt, leaving: false }] }
}
