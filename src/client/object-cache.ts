/** The objects of one resource by key, with indexes that follow every change. */

interface Index<T> {
  readonly valuesOf: (object: T) => readonly string[]
  readonly keys: Map<string, Set<string>>
}

export class ObjectCache<T> {
  readonly #objects = new Map<string, T>()
  readonly #indexes = new Map<string, Index<T>>()

  get size(): number {
    return this.#objects.size
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  keys(): string[] {
    return [...this.#objects.keys()]
  }

  list(): T[] {
    return [...this.#objects.values()]
  }

  /** An index that exists already is kept. */
  addIndex(name: string, valuesOf: (object: T) => readonly string[]): void {
    if (this.#indexes.has(name)) return
    const index: Index<T> = { valuesOf, keys: new Map() }
    for (const [key, object] of this.#objects) insert(index, key, object)
    this.#indexes.set(name, index)
  }

  byIndex(name: string, value: string): T[] {
    const keys = this.#indexes.get(name)?.keys.get(value)
    if (keys === undefined) return []
    const found: T[] = []
    for (const key of keys) {
      const object = this.#objects.get(key)
      if (object !== undefined) found.push(object)
    }
    return found
  }

  /** Sets or, with null, removes; returns what was there. */
  put(key: string, next: T | null): T | null {
    const previous = this.#objects.get(key) ?? null
    for (const index of this.#indexes.values()) {
      if (previous !== null) remove(index, key, previous)
      if (next !== null) insert(index, key, next)
    }
    if (next === null) this.#objects.delete(key)
    else this.#objects.set(key, next)
    return previous
  }
}

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const keys = index.keys.get(value)
    if (keys === undefined) index.keys.set(value, new Set([key]))
    else keys.add(key)
  }
}

function remove<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.valuesOf(object)) {
    const keys = index.keys.get(value)
    keys?.delete(key)
    if (keys?.size === 0) index.keys.delete(value)
  }
}
