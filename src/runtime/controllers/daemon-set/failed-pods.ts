/** How long a node waits after its daemon failed: longer each time, so that a broken one does not spin. */

const FIRST_MS = 1_000
const LONGEST_MS = 15 * 60_000
/** A node whose daemon did not fail for so long starts anew. */
const FORGET_MS = 2 * LONGEST_MS
/** How many are remembered; the one that failed first is forgotten. */
const ENTRIES_MAX = 50_000

interface Entry {
  readonly delayMs: number
  readonly atMs: number
}

export class FailedPods {
  readonly #entries = new Map<string, Entry>()

  /** 0 when it need not wait. */
  waitMs(key: string, nowMs: number): number {
    const entry = this.#entries.get(key)
    return entry === undefined ? 0 : Math.max(0, entry.atMs + entry.delayMs - nowMs)
  }

  fail(key: string, nowMs: number): void {
    const entry = this.#entries.get(key)
    const isFresh = entry === undefined || nowMs - entry.atMs > FORGET_MS
    const delayMs = isFresh ? FIRST_MS : Math.min(entry.delayMs * 2, LONGEST_MS)
    this.#entries.delete(key)
    this.#entries.set(key, { delayMs, atMs: nowMs })
    const [oldest] = this.#entries.keys()
    if (this.#entries.size > ENTRIES_MAX && oldest !== undefined) this.#entries.delete(oldest)
  }
}
