/** What the main thread, the raft thread and the store thread say to each other: batches of plain data. */

import type { MessagePort } from 'node:worker_threads'
import type { ErrorCode } from '../../base/errors.ts'
import type { LogLine } from '../../base/thread-log.ts'
import type { Membership } from '../raft/membership.ts'
import type { Configuration, MemberId, Snapshot } from '../raft/messages.ts'
import type { ChangeOutcome } from '../raft/ready.ts'
import type { LogCheck } from './check.ts'
import type { FlushHistogram } from './log/flush-times.ts'
import type { LeaseOutcome, PeerAddress, PeerCredentials } from './peers/peer-network.ts'
import type { MemberProgress, StoreTiming } from './raft-store.ts'
import type { Rows } from './row-columns.ts'

export interface MemberIdentity {
  readonly member: number
  /** A UUID. */
  readonly cluster: string
}

/** A failure on its way to another thread. */
export interface ThreadFailure {
  readonly code: ErrorCode
  readonly message: string
  readonly why: string
  readonly hint: string
}

interface Failed {
  readonly type: 'failed'
  readonly failure: ThreadFailure
}

// ── main ⇄ raft ──────────────────────────────────────────────────────────────────────────────────────

export type ToRaft =
  | {
      readonly type: 'open'
      readonly directory: string
      /** The last entry that SQLite holds; 0 for none. */
      readonly applied: number
      /** For a log that has yet to be created; an existing one must carry the same. */
      readonly identity: MemberIdentity
      /** Index of a snapshot that was received whole but is not the state yet; 0 for none. */
      readonly received: number
      readonly joins: boolean
      readonly peers: ThreadPeers | null
      /** To the store thread, for snapshots. */
      readonly snapshots: MessagePort
    }
  | RaftRequests
  | { readonly type: 'drop'; readonly index: number }
  /** So many bytes of committed entries are applied, and there is room for as many more. */
  | { readonly type: 'taken'; readonly bytes: number }
  | { readonly type: 'cluster-version'; readonly version: number }
  /** The received snapshot has become the state. */
  | { readonly type: 'installed' }
  | { readonly type: 'peers'; readonly table: readonly PeerEntry[] }
  /** For new links from now on. Secret. */
  | { readonly type: 'credentials'; readonly credentials: PeerCredentials }
  | { readonly type: 'change'; readonly question: number; readonly target: Membership }
  | { readonly type: 'transfer'; readonly question: number; readonly target: MemberId | null }
  | {
      readonly type: 'keep-lease'
      readonly question: number
      readonly lease: number
      /** Else only what is left of its time is asked. */
      readonly renew: boolean
    }
  /** What came of another member's question. */
  | {
      readonly type: 'lease-kept'
      readonly to: MemberId
      readonly question: number
      readonly outcome: LeaseOutcome
    }
  | { readonly type: 'close' }

/** How this member speaks to the others. The credentials are secret. */
export interface ThreadPeers {
  readonly credentials: PeerCredentials
  readonly listen: PeerAddress
  readonly table: readonly PeerEntry[]
}

export interface PeerEntry {
  readonly member: MemberId
  /** The URI that its certificate must carry. */
  readonly identity: string
  readonly addresses: readonly PeerAddress[]
}

/** Everything one turn of the main thread asks for. */
export interface RaftRequests {
  readonly type: 'requests'
  /** Encoded entries, one behind the other. */
  readonly entries: ArrayBuffer
  /** Requests that may happen in one term only. */
  readonly fences: readonly Fence[]
  readonly reads: readonly number[]
}

export interface Fence {
  readonly request: number
  readonly term: number
}

export interface RaftThreadStatus {
  readonly leader: boolean
  readonly leaderMember: number
  readonly term: number
  readonly commit: number
  readonly lastIndex: number
  readonly logBytes: number
  /** Full log segments that wait for a checkpoint. */
  readonly fullSegments: number
  /** Proposals of this member find a leader that takes them. */
  readonly accepts: boolean
}

/** What is told only when it is news, or now and then. */
export interface RaftThreadDetails {
  readonly configuration: Configuration
  /** Changes when another member is heard of first, gets nearly all of the log, or falls behind. */
  readonly standing: number
  readonly progress: readonly MemberProgress[]
  readonly timing: StoreTiming
  readonly flushes: FlushHistogram
}

