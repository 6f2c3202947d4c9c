/**
 * Entries one behind the other in one piece of memory. Those that are applied and only kept for members that lag
 * would otherwise be thousands of objects that the garbage collector looks at again and again.
 */
import { must } from '../../base/assert.ts'
import { type Entry, readNumber } from './entry.ts'

export class EntryBlock {
  readonly first: number
  readonly last: number
  readonly #bytes: Buffer
  /** Where each entry begins, and behind them where the last one ends. */
  readonly #offsets: Uint32Array

  /** At least one, without a gap. */
  constructor(entries: readonly Entry[]) {
    this.first = must(entries[0], 'a first entry').index
    this.last = this.first + entries.length - 1
    this.#offsets = new Uint32Array(entries.length + 1)
    for (const [at, { bytes }] of entries.entries())
      this.#offsets[at + 1] = (this.#offsets[at] as number) + bytes.length
    this.#bytes = Buffer.allocUnsafeSlow(this.#offsets[entries.length] as number)
    for (const [at, { bytes }] of entries.entries()) bytes.copy(this.#bytes, this.#offsets[at])
  }

  entryAt(index: number): Entry {
    const bytes = this.#bytes.subarray(this.#offset(index), this.#offset(index + 1))
    return { type: bytes.readUInt8(0), index, term: this.termAt(index), bytes }
  }

  termAt(index: number): number {
    return readNumber(this.#bytes, this.#offset(index) + 16)
  }

  sizeAt(index: number): number {
    return this.#offset(index + 1) - this.#offset(index)
  }

  #offset(index: number): number {
    return must(this.#offsets[index - this.first], 'an entry of this block')
  }
}
