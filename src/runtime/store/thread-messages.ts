/** What the main thread, the raft thread and the store thread say to each other: batches of plain data. */
import type { ErrorCode } from '../../base/errors.ts'
import type { LogLevel } from '../../base/log.ts'
import type { LogCheck } from './check.ts'

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

interface LogLine {
  readonly type: 'log'
  readonly level: LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
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
    }
  | RaftRequests
  | { readonly type: 'drop'; readonly index: number }
  | { readonly type: 'close' }

/** Everything one turn of the main thread asks for. */
export interface RaftRequests {
  readonly type: 'requests'
  /** Encoded entries, one behind the other. */
  readonly entries: ArrayBuffer
  readonly proposals: readonly ProposalPlace[]
  readonly reads: readonly number[]
}

export interface ProposalPlace {
  readonly request: number
  readonly offset: number
  readonly length: number
  /** Fence: only in this term. */
  readonly term: number | null
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
}

export type FromRaft =
  | { readonly type: 'opened'; readonly identity: MemberIdentity; readonly lastIndex: number }
  | {
      readonly type: 'progress'
      /** Committed entries, one behind the other; own ones, the first time they come, are headers without payload. */
      readonly committed: ArrayBuffer | null
      readonly reads: readonly { readonly context: number; readonly index: number }[]
      readonly refused: readonly RefusedRequest[]
      readonly status: RaftThreadStatus
    }
  /** A received snapshot takes the place of the state; what follows is applied on top of it. */
  | { readonly type: 'restored'; readonly index: number }
  | { readonly type: 'closed' }
  | LogLine
  | Failed

export interface RefusedRequest {
  /** A proposal's request number or a read's context. */
  readonly kind: 'proposal' | 'read'
  readonly request: number
  readonly reason: 'no-leader' | 'fenced'
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
    }
  | StoreBatch
  | { readonly type: 'checkpoint' }
  /** Read everything that is on disk. */
  | { readonly type: 'check'; readonly logDirectory: string }
  | { readonly type: 'close' }

export interface RowColumns {
  readonly sequences: number[]
  readonly revisions: number[]
  /** Sequence of the row that this one replaces; 0 for none. */
  readonly previous: number[]
  readonly keys: string[]
  readonly createRevisions: number[]
  readonly versions: number[]
  readonly leases: number[]
  /** Length of the value in `values`; -1 for a deletion. */
  readonly lengths: number[]
}

export interface StoreBatch {
  readonly type: 'batch'
  readonly applied: number
  readonly revision: number
  readonly compacted: number
  readonly sequence: number
  readonly rows: RowColumns
  readonly values: ArrayBuffer
  /** Pairs of lease and TTL. */
  readonly granted: readonly number[]
  readonly revoked: readonly number[]
  /** The history up to this sequence number goes, except what is the latest; 0 for none. */
  readonly compactSequence: number
  /** Fours of proposer, request, revision and 1 for succeeded. */
  readonly results: readonly number[]
  /** The proposers that are still remembered. */
  readonly proposers: readonly number[]
}

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
  | { readonly type: 'opened'; readonly state: LoadedState }
  | { readonly type: 'rows'; readonly rows: RowColumns; readonly values: ArrayBuffer }
  | { readonly type: 'loaded'; readonly results: readonly number[] }
  | { readonly type: 'written'; readonly applied: number }
  | { readonly type: 'checked'; readonly log: LogCheck; readonly databaseFindings: readonly string[] }
  /** Everything up to `applied` is in the database file and flushed. */
  | { readonly type: 'durable'; readonly applied: number }
  | { readonly type: 'closed' }
  | LogLine
  | Failed
