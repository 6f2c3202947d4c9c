/**
 * What applying changed and is not handed to the store thread yet, in the columns in which it will be: of each entry
 * only its numbers, keys and values are kept, so that everything else of it is garbage at once.
 */
import type { Applied, AppliedEvent } from './mvcc/command.ts'
import type { StoredKeyValue } from './mvcc/state-machine.ts'
import { RESULT_NUMBERS, type RowColumns, type StoreBatch } from './thread-messages.ts'

/** What a deletion counts as, beside values. */
const DELETION_BYTES = 64

type Encoded = Omit<StoreBatch, 'type' | 'applied' | 'revision' | 'compacted' | 'sequence'>

export class PendingBatch {
  entries = 0
  /** Of the last entry; 0 for none. */
  index = 0
  /** As of the last entry that says so; null when none does. */
  revision: number | null = null
  compacted: number | null = null
  sequence: number | null = null
  readonly #rows: RowColumns = {
    sequences: [],
    revisions: [],
    previous: [],
    keys: [],
    createRevisions: [],
    versions: [],
    leases: [],
    lengths: [],
  }
  readonly #values: Buffer[] = []
  #valueBytes = 0
  readonly #granted: number[] = []
  readonly #revoked: number[] = []
  #compactSequence = 0
  readonly #results: number[] = []
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
      this.#results.push(remembered.index, proposer, request, remembered.revision, succeeded ? 1 : 0)
    }
    return bytes
  }

  #addEvent(event: AppliedEvent): number {
    const kv = event.type === 'put' ? event.kv : null
    this.#rows.sequences.push(event.sequence)
    this.#rows.revisions.push(event.type === 'put' ? event.kv.modRevision : event.revision)
    this.#rows.previous.push((event.previous as StoredKeyValue | null)?.sequence ?? 0)
    this.#rows.keys.push(event.type === 'put' ? event.kv.key : event.key)
    this.#rows.createRevisions.push(kv?.createRevision ?? 0)
    this.#rows.versions.push(kv?.version ?? 0)
    this.#rows.leases.push(kv?.lease ?? 0)
    this.#rows.lengths.push(kv?.value.length ?? -1)
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
      rows: this.#rows,
      values: values.buffer,
      granted: this.#granted,
      revoked: this.#revoked,
      compactSequence: this.#compactSequence,
      forgotten: [...this.#forgottenAt.keys()],
      results: this.#resultsKept(),
    }
  }

  /** Results of a proposer that was forgotten after them, in the same batch, need not be written. */
  #resultsKept(): number[] {
    if (this.#forgottenAt.size === 0) return this.#results
    const kept: number[] = []
    for (let at = 0; at < this.#results.length; at += RESULT_NUMBERS) {
      const result = this.#results.slice(at, at + RESULT_NUMBERS)
      const [index = 0, proposer = 0] = result
      if (index > (this.#forgottenAt.get(proposer) ?? 0)) kept.push(...result)
    }
    return kept
  }
}
