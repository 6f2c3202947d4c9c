/** What a log entry asks the state machine to do, and what comes of it. */
import type { Mk8sError } from '../../../base/errors.ts'
import type {
  Decision,
  DecisionResult,
  Revision,
  StoreEvent,
  Transaction,
  TransactionResult,
} from '../store.ts'

export type Command =
  | { readonly type: 'transaction'; readonly transaction: Transaction }
  | { readonly type: 'decision'; readonly decision: Decision }
  | { readonly type: 'compaction'; readonly revision: Revision }
  /** Without `lease`, the entry's index becomes the lease's id. */
  | { readonly type: 'lease-grant'; readonly ttlMs: number; readonly lease?: number }
  | { readonly type: 'lease-revocation'; readonly lease: number }

/** A committed command with its place in the log and its proposer. */
export interface CommittedCommand {
  readonly index: number
  readonly proposer: number
  readonly request: number
  readonly command: Command
}

export type CommandResult =
  | { readonly kind: 'transaction'; readonly result: TransactionResult }
  | { readonly kind: 'decision'; readonly result: DecisionResult }
  /** Nothing happened, for this reason. */
  | { readonly kind: 'refused'; readonly error: Mk8sError }
  | { readonly kind: 'compacted' }
  | { readonly kind: 'leased'; readonly lease: number }
  | { readonly kind: 'revoked' }
  /** The lease that a put names does not exist; nothing happened. */
  | { readonly kind: 'no-lease'; readonly lease: number }
  /** The same proposer's same request was applied before; nothing happened now. */
  | { readonly kind: 'duplicate'; readonly remembered: RememberedResult }
  /** The request is so old that nobody knows whether it was applied; nothing happened now. */
  | { readonly kind: 'forgotten' }

export interface RememberedResult {
  /** Of the log entry: the order in which proposers were last heard of is that of these. */
  readonly index: number
  readonly proposer: number
  readonly request: number
  readonly revision: Revision
  readonly succeeded: boolean
}

/** An event with its number in the sequence of all events: its row in SQLite. */
export type AppliedEvent = StoreEvent & { readonly sequence: number }

/** Everything that applying one entry changed: watchers and persistence live on it. */
export interface Applied {
  readonly index: number
  readonly revision: Revision
  readonly result: CommandResult
  readonly events: readonly AppliedEvent[]
  readonly granted: { readonly lease: number; readonly ttlMs: number } | null
  readonly revoked: number | null
  readonly compacted: { readonly revision: Revision; readonly sequence: number } | null
  readonly remembered: RememberedResult | null
  /** Proposers whose earlier results are forgotten with this entry. */
  readonly forgotten: readonly number[]
}
