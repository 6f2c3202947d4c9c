/** Rows that were read, some hundreds at a time, with their values one behind the other in one piece of memory. */
import { type Rows, RowsBuilder } from '../row-columns.ts'
import type { SealedRow } from './seal.ts'

/** Values of a slab live as long as the last of them. */
const SLAB_BYTES_MAX = 256 * 1024
const SLAB_ROWS_MAX = 1000

export interface RowSlab {
  readonly rows: Rows
  readonly values: ArrayBuffer
}

export class SlabBuilder {
  #values: Uint8Array<ArrayBuffer> | null = null
  #bytes = 0
  readonly #rows = new RowsBuilder()

  /** Any row finds room in an empty one. */
  hasRoomFor(value: Uint8Array | null): boolean {
    const rows = this.#rows.count
    if (rows === 0) return true
    return rows < SLAB_ROWS_MAX && this.#bytes + (value?.length ?? 0) <= SLAB_BYTES_MAX
  }

  add([sequence, revision, previous, key, createRevision, version, lease, value]: SealedRow): void {
    const length = value?.length ?? -1
    this.#rows.add(key, { sequence, revision, previous, createRevision, version, lease, length })
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
      rows: this.#rows.build(),
      values: this.#bytes === values.byteLength ? values : values.slice(0, this.#bytes),
    }
  }
}
