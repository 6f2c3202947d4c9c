/**
 * A map in key order: a list of sorted chunks, found by binary search. Inserting moves at most one chunk,
 * counting a range adds up chunk lengths, so that 100,000 keys and more stay cheap. A single key is found by its hash:
 * a binary search over so many would wait for memory at each step.
 */

const CHUNK_KEYS_MAX = 256

interface Cell<V> {
  value: V
}

interface Chunk<V> {
  readonly keys: string[]
  readonly cells: Cell<V>[]
}

interface Position {
  readonly chunk: number
  readonly offset: number
}

export class OrderedMap<V> {
  readonly #cells = new Map<string, Cell<V>>()
  #chunks: Chunk<V>[] = []

  get size(): number {
    return this.#cells.size
  }

  get(key: string): V | undefined {
    return this.#cells.get(key)?.value
  }

  set(key: string, value: V): void {
    this.update(key, () => value)
  }

  /** The new value follows from the present one; looks the key up once. */
  update(
    key: string,
    next: (before: V | undefined) => V,
  ): { readonly before: V | undefined; readonly after: V } {
    const present = this.#cells.get(key)
    if (present !== undefined) {
      const before = present.value
      const after = next(before)
      present.value = after
      return { before, after }
    }
    const after = next(undefined)
    this.#insert(key, { value: after })
    return { before: undefined, after }
  }

  #insert(key: string, cell: Cell<V>): void {
    this.#cells.set(key, cell)
    const at = this.#insertionPoint(key)
    const chunk = this.#chunks[at.chunk]
    if (chunk === undefined) {
      this.#chunks.push({ keys: [key], cells: [cell] })
      return
    }
    chunk.keys.splice(at.offset, 0, key)
    chunk.cells.splice(at.offset, 0, cell)
    if (chunk.keys.length > CHUNK_KEYS_MAX) this.#split(at.chunk, chunk)
  }

  delete(key: string): void {
    if (!this.#cells.delete(key)) return
    const at = this.#lowerBound(key)
    const chunk = this.#chunks[at.chunk] as Chunk<V>
    chunk.keys.splice(at.offset, 1)
    chunk.cells.splice(at.offset, 1)
    this.#maybeMerge(at.chunk, chunk)
  }

  /** All values in key order; as `values`. */
  *all(): Generator<V> {
    for (const { cells } of this.#chunks) for (const cell of cells) yield cell.value
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
        yield (chunk.cells[offset] as Cell<V>).value
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
      const { keys, cells } = this.#chunks[index] as Chunk<V>
      for (; offset < keys.length; offset++) {
        if (found.length >= limit || (keys[offset] as string) >= end) return found
        found.push((cells[offset] as Cell<V>).value)
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
    this.#chunks.splice(index + 1, 0, { keys: chunk.keys.splice(half), cells: chunk.cells.splice(half) })
  }

  #maybeMerge(index: number, chunk: Chunk<V>): void {
    if (chunk.keys.length === 0) {
      this.#chunks.splice(index, 1)
      return
    }
    const next = this.#chunks[index + 1]
    if (next === undefined || chunk.keys.length + next.keys.length > CHUNK_KEYS_MAX / 2) return
    chunk.keys.push(...next.keys)
    chunk.cells.push(...next.cells)
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
