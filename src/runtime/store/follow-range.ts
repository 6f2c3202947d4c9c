/**
 * A watch that is opened anew whenever it is closed, because it fell behind or the state jumped ahead. For whoever
 * reads the range anew at each change, and needs no single event.
 */
import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Store, Watch } from './store.ts'

const AGAIN: BackoffConfig = { baseMs: 50, maxMs: 5_000 }

export interface FollowParts {
  readonly store: Pick<Store, 'watch' | 'revision'>
  readonly range: { readonly start: string; readonly end: string }
  /** Something in the range has changed, or may have while nobody watched. Must not throw. */
  readonly onChange: () => void
  readonly clock: Clock
}

/** `onChange` is not called for what was there before. */
export function followRange(parts: FollowParts): Watch {
  const followed = new FollowedRange(parts)
  followed.open()
  return followed
}

class FollowedRange implements Watch {
  readonly #parts: FollowParts
  #watch: Watch | null = null
  #timer: Timer | null = null
  #closed = false
  #openedAt = 0
  #failures = 0

  constructor(parts: FollowParts) {
    this.#parts = parts
  }

  open(): void {
    const { store, range, onChange, clock } = this.#parts
    this.#openedAt = clock.monotonic()
    try {
      this.#watch = store.watch(
        { ...range, after: store.revision },
        {
          onEvents: () => this.#closed || onChange(),
          onClosed: () => this.#openLater(),
        },
      )
    } catch {
      // The store ends, or has no state at this moment.
      this.#openLater()
    }
  }

  close(): void {
    this.#closed = true
    this.#watch?.close()
    this.#timer?.cancel()
  }

  #openLater(): void {
    if (this.#closed) return
    const { clock } = this.#parts
    const lasted = clock.monotonic() - this.#openedAt
    this.#failures = lasted > AGAIN.maxMs ? 1 : this.#failures + 1
    this.#timer?.cancel()
    this.#timer = clock.after(backoffMs(AGAIN, this.#failures), () => {
      this.open()
      this.#parts.onChange()
    })
  }
}
