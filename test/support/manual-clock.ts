/** A clock that stands still until the test moves it. */
import type { Clock, Timer } from '../../src/base/clock.ts'

export class ManualClock implements Clock {
  #nowMs: number
  #timers: { dueMs: number; callback: () => void }[] = []

  constructor(startMs = Date.parse('2026-01-01T00:00:00Z')) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  monotonic(): number {
    return this.#nowMs
  }

  after(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, callback }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(each => each !== timer)
      },
    }
  }

  /** Nothing is waited for. */
  get idle(): boolean {
    return this.#timers.length === 0
  }

  /** Time passes in which nothing runs, as in a process that hangs. */
  skip(ms: number): void {
    this.#nowMs += ms
  }

  /** Moves on and calls what is due, in order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms
    for (;;) {
      const [next] = this.#timers.filter(timer => timer.dueMs <= end).sort((a, b) => a.dueMs - b.dueMs)
      if (next === undefined) break
      this.#timers = this.#timers.filter(each => each !== next)
      this.#nowMs = Math.max(this.#nowMs, next.dueMs)
      next.callback()
    }
    this.#nowMs = end
  }
}
