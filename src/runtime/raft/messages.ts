/** Every message between members, as one union. `term` is the sender's, except in a pre-vote: the one it wants. */
import type { Entry } from './entry.ts'

/** Identifies a member; below 2^53, never reused, 0 means nobody. */
export type MemberId = number

interface Envelope {
  readonly from: MemberId
  readonly to: MemberId
  readonly term: number
}

/** A place in the log that a snapshot replaces everything up to. */
export interface SnapshotPlace {
  readonly index: number
  readonly term: number
  readonly configuration: Configuration
}

/** A snapshot of one member; two of the same place may differ in their bytes, so each has an id of its own. */
export interface Snapshot extends SnapshotPlace {
  readonly id: number
}

export interface SnapshotChunk {
  readonly snapshot: Snapshot
  readonly offset: number
  readonly data: Buffer
  readonly last: boolean
}

export type MessageBody =
  | { readonly type: 'pre-vote'; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly type: 'pre-vote-reply'; readonly granted: boolean }
  /** `transfer`: the leader itself asked for this election. */
  | {
      readonly type: 'vote'
      readonly lastIndex: number
      readonly lastTerm: number
      readonly transfer: boolean
    }
  | { readonly type: 'vote-reply'; readonly granted: boolean }
  | {
      readonly type: 'append'
      readonly previousIndex: number
      readonly previousTerm: number
      readonly entries: readonly Entry[]
      readonly commit: number
      /** Echoed when it is refused, so that a late answer is told from one that counts. */
      readonly attempt: number
    }
  /** The log matches up to `index`. */
  | { readonly type: 'append-reply'; readonly index: number; readonly rejected: false }
  /** The log has no entry of the leader's at `previousIndex`; it may match up to `index`, of term `indexTerm`. */
  | {
      readonly type: 'append-reply'
      readonly index: number
      readonly rejected: true
      readonly indexTerm: number
      readonly previousIndex: number
      readonly attempt: number
    }
  /** `electionTicks`: how long the leader wants to be missed before anybody stands for election. */
  | {
      readonly type: 'heartbeat'
      readonly commit: number
      readonly read: number
      readonly electionTicks: number
      /** Counts the heartbeats of a term; echoed, so that round trips can be measured. */
      readonly sequence: number
    }
  | { readonly type: 'heartbeat-reply'; readonly read: number; readonly sequence: number }
  | { readonly type: 'read-index'; readonly context: number }
  | { readonly type: 'read-index-reply'; readonly context: number; readonly index: number }
  /** It does not lead, or not any more: the read has to be asked again. */
  | { readonly type: 'read-index-refusal'; readonly context: number }
  | { readonly type: 'snapshot'; readonly chunk: SnapshotChunk }
  /** `next` is the offset that is wanted next of snapshot `id`. */
  | { readonly type: 'snapshot-reply'; readonly id: number; readonly next: number }
  /** The leader hands over: stand for election at once. */
  | { readonly type: 'timeout-now' }

export type Message = Envelope & MessageBody

/** Only the leader of a term sends these. */
export function isFromLeader({ type }: Message): boolean {
  return type === 'append' || type === 'heartbeat' || type === 'snapshot' || type === 'timeout-now'
}

/** The membership of the cluster; `outgoing` is empty except in the middle of a change. */
export interface Configuration {
  readonly voters: readonly MemberId[]
  readonly outgoing: readonly MemberId[]
  readonly learners: readonly MemberId[]
}
