/** Rows that were read, some hundreds at a time, with their values one behind the other in one piece of memory. */
import type { RowColumns } from '../thread-messages.ts'
import type { SealedRow } from './seal.ts'

/** Values of a slab live as long as the last of them. */
const SLAB_BYTES_MAX = 256 * 1024
const SLAB_ROWS_MAX = 1000

export interface RowSlab {
  readonly rows: RowColumns
  readonly values: ArrayBuffer
}

export class SlabBuilder {
  #values: Uint8Array<ArrayBuffer> | null = null
  #bytes = 0
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

  /** Any row finds room in an empty one. */
  hasRoomFor(value: Uint8Array | null): boolean {
    const rows = this.#rows.keys.length
    if (rows === 0) return true
    return rows < SLAB_ROWS_MAX && this.#bytes + (value?.length ?? 0) <= SLAB_BYTES_MAX
  }

  add([sequence, revision, previous, key, createRevision, version, lease, value]: SealedRow): void {
    this.#rows.sequences.push(sequence)
    this.#rows.revisions.push(revision)
    this.#rows.previous.push(previous)
    this.#rows.keys.push(key)
    this.#rows.createRevisions.push(createRevision)
    this.#rows.versions.push(version)
    this.#rows.leases.push(lease)
    this.#rows.lengths.push(value?.length ?? -1)
    if (value !== null) this.#addValue(value)
  }

  /** Copied at once: what SQLite made for the value is garbage right away, which is cheap while it is young. */
  #addValue(value: Uint8Array): void {
    this.#values ??= new Uint8Array(Math.max(SLAB_BYTES_MAX, value.length))
    this.#values.set(value, this.#bytes)
    this.#bytes += value.length
  }

  build(): RowSlab {
    const values = this.#values?.buffer ?? new ArrayBuffer(0)
    return {
      rows: this.#rows,
      values: this.#bytes === values.byteLength ? values : values.slice(0, this.#bytes),
    }
  }
}
