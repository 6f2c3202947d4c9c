/** Time as an argument. Everything that waits, stamps or measures takes a Clock, so tests can move it. */

export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Wall time in milliseconds since the epoch: for timestamps that people read, never for measuring. */
  now(): number
  /** Milliseconds from an arbitrary start that never go backwards: for measuring and timeouts. */
  monotonic(): number
  /** Calls `callback` once after `delayMs`; the pending call alone does not keep the process alive. */
  after(delayMs: number, callback: () => void): Timer
}

/** Any pause will do: the timer is only there. */
const HOLD_MS = 1_000

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs)
    timer.unref()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Resolves after `delayMs`, or rejects with the signal's reason when it is aborted first. */
export function sleep(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** As `sleep`, for a process that has nothing else to do: the clock's own timers do not keep it alive. */
export async function sleepAlive(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  const held = setInterval(() => {}, HOLD_MS)
  try {
    await sleep(clock, delayMs, signal)
  } finally {
    clearInterval(held)
  }
}

/** Whether it settles within the time; what it settles with does not matter. */
export async function endsWithin(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController()
  const ended = work.then(
    () => true,
    () => true,
  )
  const late = sleepAlive(clock, limitMs, over.signal).then(
    () => false,
    () => false,
  )
  try {
    return await Promise.race([ended, late])
  } finally {
    over.abort()
  }
}
