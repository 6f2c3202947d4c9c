/**
 * A loop that looks when it is woken and when its last look asked for it, and never twice at the same time: what wakes
 * it during a look makes it look once more.
 */
import type { Clock, Timer } from './clock.ts'

export interface WakingLoopParts {
  /** Resolves with the milliseconds after which to look again if nothing wakes the loop before. Must not reject. */
  readonly look: () => Promise<number>
  readonly clock: Clock
}

export class WakingLoop {
  readonly #parts: WakingLoopParts
  #timer: Timer | null = null
  #looking: Promise<void> | null = null
  #woken = false
  #stopped = false

  constructor(parts: WakingLoopParts) {
    this.#parts = parts
  }

  /** Does nothing once the loop is stopped. */
  wake(): void {
    if (this.#stopped) return
    this.#woken = true
    this.#looking ??= this.#lookWhileWoken().finally(() => {
      this.#looking = null
      if (this.#woken) this.wake()
    })
  }

  /** Resolves when no look is under way any more. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#looking
  }

  async #lookWhileWoken(): Promise<void> {
    const { look, clock } = this.#parts
    this.#timer?.cancel()
    let waitMs = 0
    while (this.#woken && !this.#stopped) {
      this.#woken = false
      waitMs = await look()
    }
    if (!this.#stopped) this.#timer = clock.after(waitMs, () => this.wake())
  }
}
