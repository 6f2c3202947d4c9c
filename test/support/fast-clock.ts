/** A clock on which everything happens sooner: for what waits for minutes. */
import { type Clock, systemClock } from '../../src/base/clock.ts'

export function fastClock(times: number): Clock {
  const startMs = systemClock.now()
  const startMonotonic = systemClock.monotonic()
  return {
    now: () => startMs + (systemClock.now() - startMs) * times,
    monotonic: () => startMonotonic + (systemClock.monotonic() - startMonotonic) * times,
    after: (delayMs, callback) => systemClock.after(delayMs / times, callback),
  }
}
