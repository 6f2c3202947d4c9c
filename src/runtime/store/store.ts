/**
 * The door of the store: a replicated, revisioned key-value store with watches.
 * Several engines stand behind this interface and one contract suite (`test/contract/store`) holds for all.
 *
 * Keys are strings ordered by their UTF-16 code units (keys are ASCII in practice). Values are bytes that
 * nobody changes after handing them over: the store keeps and returns the same Buffer.
 */

/**
 * One number per committed transaction that changed something; global over all keys, never reused, below 2^53.
 * An empty store is at revision 1: clients read "0" as "any".
 */
export type Revision = number

/** One key at one revision. The object's identity is stable while it is the latest, so caches may hang on it. */
export interface KeyValue {
  readonly key: string
  /** First byte is the value format (see ARCHITECTURE, "Values"); the rest belongs to the format. */
  readonly value: Buffer
  readonly createRevision: Revision
  readonly modRevision: Revision
  /** 1 at creation, one more at each put. */
  readonly version: number
  /** Lease that deletes the key when it expires; 0 for none. */
  readonly lease: number
}

export type StoreEvent =
  | { readonly type: 'put'; readonly kv: KeyValue; readonly previous: KeyValue | null }
  | {
      readonly type: 'delete'
      readonly key: string
      readonly revision: Revision
      readonly previous: KeyValue
    }

export interface Compare {
  readonly key: string
  /** `mod-revision` 0 means "absent". */
  readonly target: 'mod-revision' | 'create-revision' | 'version'
  readonly equals: number
}

export type Operation =
  | { readonly type: 'put'; readonly key: string; readonly value: Buffer; readonly lease?: number }
  /** Deleting an absent key is no change. */
  | { readonly type: 'delete'; readonly key: string }

/** If every compare holds, all of `operations` happen at one revision; otherwise nothing does. */
export interface Transaction {
  readonly compares: readonly Compare[]
  readonly operations: readonly Operation[]
}

export type TransactionResult =
  /** `revision` is the store's revision after it; `put` holds the new KeyValue of each put, in order. */
  | { readonly succeeded: true; readonly revision: Revision; readonly put: readonly KeyValue[] }
  /** `found` is the present state of each compared key, in order. */
  | { readonly succeeded: false; readonly revision: Revision; readonly found: readonly (KeyValue | null)[] }

/** What must hold of a key, or of every key in [key, end). An absent key has zeros, and no value. */
export type Condition = {
  readonly key: string
  readonly end?: string
  readonly relation: 'equal' | 'not-equal' | 'greater' | 'less'
} & (
  | { readonly target: 'mod-revision' | 'create-revision' | 'version' | 'lease'; readonly operand: number }
  /** Compared byte by byte; never holds of an absent key. */
  | { readonly target: 'value'; readonly operand: Buffer }
)

export type Step =
  /** Null keeps what the key has; that there is no key is `store/no-key` then. */
  | {
      readonly type: 'put'
      readonly key: string
      readonly value: Buffer | null
      readonly lease: number | null
    }
  /** All keys of [start, end). */
  | { readonly type: 'delete'; readonly start: string; readonly end: string }
  /** Sees what earlier steps did. */
  | { readonly type: 'range'; readonly range: Range }
  | { readonly type: 'decision'; readonly decision: Decision }

/**
 * A transaction that has an alternative and reads: if every condition holds, `steps` happen, else `otherwise`,
 * in order, at one revision, all of them or none. Conditions of decisions inside see the state before any step.
 */
export interface Decision {
  readonly conditions: readonly Condition[]
  readonly steps: readonly Step[]
  readonly otherwise: readonly Step[]
}

export type StepResult =
  | { readonly type: 'put'; readonly kv: KeyValue; readonly previous: KeyValue | null }
  | { readonly type: 'delete'; readonly deleted: readonly KeyValue[] }
  | { readonly type: 'range'; readonly result: RangeResult }
  | { readonly type: 'decision'; readonly succeeded: boolean; readonly results: readonly StepResult[] }

export interface DecisionResult {
  readonly succeeded: boolean
  /** The store's revision after it. */
  readonly revision: Revision
  /** Of the steps of the branch that was taken, in order. */
  readonly results: readonly StepResult[]
}

