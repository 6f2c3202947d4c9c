/** What a member says of itself to another one, with or without a leader: the answer to `GET /v1/member`, as JSON. */
import type { Configuration } from '../raft/messages.ts'
import type { MemberProgress, StoreStatus } from '../store/raft-store.ts'
import type { MemberRecord } from './member-record.ts'

export const MEMBER_PATH = '/v1/member'

export interface MemberAnswer {
  readonly id: number
  readonly nodeName: string
  /** Of mk8s. */
  readonly version: string
  readonly clusterId: string
  /** Its clock, milliseconds since the epoch. */
  readonly timeMs: number
  readonly term: number
  /** Member that it follows, itself when it leads; 0 for none. */
  readonly leader: number
  readonly lastIndex: number
  readonly commit: number
  readonly applied: number
  readonly revision: number
  /** The membership as its log has it. */
  readonly configuration: Configuration
  /** The servers as its store has them. */
  readonly records: readonly MemberRecord[]
  /** What it knows of the others; empty unless it leads. */
  readonly progress: readonly MemberProgress[]
  /** Every server holds its role; null unless it leads. */
  readonly settled: boolean | null
}

export interface AnswerFacts {
  readonly status: StoreStatus
  readonly records: readonly MemberRecord[]
  readonly nodeName: string
  readonly version: string
  readonly nowMs: number
  readonly settled: boolean | null
}

export function memberAnswer(facts: AnswerFacts): MemberAnswer {
  const { status, records, nodeName, version, nowMs, settled } = facts
  return {
    id: status.memberId,
    nodeName,
    version,
    clusterId: status.clusterId,
    timeMs: nowMs,
    term: status.term,
    leader: status.leaderMemberId,
    lastIndex: status.lastIndex,
    commit: status.commit,
    applied: status.applied,
    revision: status.revision,
    configuration: status.membership,
    records,
    progress: status.progress,
    settled: status.leader ? settled : null,
  }
}

/** Whoever leads the latest term, if it is among them. */
export function leaderAmong(answers: readonly MemberAnswer[]): MemberAnswer | undefined {
  const leaders = answers.filter(({ id, leader }) => id === leader)
  return leaders.toSorted((a, b) => b.term - a.term)[0]
}
