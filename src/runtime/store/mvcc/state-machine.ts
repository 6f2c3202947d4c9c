/**
 * The state machine: committed commands in, the same new state on every member out. Pure and synchronous;
 * it reads no clock and draws no random number. Memory serves every read of the store from here.
 */
import { assert, must } from '../../../base/assert.ts'
import { Mk8sError } from '../../../base/errors.ts'
import type {
  Compare,
  Decision,
  DecisionResult,
  KeyValue,
  Operation,
  Range,
  RangeResult,
  Revision,
  StepResult,
  Transaction,
  TransactionResult,
} from '../store.ts'
import type { Applied, AppliedEvent, CommandResult, CommittedCommand, RememberedResult } from './command.ts'
import { compactedError, futureError, obstacleOf, type TakenStep, takeBranch } from './decision.ts'
import { History, revisionOf } from './history.ts'
import { Leases } from './leases.ts'
import { OrderedMap } from './ordered-map.ts'
import { RememberedRequests } from './remembered-requests.ts'
import { ValueMemory } from './value-memory.ts'

/** An empty store is at revision 1, because clients read "0" as "any". */
export const REVISION_FIRST: Revision = 1

/** A KeyValue that knows its row; its value may move, never change. */
export interface StoredKeyValue extends KeyValue {
  value: Buffer
  readonly sequence: number
}

/** One row as persistence keeps it; `value` null means deleted at `revision`. */
export interface StoredRow {
  readonly sequence: number
  readonly revision: Revision
  readonly key: string
  readonly value: Buffer | null
  readonly createRevision: Revision
  readonly version: number
  readonly lease: number
}

const NONE: readonly number[] = []

type PutOperation = Omit<Extract<Operation, { type: 'put' }>, 'type'>

/** How far apart the ids lie that are tried for a lease whose own one somebody chose before. */
const CHOSEN_LEASE_STEP = 2 ** 40

export class StateMachine {
  readonly #live = new OrderedMap<StoredKeyValue>()
  readonly #history = new History()
  readonly #values = new ValueMemory()
  readonly #leases = new Leases()
  readonly #requests = new RememberedRequests()
  #applied = 0
  #revision: Revision = REVISION_FIRST
  #compacted: Revision = 0
  #sequence = 0

  /** Index of the last applied log entry. */
  get applied(): number {
    return this.#applied
  }

  get revision(): Revision {
    return this.#revision
  }

  get compactedRevision(): Revision {
    return this.#compacted
  }

  get size(): number {
    return this.#live.size
  }

  get historyLength(): number {
    return this.#history.length
  }

  /** About what history takes in memory. */
  get historyBytes(): number {
    return this.#history.bytes
  }

  /** The revision to compact to so that history takes not more than `bytes`; null when it does not. */
  revisionToKeep(bytes: number): Revision | null {
    return this.#history.revisionBefore(bytes)
  }

  get(key: string): KeyValue | null {
    return this.#live.get(key) ?? null
  }

  count(start: string, end: string): number {
    return this.#live.count(start, end)
  }

  leases(): { readonly lease: number; readonly ttlMs: number }[] {
    return this.#leases.all()
  }

  hasLease(lease: number): boolean {
    return this.#leases.has(lease)
  }

  lease(lease: number): { readonly ttlMs: number; readonly keys: readonly string[] } | null {
    return this.#leases.get(lease)
  }

