/**
 * A loop that looks when it is woken and when its last look asked for it, and never twice at the same time: what wakes
 * it during a look makes it look once more.
 */
import type { Clock, Timer } from './clock.ts'

export interface WakingLoopParts {
  /** Resolves with the milliseconds after which to look again if nothing wakes the loop before. Must not reject. */
  readonly look: () => Promise<number>
  /** What comes within this time after the first that wakes it is one look; 0 unless given. */
  readonly settleMs?: number
  readonly clock: Clock
}

export class WakingLoop {
  readonly #parts: WakingLoopParts
  #timer: Timer | null = null
  #looking: Promise<void> | null = null
  #woken = false
  #stopped = false
  #isSettling = false

  constructor(parts: WakingLoopParts) {
    this.#parts = parts
  }

  /** Does nothing once the loop is stopped. */
  wake(): void {
    if (this.#stopped) return
    this.#woken = true
    if (this.#looking !== null || this.#isSettling) return
    const { settleMs = 0, clock } = this.#parts
    if (settleMs === 0) {
      this.#begin()
      return
    }
    this.#isSettling = true
    this.#timer?.cancel()
    this.#timer = clock.after(settleMs, () => this.#begin())
  }

  /** Resolves when no look is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#looking
  }

  #begin(): void {
    this.#isSettling = false
    this.#looking = this.#lookWhileWoken().finally(() => {
      this.#looking = null
      if (this.#woken) this.wake()
    })
  }

  async #lookWhileWoken(): Promise<void> {
    const { look, clock, settleMs = 0 } = this.#parts
    this.#timer?.cancel()
    let waitMs = 0
    while (this.#woken && !this.#stopped) {
      this.#woken = false
      waitMs = await look()
      if (settleMs > 0) break
    }
    if (!this.#stopped && !this.#woken) this.#timer = clock.after(waitMs, () => this.wake())
  }
}