export interface LeaseState {
  readonly lease: number
  readonly ttlMs: number
  /** Null on a member that does not lead, which does not count. */
  readonly remainingMs: number | null
  /** In order. */
  readonly keys: readonly string[]
}

export interface TransactionOptions {
  /** Only in this Raft term, on this leader; in any other: `store/fenced`. Controllers and scheduler set it. */
  readonly term?: number
  readonly signal?: AbortSignal
}

export interface Range {
  /** Inclusive. */
  readonly start: string
  /** Exclusive. */
  readonly end: string
  /** At most so many entries; 0 or absent for all. */
  readonly limit?: number
  /** State at this revision; absent for the latest. Throws `store/compacted` or `store/future-revision`. */
  readonly revision?: Revision
}

export interface RangeResult {
  readonly entries: readonly KeyValue[]
  /** How many keys of the range lie behind the last entry returned. */
  readonly remaining: number
  /** The revision the result holds at. */
  readonly revision: Revision
}

export interface WatchRequest {
  readonly start: string
  readonly end: string
  /** Events with a revision greater than this one are delivered, in order, without a gap. */
  readonly after: Revision
}

export interface WatchListener {
  /** All events of one or more whole transactions; `revision` is that of the last. Must not throw. */
  onEvents(events: readonly StoreEvent[], revision: Revision): void
  /** The watch is over: the store stops, or the listener fell too far behind. */
  onClosed(error: Error): void
}

export interface Watch {
  close(): void
}

export interface Leadership {
  readonly leader: boolean
  readonly term: number
}

export interface Store {
  /** The revision of the last applied transaction. */
  readonly revision: Revision
  /** Older revisions than this one cannot be read or watched from any more. */
  readonly compactedRevision: Revision
  readonly leadership: Leadership
  /**
   * Resolves once this member has applied everything that was committed when the call was made (ReadIndex),
   * so that reads from memory afterwards are linearizable. Throws `store/no-leader`.
   */
  barrier(signal?: AbortSignal): Promise<void>
  /** The latest state, from memory, no barrier. */
  get(key: string): KeyValue | null
  /** From memory, no barrier. */
  range(range: Range): RangeResult
  /** How many keys are in [start, end), from memory. */
  count(start: string, end: string): number
  /**
   * Proposes and waits until applied here. Resolving means durable on a quorum. Throws `store/no-leader`,
   * `store/outcome-unknown`, `store/fenced`, `store/too-large`, `store/overloaded`.
   */
  transact(transaction: Transaction, options?: TransactionOptions): Promise<TransactionResult>
  /**
   * The general form of `transact`. One that cannot write is not proposed; it reads behind a barrier.
   * Throws what `transact` throws, `store/no-key`, and for ranges at a revision what `range` throws.
   */
  decide(decision: Decision, options?: TransactionOptions): Promise<DecisionResult>
  /** Delivers kept history first, then live. Throws `store/compacted`. */
  watch(request: WatchRequest, listener: WatchListener): Watch
  /** Forgets history at and below `revision` except what is the latest. Through the log. */
  compact(revision: Revision): Promise<void>
  /**
   * A lease that the leader counts on its monotonic clock and revokes through the log. Returns its id: `lease`
   * (below 2^53) if given, which throws `store/lease-exists` if it is taken.
   */
  grantLease(ttlMs: number, lease?: number): Promise<number>
  /** Gives the lease its whole time again and returns that. Throws `store/no-lease`, `store/no-leader`. */
  keepLeaseAlive(lease: number): Promise<number>
  /** What is left of its time, as the leader counts it. Throws `store/no-lease`, `store/no-leader`. */
  leaseRemaining(lease: number): Promise<number>
  /** From memory, no barrier. */
  lease(lease: number): LeaseState | null
  /** The ids of all leases, from memory, no barrier. */
  leases(): readonly number[]
  /** Deletes the lease and every key that hangs on it. */
  revokeLease(lease: number): Promise<void>
  /** Called at each change of leadership, once the no-op of the term is applied; returns an unsubscribe. */
  onLeadership(listener: (leadership: Leadership) => void): () => void
}

/** The smallest key greater than every key with this prefix. */
export function prefixEnd(prefix: string): string {
  return prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)
}
