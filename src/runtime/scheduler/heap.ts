/** A priority queue: what is least by `compare` comes first. */
export class Heap<T> {
  readonly #items: T[] = []
  readonly #compare: (a: T, b: T) => number

  constructor(compare: (a: T, b: T) => number) {
    this.#compare = compare
  }

  get size(): number {
    return this.#items.length
  }

  peek(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      if (!this.#isBefore(item, items[above])) break
      items[at] = items[above] as T
      at = above
    }
    items[at] = item
  }

  pop(): T | undefined {
    const items = this.#items
    const [first] = items
    const last = items.pop()
    if (items.length > 0 && last !== undefined) this.#sink(last)
    return first
  }

  clear(): void {
    this.#items.length = 0
  }

  #sink(item: T): void {
    const items = this.#items
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      if (left >= items.length) break
      const right = left + 1
      const below = right < items.length && this.#isBefore(items[right] as T, items[left]) ? right : left
      if (!this.#isBefore(items[below] as T, item)) break
      items[at] = items[below] as T
      at = below
    }
    items[at] = item
  }

  #isBefore(a: T, b: T | undefined): boolean {
    return b !== undefined && this.#compare(a, b) < 0
  }
}
