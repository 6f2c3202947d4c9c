/**
 * What applying changed and is not handed to the store thread yet, in the columns in which it will be: of each entry
 * only its numbers, keys and values are kept, so that everything else of it is garbage at once.
 */
import type { Applied, AppliedEvent } from './mvcc/command.ts'
import type { StoredKeyValue } from './mvcc/state-machine.ts'
import { NumberList, RowsBuilder } from './row-columns.ts'
import { RESULT_NUMBERS, type StoreBatch } from './thread-messages.ts'

/** What a deletion counts as, beside values. */
const DELETION_BYTES = 64
/** Results that there is room for from the beginning. */
const RESULTS_MIN = 16

type Encoded = Omit<StoreBatch, 'type' | 'applied' | 'revision' | 'compacted' | 'sequence'> & {
  readonly results: Float64Array<ArrayBuffer>
}

export class PendingBatch {
  entries = 0
  /** Of the last entry; 0 for none. */
  index = 0
  /** As of the last entry that says so; null when none does. */
  revision: number | null = null
  compacted: number | null = null
  sequence: number | null = null
  readonly #rows = new RowsBuilder()
  readonly #values: Buffer[] = []
  #valueBytes = 0
  readonly #granted: number[] = []
  readonly #revoked: number[] = []
  #compactSequence = 0
  readonly #results = new NumberList(RESULTS_MIN * RESULT_NUMBERS)
  readonly #forgottenAt = new Map<number, number>()

  /** Returns about how many bytes it adds. */
  add(applied: Applied): number {
    const { index, revision, events, granted, revoked, compacted, remembered, forgotten } = applied
    this.entries++
    this.index = index
    this.revision = revision
    let bytes = 0
    for (const event of events) bytes += this.#addEvent(event)
    if (granted !== null) this.#granted.push(granted.lease, granted.ttlMs)
    if (revoked !== null) this.#revoked.push(revoked)
    if (compacted !== null) {
      this.compacted = compacted.revision
      this.#compactSequence = Math.max(this.#compactSequence, compacted.sequence)
    }
    for (const proposer of forgotten) this.#forgottenAt.set(proposer, index)
    if (remembered !== null) {
      const { proposer, request, succeeded } = remembered
      this.#results.push(remembered.index)
      this.#results.push(proposer)
      this.#results.push(request)
      this.#results.push(remembered.revision)
      this.#results.push(succeeded ? 1 : 0)
    }
    return bytes
  }

  #addEvent(event: AppliedEvent): number {
    const kv = event.type === 'put' ? event.kv : null
    this.#rows.add(event.type === 'put' ? event.kv.key : event.key, {
      sequence: event.sequence,
      revision: event.type === 'put' ? event.kv.modRevision : event.revision,
      previous: (event.previous as StoredKeyValue | null)?.sequence ?? 0,
      createRevision: kv?.createRevision ?? 0,
      version: kv?.version ?? 0,
      lease: kv?.lease ?? 0,
      length: kv?.value.length ?? -1,
    })
    this.sequence = event.sequence
    if (kv === null) return DELETION_BYTES
    this.#values.push(kv.value)
    this.#valueBytes += kv.value.length
    return kv.value.length
  }

  encode(): Encoded {
    const values = new Uint8Array(this.#valueBytes)
    let offset = 0
    for (const value of this.#values) {
      values.set(value, offset)
      offset += value.length
    }
    return {
      rows: this.#rows.build(),
      values: values.buffer,
      granted: this.#granted,
      revoked: this.#revoked,
      compactSequence: this.#compactSequence,
      forgotten: [...this.#forgottenAt.keys()],
      results: this.#resultsKept(),
    }
  }

  /** Results of a proposer that was forgotten after them, in the same batch, need not be written. */
  #resultsKept(): Float64Array<ArrayBuffer> {
    const all = this.#results.toArray()
    if (this.#forgottenAt.size === 0) return all
    const kept: number[] = []
    for (let at = 0; at < all.length; at += RESULT_NUMBERS) {
      const result = all.subarray(at, at + RESULT_NUMBERS)
      const [index = 0, proposer = 0] = result
      if (index > (this.#forgottenAt.get(proposer) ?? 0)) kept.push(...result)
    }
    return Float64Array.from(kept)
  }
}
