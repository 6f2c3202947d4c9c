/**
 * A fair queue of keys with client-go's contract: a key waits at most once, is never processed twice at the
 * same time, and a key added while it is processed is processed once more afterwards.
 */
import { type BackoffConfig, backoffMs, FailureCounter } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'

export interface WorkQueueParts {
  readonly clock: Clock
  readonly backoff?: BackoffConfig
}

/** As client-go's default for one item, with a ceiling that a person would still wait for. */
const DEFAULT_BACKOFF: BackoffConfig = { baseMs: 5, maxMs: 60_000 }

interface DelayedAdd {
  readonly timer: Timer
  readonly dueMs: number
}

export class WorkQueue<Key = string> {
  readonly #clock: Clock
  readonly #backoff: BackoffConfig
  readonly #failures = new FailureCounter<Key>()
  /** Insertion order is the order of service. */
  readonly #waiting = new Set<Key>()
  readonly #processing = new Set<Key>()
  /** Added again while processing. */
  readonly #again = new Set<Key>()
  readonly #delayed = new Map<Key, DelayedAdd>()
  #takers: ((key: Key | null) => void)[] = []
  #shutDown = false

  constructor(parts: WorkQueueParts) {
    this.#clock = parts.clock
    this.#backoff = parts.backoff ?? DEFAULT_BACKOFF
  }

  /** Keys that wait to be taken. */
  get length(): number {
    return this.#waiting.size
  }

  add(key: Key): void {
    if (this.#shutDown) return
    if (this.#processing.has(key)) {
      this.#again.add(key)
      return
    }
    const taker = this.#waiting.size === 0 ? this.#takers.shift() : undefined
    if (taker === undefined) {
      this.#waiting.add(key)
      return
    }
    this.#processing.add(key)
    taker(key)
  }

  /** Adds later; of several delayed adds of one key the earliest counts. */
  addAfter(key: Key, delayMs: number): void {
    if (this.#shutDown) return
    if (delayMs <= 0) {
      this.add(key)
      return
    }
    const dueMs = this.#clock.monotonic() + delayMs
    const existing = this.#delayed.get(key)
    if (existing !== undefined && existing.dueMs <= dueMs) return
    existing?.timer.cancel()
    const timer = this.#clock.after(delayMs, () => {
      this.#delayed.delete(key)
      this.add(key)
    })
    this.#delayed.set(key, { timer, dueMs })
  }

  /** Adds after the key's back-off, which doubles with each call until `forget`. */
  addRateLimited(key: Key): void {
    this.addAfter(key, backoffMs(this.#backoff, this.#failures.fail(key)))
  }

  /** The key succeeded: its back-off starts over. */
  forget(key: Key): void {
    this.#failures.forget(key)
  }

  failures(key: Key): number {
    return this.#failures.count(key)
  }

  /** The next key, once there is one; null after shutdown. Every key taken must be given back to `done`. */
  take(): Promise<Key | null> {
    if (this.#shutDown) return Promise.resolve(null)
    for (const key of this.#waiting) {
      this.#waiting.delete(key)
      this.#processing.add(key)
      return Promise.resolve(key)
    }
    return new Promise(resolve => this.#takers.push(resolve))
  }

  done(key: Key): void {
    this.#processing.delete(key)
    if (this.#again.delete(key)) this.add(key)
  }

  /** Drops what waits and releases everyone in `take`; keys in processing are finished by their takers. */
  shutDown(): void {
    this.#shutDown = true
    for (const { timer } of this.#delayed.values()) timer.cancel()
    this.#delayed.clear()
    this.#waiting.clear()
    this.#again.clear()
    const takers = this.#takers
    this.#takers = []
    for (const taker of takers) taker(null)
  }
}
