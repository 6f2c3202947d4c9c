/**
 * Gathers what applying changed and hands it to the store thread in batches. Lazy by intent: the log has it
 * all, so a trickle of writes is written out rarely, and a stream in large batches.
 */
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import type { Applied } from './mvcc/command.ts'
import { PendingBatch } from './pending-batch.ts'
import type { StoreBatch } from './thread-messages.ts'

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
  #pending = new PendingBatch()
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
    this.#pendingBytes += 64 + this.#pending.add(applied)
    if (this.#isFull) this.flush()
    else this.#timer ??= this.#parts.clock.after(BATCH_DELAY_MS, () => this.flush())
  }

  get #isFull(): boolean {
    return this.#pending.entries >= BATCH_ENTRIES_MAX || this.#pendingBytes >= BATCH_BYTES_MAX
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
    if (this.#writing || (this.#pending.entries === 0 && this.#skippedTo === 0)) return
    const pending = this.#pending
    this.#pending = new PendingBatch()
    this.#writing = true
    this.#writingBytes = this.#pendingBytes
    this.#pendingBytes = 0
    const batch = this.#encode(pending)
    this.#skippedTo = 0
    this.#sent = this.#added
    this.#parts.post(batch, [batch.values, batch.rows.numbers.buffer, batch.results.buffer])
  }

  /** The store thread has written the batch. */
  written(): void {
    this.#writing = false
    this.#writingBytes = 0
    this.#done = this.#sent
    this.#tell(this.#done)
    if (this.#isFull || this.#waiting.length > 0) this.flush()
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

  #encode(pending: PendingBatch) {
    this.#revision = pending.revision ?? this.#revision
    this.#compacted = pending.compacted ?? this.#compacted
    this.#sequence = pending.sequence ?? this.#sequence
    return {
      type: 'batch' as const,
      applied: Math.max(this.#skippedTo, pending.index),
      revision: this.#revision,
      compacted: this.#compacted,
      sequence: this.#sequence,
      ...pending.encode(),
    }
  }
}
