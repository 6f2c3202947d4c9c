/**
 * Where values lie: many in one slab, since memory of its own costs a small value a third of its size and leaves
 * holes between the values that stay. A slab is free when nobody has a value in it any more, so values that stay
 * among ones that have long gone are moved together now and then (`tidy`).
 */

export const SLAB_BYTES = 256 * 1024
/** A larger value has memory of its own. */
const SHARED_BYTES_MAX = SLAB_BYTES / 16
/** Moved at one time; the rest waits for the next time. */
const MOVED_BYTES_MAX = 16 * 1024 * 1024

interface Holder {
  value: Buffer
}

export class ValueMemory {
  #slab = Buffer.alloc(0)
  #used = 0

  /** The same bytes in memory that holds nothing else but values. */
  keep(value: Buffer): Buffer {
    const { length } = value
    if (length > SHARED_BYTES_MAX) return withMemoryOfItsOwn(value)
    if (this.#slab.length - this.#used < length) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
      this.#used = 0
    }
    const start = this.#used
    this.#used += length
    value.copy(this.#slab, start)
    return this.#slab.subarray(start, this.#used)
  }

  /** Moves what is left in slabs of which less than half is used; `holders` has all that is to stay. */
  tidy(holders: () => Iterable<Holder>): void {
    const used = new Map<ArrayBufferLike, number>()
    for (const { value } of holders()) used.set(value.buffer, (used.get(value.buffer) ?? 0) + value.length)
    const current = this.#slab.buffer
    let moved = 0
    for (const holder of holders()) {
      const { buffer, length } = holder.value
      const isSparse = buffer !== current && (used.get(buffer) ?? 0) < buffer.byteLength / 2
      if (!isSparse || moved + length > MOVED_BYTES_MAX) continue
      holder.value = this.keep(holder.value)
      moved += length
    }
  }
}

function withMemoryOfItsOwn(value: Buffer): Buffer {
  if (value.buffer.byteLength === value.length) return value
  const own = Buffer.allocUnsafeSlow(value.length)
  value.copy(own)
  return own
}
