/**
 * Gives back what a burst of work left, once the thread is idle. Left alone, V8 keeps the young generation and the
 * garbage of the burst for a minute and longer: it takes the thread for busy until its next collection, and who is
 * idle has none. So a collection of the young generation is made now and then; V8 then collects the rest, in steps.
 */
import type { Clock, Timer } from '../base/clock.ts'

export const LOOK_EVERY_MS = 5_000
/** A thread that works for less of the time is idle. */
const IDLE_SHARE = 0.25
/** What is worth the trouble. */
const GROWN_BYTES = 24 * 1024 * 1024
/** V8 has finished by the last look; what the burst left outside of its memory is given back at the first one. */
const CALM_LOOKS = 4

export interface IdleMemoryParts {
  readonly clock: Clock
  /** Bytes of memory that this process has. */
  readonly resident: () => number
  /** The share of the time since the last call in which the thread worked. */
  readonly workedShare: () => number
  readonly collectYoung: () => void
  readonly releaseFreed: () => void
}

/** The returned timer ends it. */
export function giveBackWhenIdle(parts: IdleMemoryParts): Timer {
  const { clock } = parts
  let least = parts.resident()
  let calm = 0
  const look = () => {
    timer = clock.after(LOOK_EVERY_MS, look)
    if (parts.workedShare() >= IDLE_SHARE) {
      calm = 0
      return
    }
    const resident = parts.resident()
    least = Math.min(least, resident)
    if (resident < least + GROWN_BYTES) return
    parts.collectYoung()
    calm += 1
    if (calm === 1 || calm === CALM_LOOKS) parts.releaseFreed()
    if (calm < CALM_LOOKS) return
    calm = 0
    least = parts.resident()
  }
  let timer = clock.after(LOOK_EVERY_MS, look)
  return { cancel: () => timer.cancel() }
}
