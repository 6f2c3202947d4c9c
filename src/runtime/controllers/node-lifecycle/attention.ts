/**
 * Since when this process has been able to hear heartbeats. One that stood still (suspended, starved) heard nobody,
 * and the timers that are overdue when it goes on would call every node silent, its own among them.
 */
import type { Clock, Timer } from '../../../base/clock.ts'

const TICK_MS = 500
/** A tick that is later than this is no busy moment. */
const STALL_MS = 2_500

export class Attention {
  readonly #clock: Clock
  #lastMs: number
  #sinceMs: number
  #timer: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
    this.#lastMs = clock.monotonic()
    this.#sinceMs = this.#lastMs
  }

  start(): void {
    this.#lastMs = this.#clock.monotonic()
    this.#sinceMs = this.#lastMs
    this.#wait()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** Milliseconds without a gap until now, while it is started. */
  heardMs(): number {
    const nowMs = this.#clock.monotonic()
    // Whoever asks may come before the tick that is overdue.
    if (nowMs - this.#lastMs >= STALL_MS) this.#sinceMs = nowMs
    this.#lastMs = nowMs
    return nowMs - this.#sinceMs
  }

  #wait(): void {
    this.#timer = this.#clock.after(TICK_MS, () => {
      this.heardMs()
      this.#wait()
    })
  }
}