export type FromRaft =
  | {
      readonly type: 'opened'
      readonly details: RaftThreadDetails
      /** The log begins behind the received snapshot: it has to become the state before anything is applied. */
      readonly mustInstall: boolean
      readonly received: number
    }
  | {
      readonly type: 'progress'
      /** Committed entries, one behind the other; own ones, the first time they come, are headers without payload. */
      readonly committed: ArrayBuffer | null
      readonly reads: readonly { readonly context: number; readonly index: number }[]
      readonly refused: readonly RefusedRequest[]
      /** Both null when there is no news: what changes all the time is told now and then. */
      readonly status: RaftThreadStatus | null
      readonly details: RaftThreadDetails | null
    }
  /** A received snapshot takes the place of the state; what follows is applied on top of it. */
  | { readonly type: 'restored'; readonly index: number }
  | { readonly type: 'changed'; readonly question: number; readonly outcome: ChangeOutcome }
  | { readonly type: 'transferring'; readonly question: number; readonly begun: boolean }
  | { readonly type: 'lease-kept'; readonly question: number; readonly outcome: LeaseOutcome }
  /** Another member asks this one, which it believes to lead. */
  | {
      readonly type: 'keep-lease'
      readonly from: MemberId
      readonly question: number
      readonly lease: number
      readonly renew: boolean
    }
  | { readonly type: 'closed' }
  | LogLine
  | Failed

export interface RefusedRequest {
  /** A proposal's request number or a read's context. */
  readonly kind: 'proposal' | 'read'
  readonly request: number
  readonly reason: 'no-leader' | 'fenced' | 'too-new'
  readonly term: number
}

// ── main ⇄ store ─────────────────────────────────────────────────────────────────────────────────────

export type ToStore =
  | {
      readonly type: 'open'
      readonly path: string
      /** Tells whether the machine has been restarted since the data was written. */
      readonly bootId: string
      readonly identity: MemberIdentity
      /** To the raft thread. */
      readonly snapshots: MessagePort
    }
  | StoreBatch
  /** Everything that was applied up to here was sent to be written. */
  | { readonly type: 'persisted' }
  /** The received snapshot takes the place of the database, which is loaded anew. */
  | { readonly type: 'install'; readonly index: number }
  /** Nobody needs the received snapshot. */
  | { readonly type: 'discard' }
  | { readonly type: 'defragment' }
  | { readonly type: 'checkpoint' }
  /** Read everything that is on disk. */
  | { readonly type: 'check'; readonly logDirectory: string }
  | { readonly type: 'close' }

export interface StoreBatch {
  readonly type: 'batch'
  readonly applied: number
  readonly revision: number
  readonly compacted: number
  readonly sequence: number
  readonly rows: Rows
  /** One behind the other, as long as the rows say. */
  readonly values: ArrayBuffer
  /** Pairs of lease and TTL. */
  readonly granted: readonly number[]
  readonly revoked: readonly number[]
  /** The history up to this sequence number goes, except what is the latest; 0 for none. */
  readonly compactSequence: number
  /** Proposers that are remembered no more; `results` may have later ones of theirs. */
  readonly forgotten: readonly number[]
  /** Fives of index, proposer, request, revision and 1 for succeeded. */
  readonly results: ArrayLike<number>
}

/** How many numbers a remembered result is. */
export const RESULT_NUMBERS = 5

export interface LoadedState {
  readonly applied: number
  readonly revision: number
  readonly compacted: number
  readonly sequence: number
  readonly identity: MemberIdentity
  /** Pairs of lease and TTL. */
  readonly leases: readonly number[]
}

export type FromStore =
  /** `received` is the index of a whole snapshot that lies beyond the state; 0 for none. */
  | { readonly type: 'opened'; readonly state: LoadedState; readonly received: number }
  /** A snapshot is to be made of the state: answered with `persisted` once it has this index and all is sent. */
  | { readonly type: 'persist'; readonly index: number }
  | { readonly type: 'defragmented'; readonly before: number; readonly after: number }
  | { readonly type: 'rows'; readonly rows: Rows; readonly values: ArrayBuffer }
  | { readonly type: 'loaded'; readonly results: readonly number[] }
  | { readonly type: 'written'; readonly applied: number }
  | { readonly type: 'checked'; readonly log: LogCheck; readonly databaseFindings: readonly string[] }
  /** Everything up to `applied` is in the database file and flushed. */
  | { readonly type: 'durable'; readonly applied: number }
  | { readonly type: 'closed' }
  | LogLine
  | Failed

// ── raft ⇄ store: snapshots, past the main thread, which may be busy ─────────────────────────────────

export type SnapshotQuestion =
  /** A piece of snapshot `id`, or the first one of a snapshot that reaches to `index` at least. */
  | {
      readonly type: 'read'
      readonly question: number
      readonly id: number
      readonly offset: number
      readonly index: number
    }
  /** A piece of a snapshot that another member sends. */
  | {
      readonly type: 'store'
      readonly question: number
      readonly snapshot: Pick<Snapshot, 'id' | 'index'>
      readonly offset: number
      readonly data: ArrayBuffer
      readonly last: boolean
    }

export type SnapshotAnswer =
  | { readonly type: 'piece'; readonly question: number; readonly piece: SnapshotPiece | null }
  /** It is durable; the last one has made the snapshot whole. Not `sound`: nothing of the snapshot was kept. */
  | { readonly type: 'stored'; readonly question: number; readonly sound: boolean }

export interface SnapshotPiece {
  readonly id: number
  readonly index: number
  readonly offset: number
  readonly data: ArrayBuffer
  readonly last: boolean
}
