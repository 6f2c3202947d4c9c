/**
 * One step after the other: a wake-up while a step runs means one more step, a step that fails is tried again later,
 * and one timer holds the earliest time that anybody asked for.
 */

import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'

/** Timers hold 31 bits of milliseconds; a longer wait is cut and armed again. */
const TIMER_MAX_MS = 2 ** 31 - 1

export interface WakeLoopParts {
  readonly clock: Clock
  readonly retry: BackoffConfig
  readonly step: () => Promise<void>
  readonly onFailure: (error: unknown) => void
}

export class WakeLoop {
  readonly #parts: WakeLoopParts
  #isStopped = false
  #isDirty = false
  #running: Promise<void> | null = null
  #timer: Timer | null = null
  #wakeAtMs = Number.POSITIVE_INFINITY
  #failures = 0

  constructor(parts: WakeLoopParts) {
    this.#parts = parts
  }

  get isStopped(): boolean {
    return this.#isStopped
  }

  wake(): void {
    if (this.#isStopped) return
    this.#isDirty = true
    this.#running ??= this.#run()
  }

  /** Counts from now; only the earliest wish of a step is kept. */
  wakeIn(delayMs: number): void {
    this.#wakeAtMs = Math.min(this.#wakeAtMs, this.#parts.clock.now() + delayMs)
  }

  /** Resolves once nothing is to be done at once. */
  async settled(): Promise<void> {
    await this.#running
  }

  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  async #run(): Promise<void> {
    while (this.#isDirty && !this.#isStopped) {
      this.#isDirty = false
      this.#wakeAtMs = Number.POSITIVE_INFINITY
      try {
        await this.#parts.step()
        this.#failures = 0
      } catch (error) {
        if (this.#isStopped) break
        this.#failures += 1
        this.#parts.onFailure(error)
        this.wakeIn(backoffMs(this.#parts.retry, this.#failures))
      }
    }
    this.#running = null
    this.#arm()
  }

  #arm(): void {
    this.#timer?.cancel()
    this.#timer = null
    if (this.#isStopped || this.#wakeAtMs === Number.POSITIVE_INFINITY) return
    const delayMs = Math.max(0, this.#wakeAtMs - this.#parts.clock.now())
    this.#timer = this.#parts.clock.after(Math.min(delayMs, TIMER_MAX_MS), () => this.wake())
  }
}
