/**
 * Entries one behind the other in one piece of memory. Those that are applied and only kept for members that lag
 * would otherwise be thousands of objects that the garbage collector looks at again and again. A block's memory is used
 * again for a later block: given back to the collector, it would bring on a collection of everything each few megabytes.
 */
import { must } from '../../base/assert.ts'
import { type Entry, readNumber } from './entry.ts'

const MEMORY_STEP_BYTES = 64 * 1024
/** Retired memory that waits for its next use. */
const SPARES_MAX = 2
/** Of large entries there are few blocks, which are worth more given back. */
const SPARE_BYTES_MAX = 1024 * 1024

export class BlockMemory {
  #spares: Buffer[] = []

  /** Room for so many bytes, and not for many more. */
  take(bytes: number): Buffer {
    const at = this.#spares.findIndex(({ length }) => length >= bytes && length <= 2 * bytes)
    const [spare] = at < 0 ? [] : this.#spares.splice(at, 1)
    return spare ?? Buffer.allocUnsafeSlow(Math.ceil(bytes / MEMORY_STEP_BYTES) * MEMORY_STEP_BYTES)
  }

  giveBack(memory: Buffer): void {
    if (memory.length > SPARE_BYTES_MAX) return
    this.#spares.push(memory)
    if (this.#spares.length > SPARES_MAX) this.#spares.shift()
  }
}

export class EntryBlock {
  readonly first: number
  readonly last: number
  readonly #bytes: Buffer
  /** Where each entry begins, and behind them where the last one ends. */
  readonly #offsets: Uint32Array

  /** At least one, without a gap. */
  constructor(entries: readonly Entry[], memory: BlockMemory) {
    this.first = must(entries[0], 'a first entry').index
    this.last = this.first + entries.length - 1
    this.#offsets = new Uint32Array(entries.length + 1)
    for (const [at, { bytes }] of entries.entries())
      this.#offsets[at + 1] = (this.#offsets[at] as number) + bytes.length
    this.#bytes = memory.take(this.#offsets[entries.length] as number)
    for (const [at, { bytes }] of entries.entries()) bytes.copy(this.#bytes, this.#offsets[at])
  }

  /** Nobody asks for an entry of it any more. */
  retire(memory: BlockMemory): void {
    memory.giveBack(this.#bytes)
  }

  /** A copy: whoever gets it may have it for longer than the block is there. */
  entryAt(index: number): Entry {
    const bytes = Buffer.from(this.#bytes.subarray(this.#offset(index), this.#offset(index + 1)))
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
