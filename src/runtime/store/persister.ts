/**
 * Gathers what applying changed and hands it to the store thread in batches. Lazy by intent: the log has it
 * all, so a trickle of writes is written out rarely, and a stream in large batches.
 */
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import type { Applied, AppliedEvent } from './mvcc/command.ts'
import type { StoredKeyValue } from './mvcc/state-machine.ts'
import type { RowColumns, StoreBatch } from './thread-messages.ts'

const BATCH_ENTRIES_MAX = 1000
const BATCH_BYTES_MAX = 1024 * 1024
/** How long a lone write may wait for company. */
const BATCH_DELAY_MS = 30_000
/** How long the last batches are waited for; what is not written by then is in the log. */
const END_MS_MAX = 10_000
/** Bytes that wait for the store thread before new writes are refused. */
export const PERSIST_BACKLOG_BYTES_MAX = 64 * 1024 * 1024

export interface PersisterParts {
  readonly clock: Clock
  readonly post: (batch: StoreBatch, transfer: ArrayBuffer[]) => void
}

export class Persister {
  readonly #parts: PersisterParts
  #pending: Applied[] = []
  #pendingBytes = 0
  #skippedTo = 0
  #compacted: number
  #sequence: number
  #revision: number
  #writing = false
  #writingBytes = 0
  #timer: Timer | null = null
  /** How many entries were added, were handed over, and are written. */
  #added = 0
  #sent = 0
  #done = 0
  #waiting: { readonly until: number; readonly resolve: () => void }[] = []

  constructor(parts: PersisterParts, start: { revision: number; compacted: number; sequence: number }) {
    this.#parts = parts
    this.#revision = start.revision
    this.#compacted = start.compacted
    this.#sequence = start.sequence
  }

  get backlogBytes(): number {
    return this.#pendingBytes + this.#writingBytes
  }

  add(applied: Applied): void {
    this.#added++
    this.#pending.push(applied)
    this.#pendingBytes += 64
    for (const event of applied.events)
      this.#pendingBytes += event.type === 'put' ? event.kv.value.length : 64
    const full = this.#pending.length >= BATCH_ENTRIES_MAX || this.#pendingBytes >= BATCH_BYTES_MAX
    if (full) this.flush()
    else this.#timer ??= this.#parts.clock.after(BATCH_DELAY_MS, () => this.flush())
  }

  /** An entry that changed nothing here: it only has to be counted as applied, whenever something is written. */
  skip(index: number): void {
    this.#added++
    this.#skippedTo = index
  }

  /** Hands over what waits, unless a batch is being written: then right after it. */
  flush(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#writing || (this.#pending.length === 0 && this.#skippedTo === 0)) return
    const pending = this.#pending
    this.#pending = []
    this.#writing = true
    this.#writingBytes = this.#pendingBytes
    this.#pendingBytes = 0
    const batch = this.#encode(pending)
    this.#skippedTo = 0
    this.#sent = this.#added
    this.#parts.post(batch, [batch.values])
  }

  /** The store thread has written the batch. */
  written(): void {
    this.#writing = false
    this.#writingBytes = 0
    this.#done = this.#sent
    this.#tell(this.#done)
    const full = this.#pending.length >= BATCH_ENTRIES_MAX || this.#pendingBytes >= BATCH_BYTES_MAX
    if (full || this.#waiting.length > 0) this.flush()
  }

  /** Resolves when everything added so far is written, whatever is added meanwhile; or when nothing is any more. */
  async drain(): Promise<void> {
    this.flush()
    const until = this.#added
    if (this.#done < until) await new Promise<void>(resolve => this.#waiting.push({ until, resolve }))
  }

  /** Nothing is added any more. */
  async end(): Promise<void> {
    await endsWithin(this.#parts.clock, END_MS_MAX, this.drain())
    this.stop()
  }

  /** Also when the store thread has failed, so that nobody waits for it. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#tell(Number.POSITIVE_INFINITY)
  }

  #tell(done: number): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ until }) => until > done)
    for (const { until, resolve } of waiting) if (until <= done) resolve()
  }

  #encode(pending: readonly Applied[]): StoreBatch {
    const events = pending.flatMap(applied => applied.events)
    const { rows, values } = encodeRows(events)
    let compactSequence = 0
    for (const { compacted, revision } of pending) {
      this.#revision = revision
      if (compacted === null) continue
      this.#compacted = compacted.revision
      compactSequence = Math.max(compactSequence, compacted.sequence)
    }
    this.#sequence = events.at(-1)?.sequence ?? this.#sequence
    return {
      type: 'batch',
      applied: Math.max(this.#skippedTo, pending.at(-1)?.index ?? 0),
      revision: this.#revision,
      compacted: this.#compacted,
      sequence: this.#sequence,
      rows,
      values,
      granted: pending.flatMap(({ granted }) => (granted ? [granted.lease, granted.ttlMs] : [])),
      revoked: pending.flatMap(({ revoked }) => (revoked === null ? [] : [revoked])),
      compactSequence,
      ...encodeResults(pending),
    }
  }
}

/** Results of a proposer that was forgotten after them, in the same batch, need not be written. */
function encodeResults(pending: readonly Applied[]): Pick<StoreBatch, 'forgotten' | 'results'> {
  const forgottenAt = new Map<number, number>()
  for (const { index, forgotten } of pending)
    for (const proposer of forgotten) forgottenAt.set(proposer, index)
  const results: number[] = []
  for (const { remembered } of pending) {
    if (remembered === null || remembered.index <= (forgottenAt.get(remembered.proposer) ?? 0)) continue
    const { index, proposer, request, revision, succeeded } = remembered
    results.push(index, proposer, request, revision, succeeded ? 1 : 0)
  }
  return { forgotten: [...forgottenAt.keys()], results }
}

function encodeRows(events: readonly AppliedEvent[]): { rows: RowColumns; values: ArrayBuffer } {
  const previous = events.map(event => (event.previous as StoredKeyValue | null)?.sequence ?? 0)
  const kvs = events.map(event => (event.type === 'put' ? event.kv : null))
  const rows: RowColumns = {
    sequences: events.map(event => event.sequence),
    revisions: events.map(event => (event.type === 'put' ? event.kv.modRevision : event.revision)),
    previous,
    keys: events.map(event => (event.type === 'put' ? event.kv.key : event.key)),
    createRevisions: kvs.map(kv => kv?.createRevision ?? 0),
    versions: kvs.map(kv => kv?.version ?? 0),
    leases: kvs.map(kv => kv?.lease ?? 0),
    lengths: kvs.map(kv => kv?.value.length ?? -1),
  }
  const values = new Uint8Array(rows.lengths.reduce((total, length) => total + Math.max(0, length), 0))
  let offset = 0
  for (const kv of kvs) {
    if (kv === null) continue
    values.set(kv.value, offset)
    offset += kv.value.length
  }
  return { rows, values: values.buffer }
}
