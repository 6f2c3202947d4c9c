/** Exponential back-off as a pure function of the attempt, and a counter of failures per key. */
import type { Random } from './random.ts'

export interface BackoffConfig {
  readonly baseMs: number
  readonly maxMs: number
  /** Up to this share of the delay is added at random, so that many do not return at once. */
  readonly jitter?: number
}

/** The delay before attempt `failures + 1`; `failures` counts from 1. */
export function backoffMs(config: BackoffConfig, failures: number, random?: Random): number {
  const exponent = Math.min(Math.max(failures - 1, 0), 40)
  const delay = Math.min(config.baseMs * 2 ** exponent, config.maxMs)
  if (random === undefined || config.jitter === undefined) return delay
  return delay * (1 + random.float() * config.jitter)
}

/** Remembers how often each key failed in a row. */
export class FailureCounter<Key = string> {
  readonly #failures = new Map<Key, number>()

  fail(key: Key): number {
    const count = (this.#failures.get(key) ?? 0) + 1
    this.#failures.set(key, count)
    return count
  }

  count(key: Key): number {
    return this.#failures.get(key) ?? 0
  }

  forget(key: Key): void {
    this.#failures.delete(key)
  }
}
