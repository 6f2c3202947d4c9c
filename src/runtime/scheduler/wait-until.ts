/** Waits for what others have to do before a pod can be bound. */
import { type Clock, sleep } from '../../base/clock.ts'

export interface Awaited {
  /** Throws when it will not come to that any more. */
  readonly isDone: () => boolean
  /** Calls when it is worth another look; returns an unsubscribe. */
  readonly onChange: (listener: () => void) => () => void
  readonly clock: Clock
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

export async function waitUntil({ isDone, onChange, clock, timeoutMs, signal }: Awaited): Promise<void> {
  if (isDone()) return
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const unsubscribe = onChange(() => {
    try {
      if (isDone()) resolve()
    } catch (error) {
      reject(error)
    }
  })
  const over = new AbortController()
  const late = sleep(clock, timeoutMs, AbortSignal.any([over.signal, signal])).then(() => {
    throw new Error('timed out waiting for the condition')
  })
  late.catch(() => {})
  try {
    await Promise.race([promise, late])
  } finally {
    unsubscribe()
    over.abort()
  }
}