  /** Carries out a decision that cannot write. */
  read(decision: Decision): DecisionResult {
    const branch = takeBranch(decision, this)
    const obstacle = obstacleOf(branch, this)
    if (obstacle !== null) throw obstacle
    const results = branch.steps.map(step => this.#take(step, this.#revision, []))
    return { succeeded: branch.succeeded, revision: this.#revision, results }
  }

  /** What came of an earlier request: null for one that was not applied, or whose proposer is forgotten altogether. */
  resultOf(proposer: number, request: number): RememberedResult | 'forgotten' | null {
    return this.#requests.find(proposer, request)
  }

  /** The proposers that are remembered, the one that is forgotten first at the front. */
  proposers(): number[] {
    return this.#requests.proposers()
  }

  /** The events after `revision`, oldest first; throws when some of them are forgotten. */
  eventsAfter(revision: Revision): readonly AppliedEvent[] {
    if (revision < this.#compacted) throw compactedError(revision, this.#compacted)
    return this.#history.after(revision)
  }

  range(range: Range): RangeResult {
    const limit = range.limit ? range.limit : Number.POSITIVE_INFINITY
    const revision = range.revision ?? this.#revision
    if (revision > this.#revision) throw futureError(revision, this.#revision)
    if (revision < this.#compacted) throw compactedError(revision, this.#compacted)
    if (revision !== this.#revision) return this.#rangeAt(range, revision, limit)
    const entries = this.#live.slice(range.start, range.end, limit)
    const total = limit === Number.POSITIVE_INFINITY ? 0 : this.#live.count(range.start, range.end)
    return { entries, remaining: Math.max(0, total - entries.length), revision }
  }

  #rangeAt(range: Range, revision: Revision, limit: number): RangeResult {
    const before = this.#history.undo(revision, range.start, range.end)
    if (before.size === 0) return { ...this.range({ ...range, revision: this.#revision }), revision }
    const past = [...before.values()].filter(kv => kv !== null).sort(byKey)
    const entries: KeyValue[] = []
    let remaining = 0
    let next = 0
    const add = (kv: KeyValue) => {
      if (entries.length < limit) entries.push(kv)
      else remaining++
    }
    for (const kv of this.#live.values(range.start, range.end)) {
      for (let old = past[next]; old !== undefined && old.key <= kv.key; old = past[++next]) add(old)
      if (!before.has(kv.key)) add(kv)
    }
    for (const old of past.slice(next)) add(old)
    return { entries, remaining, revision }
  }

  /** An entry of Raft's own: it moves the applied index and nothing else. */
  skip(index: number): void {
    assert(index === this.#applied + 1, 'entries are applied in order, without a gap')
    this.#applied = index
  }

  apply(entry: CommittedCommand): Applied {
    this.skip(entry.index)
    const known = entry.proposer === 0 ? null : this.#requests.find(entry.proposer, entry.request)
    if (known === 'forgotten') return this.#outcome({ kind: 'forgotten' })
    if (known !== null) return this.#outcome({ kind: 'duplicate', remembered: known })
    const applied = this.#perform(entry)
    if (applied.remembered === null) return applied
    const forgotten = this.#requests.remember(applied.remembered)
    return forgotten.length === 0 ? applied : { ...applied, forgotten }
  }

  #perform(entry: CommittedCommand): Applied {
    const { command } = entry
    switch (command.type) {
      case 'transaction':
        return this.#applyTransaction(entry, command.transaction)
      case 'decision':
        return this.#applyDecision(entry, command.decision)
      case 'compaction':
        return this.#applyCompaction(entry, command.revision)
      case 'lease-grant':
        return this.#applyGrant(entry, command.ttlMs, command.lease)
      case 'lease-revocation':
        return this.#applyRevocation(entry, command.lease)
    }
  }

  #applyTransaction(entry: CommittedCommand, transaction: Transaction): Applied {
    if (!transaction.compares.every(compare => this.#holds(compare))) {
      const found = transaction.compares.map(compare => this.get(compare.key))
      const result: TransactionResult = { succeeded: false, revision: this.#revision, found }
      return this.#outcome({ kind: 'transaction', result }, { remembered: this.#memory(entry, false) })
    }
    const missing = transaction.operations.find(operation => !this.#leaseExists(operation))
    if (missing !== undefined) {
      const lease = missing.type === 'put' ? (missing.lease ?? 0) : 0
      return this.#outcome({ kind: 'no-lease', lease }, { remembered: this.#memory(entry, false) })
    }
    const events = this.#change(transaction.operations)
    const put: KeyValue[] = []
    for (const event of events) if (event.type === 'put') put.push(event.kv)
    const result: TransactionResult = { succeeded: true, revision: this.#revision, put }
    // As `#outcome` would have it, for what happens most.
    return {
      index: this.#applied,
      revision: this.#revision,
      result: { kind: 'transaction', result },
      events,
      granted: null,
      revoked: null,
      compacted: null,
      remembered: this.#memory(entry, true),
      forgotten: NONE,
    }
  }

  #applyDecision(entry: CommittedCommand, decision: Decision): Applied {
    const branch = takeBranch(decision, this)
    const error = obstacleOf(branch, this)
    if (error !== null) {
      return this.#outcome({ kind: 'refused', error }, { remembered: this.#memory(entry, false) })
    }
    const revision = this.#revision + 1
    const events: AppliedEvent[] = []
    const results = branch.steps.map(step => this.#take(step, revision, events))
    const result = { succeeded: branch.succeeded, revision: this.#revision, results }
    return this.#outcome({ kind: 'decision', result }, { events, remembered: this.#memory(entry, true) })
  }

  /** Carries one step out at `revision`; the events that come of it are appended to `events`. */
  #take(step: TakenStep, revision: Revision, events: AppliedEvent[]): StepResult {
    switch (step.type) {
      case 'range':
        return { type: 'range', result: this.range(step.range) }
      case 'decision': {
        const { type, succeeded, steps } = step
        return { type, succeeded, results: steps.map(inner => this.#take(inner, revision, events)) }
      }
      case 'put': {
        const present = this.get(step.key)
        const value = step.value ?? must(present, 'the key of a put that keeps its value').value
        const event = this.#put({ key: step.key, value, lease: step.lease ?? present?.lease ?? 0 }, revision)
        this.#happened(event, events)
        return { type: 'put', kv: event.kv, previous: event.previous }
      }
      case 'delete': {
        const deleted = this.#live.slice(step.start, step.end, Number.POSITIVE_INFINITY)
        for (const { key } of deleted) this.#happened(must(this.#delete(key, revision), 'a key'), events)
        return { type: 'delete', deleted }
      }
    }
  }

  #happened(event: AppliedEvent, events: AppliedEvent[]): void {
    events.push(event)
    this.#history.append(event)
    this.#revision = revisionOf(event)
  }

  #applyGrant(entry: CommittedCommand, ttlMs: number, wanted: number | undefined): Applied {
    if (wanted !== undefined && this.#leases.has(wanted)) {
      const error = new Mk8sError('store/lease-exists', `lease ${wanted} exists already`)
      return this.#outcome({ kind: 'refused', error }, { remembered: this.#memory(entry, false) })
    }
    let lease = wanted ?? entry.index
    while (wanted === undefined && this.#leases.has(lease)) lease += CHOSEN_LEASE_STEP
    const granted = { lease, ttlMs }
    this.#leases.grant(lease, ttlMs)
    return this.#outcome({ kind: 'leased', lease }, { granted, remembered: this.#memory(entry, true) })
  }

  #applyCompaction(entry: CommittedCommand, revision: Revision): Applied {
    const remembered = this.#memory(entry, true)
    if (revision <= this.#compacted) return this.#outcome({ kind: 'compacted' }, { remembered })
    this.#compacted = Math.min(revision, this.#revision)
    const sequence = this.#history.forget(this.#compacted) ?? 0
    this.#values.tidy(() => this.#live.all())
    const compacted = { revision: this.#compacted, sequence }
    return this.#outcome({ kind: 'compacted' }, { compacted, remembered })
  }

  #applyRevocation(entry: CommittedCommand, lease: number): Applied {
    const keys = this.#leases.revoke(lease)
    if (keys === null) {
      return this.#outcome({ kind: 'no-lease', lease }, { remembered: this.#memory(entry, false) })
    }
    const events = this.#change(keys.map(key => ({ type: 'delete', key })))
    const remembered = this.#memory(entry, true)
    return this.#outcome({ kind: 'revoked' }, { events, revoked: lease, remembered })
  }

  /** Carries the operations out at one new revision, if they change anything. */
  #change(operations: readonly Operation[]): AppliedEvent[] {
    const revision = this.#revision + 1
    const events: AppliedEvent[] = []
    for (const operation of operations) {
      const event =
        operation.type === 'put' ? this.#put(operation, revision) : this.#delete(operation.key, revision)
      if (event === null) continue
      events.push(event)
      this.#history.append(event)
    }
    if (events.length > 0) this.#revision = revision
    return events
  }

  #put(operation: PutOperation, revision: Revision): AppliedEvent & { readonly type: 'put' } {
    const { key, lease = 0 } = operation
    const value = this.#values.keep(operation.value)
    const sequence = ++this.#sequence
    const next = (present: StoredKeyValue | undefined): StoredKeyValue => {
      const createRevision = present?.createRevision ?? revision
      const version = (present?.version ?? 0) + 1
      // All values of a key share its text.
      const text = present?.key ?? key
      return { key: text, value, createRevision, modRevision: revision, version, lease, sequence }
    }
    const { before, after: kv } = this.#live.update(key, next)
    if (before !== undefined) this.#leases.detach(key, before.lease)
    this.#leases.attach(key, lease)
    return { type: 'put', kv, previous: before ?? null, sequence }
  }

  #delete(key: string, revision: Revision): AppliedEvent | null {
    const previous = this.#live.get(key)
    if (previous === undefined) return null
    this.#leases.detach(key, previous.lease)
    this.#live.delete(key)
    return { type: 'delete', key, revision, previous, sequence: ++this.#sequence }
  }

  #holds(compare: Compare): boolean {
    const kv = this.#live.get(compare.key)
    if (compare.target === 'mod-revision') return (kv?.modRevision ?? 0) === compare.equals
    if (compare.target === 'create-revision') return (kv?.createRevision ?? 0) === compare.equals
    return (kv?.version ?? 0) === compare.equals
  }

  #leaseExists(operation: Operation): boolean {
    return operation.type !== 'put' || !operation.lease || this.#leases.has(operation.lease)
  }

  #memory(entry: CommittedCommand, succeeded: boolean): RememberedResult | null {
    const { index, proposer, request } = entry
    return proposer === 0 ? null : { index, proposer, request, revision: this.#revision, succeeded }
  }

  #outcome(result: CommandResult, more: Partial<Applied> = {}): Applied {
    return {
      index: this.#applied,
      revision: this.#revision,
      result,
      events: [],
      granted: null,
      revoked: null,
      compacted: null,
      remembered: null,
      forgotten: [],
      ...more,
    }
  }

  /** Loading, before the first entry: the rows in the order of their sequence numbers, then `restored`. */
  restoreRow(row: StoredRow, compacted: Revision): void {
    const previous = this.#live.get(row.key) ?? null
    const { sequence, revision, key } = row
    if (previous !== null) this.#leases.detach(key, previous.lease)
    if (row.value === null) {
      this.#live.delete(key)
      if (previous !== null && revision > compacted) {
        this.#history.append({ type: 'delete', key, revision, previous, sequence })
      }
      return
    }
    const { value, createRevision, version, lease } = row
    const kv: StoredKeyValue = { key, value, createRevision, modRevision: revision, version, lease, sequence }
    this.#leases.attach(key, lease)
    this.#live.set(key, kv)
    if (revision > compacted) this.#history.append({ type: 'put', kv, previous, sequence })
  }

  restoreLease(lease: number, ttlMs: number): void {
    this.#leases.grant(lease, ttlMs)
  }

  restoreRemembered(result: RememberedResult): void {
    this.#requests.remember(result)
  }

  restored(at: { applied: number; revision: Revision; compacted: Revision; sequence: number }): void {
    assert(this.#applied === 0, 'state is restored before anything is applied')
    this.#applied = at.applied
    this.#revision = at.revision
    this.#compacted = at.compacted
    this.#sequence = at.sequence
  }
}

function byKey(a: KeyValue, b: KeyValue): number {
  return a.key < b.key ? -1 : 1
}
