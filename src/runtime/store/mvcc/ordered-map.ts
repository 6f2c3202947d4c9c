/**
 * A map in key order: a list of sorted chunks, found by binary search. Inserting moves at most one chunk,
 * counting a range adds up chunk lengths, so that 100,000 keys and more stay cheap.
 */

const CHUNK_KEYS_MAX = 256

interface Chunk<V> {
  readonly keys: string[]
  readonly values: V[]
}

interface Position {
  readonly chunk: number
  readonly offset: number
}

export class OrderedMap<V> {
  #chunks: Chunk<V>[] = []
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: string): V | undefined {
    const at = this.#lowerBound(key)
    const chunk = this.#chunks[at.chunk]
    return chunk?.keys[at.offset] === key ? chunk.values[at.offset] : undefined
  }

  set(key: string, value: V): void {
    this.update(key, () => value)
  }

  /** The new value follows from the present one; looks the key up once. */
  update(
    key: string,
    next: (before: V | undefined) => V,
  ): { readonly before: V | undefined; readonly after: V } {
    const at = this.#insertionPoint(key)
    const chunk = this.#chunks[at.chunk]
    if (chunk?.keys[at.offset] === key) {
      const before = chunk.values[at.offset]
      const after = next(before)
      chunk.values[at.offset] = after
      return { before, after }
    }
    const after = next(undefined)
    this.#size++
    if (chunk === undefined) {
      this.#chunks.push({ keys: [key], values: [after] })
      return { before: undefined, after }
    }
    chunk.keys.splice(at.offset, 0, key)
    chunk.values.splice(at.offset, 0, after)
    if (chunk.keys.length > CHUNK_KEYS_MAX) this.#split(at.chunk, chunk)
    return { before: undefined, after }
  }

  delete(key: string): void {
    const at = this.#lowerBound(key)
    const chunk = this.#chunks[at.chunk]
    if (chunk === undefined || chunk.keys[at.offset] !== key) return
    chunk.keys.splice(at.offset, 1)
    chunk.values.splice(at.offset, 1)
    this.#size--
    this.#maybeMerge(at.chunk, chunk)
  }

  /** The values of [start, end) in key order; the map must not change while it is being read. */
  *values(start: string, end: string): Generator<V> {
    const from = this.#lowerBound(start)
    let offset = from.offset
    for (let index = from.chunk; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index]
      if (chunk === undefined) return
      for (; offset < chunk.keys.length; offset++) {
        if ((chunk.keys[offset] as string) >= end) return
        yield chunk.values[offset] as V
      }
      offset = 0
    }
  }

  /** At most `limit` values of [start, end) in key order. */
  slice(start: string, end: string, limit: number): V[] {
    const found: V[] = []
    const from = this.#lowerBound(start)
    let offset = from.offset
    for (let index = from.chunk; index < this.#chunks.length; index++) {
      const { keys, values } = this.#chunks[index] as Chunk<V>
      for (; offset < keys.length; offset++) {
        if (found.length >= limit || (keys[offset] as string) >= end) return found
        found.push(values[offset] as V)
      }
      offset = 0
    }
    return found
  }

  /** How many keys are in [start, end). */
  count(start: string, end: string): number {
    if (start >= end) return 0
    const from = this.#lowerBound(start)
    const to = this.#lowerBound(end)
    let total = to.offset - from.offset
    for (let index = from.chunk; index < to.chunk; index++) total += this.#chunks[index]?.keys.length ?? 0
    return total
  }

  /** The place of the first key at or after `key`; one past the last chunk if there is none. */
  #lowerBound(key: string): Position {
    const at = this.#insertionPoint(key)
    const chunk = this.#chunks[at.chunk]
    if (chunk !== undefined && at.offset === chunk.keys.length) return { chunk: at.chunk + 1, offset: 0 }
    return at
  }

  /** Where `key` is or belongs: in the last chunk that begins at or before it. */
  #insertionPoint(key: string): Position {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#chunks[middle]?.keys[0] as string) <= key) low = middle + 1
      else high = middle
    }
    const chunk = Math.max(0, low - 1)
    return { chunk, offset: lowerBoundIn(this.#chunks[chunk]?.keys ?? [], key) }
  }

  #split(index: number, chunk: Chunk<V>): void {
    const half = chunk.keys.length >>> 1
    this.#chunks.splice(index + 1, 0, { keys: chunk.keys.splice(half), values: chunk.values.splice(half) })
  }

  #maybeMerge(index: number, chunk: Chunk<V>): void {
    if (chunk.keys.length === 0) {
      this.#chunks.splice(index, 1)
      return
    }
    const next = this.#chunks[index + 1]
    if (next === undefined || chunk.keys.length + next.keys.length > CHUNK_KEYS_MAX / 2) return
    chunk.keys.push(...next.keys)
    chunk.values.push(...next.values)
    this.#chunks.splice(index + 1, 1)
  }
}

function lowerBoundIn(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
