/** Waits until an entry is applied here. Bounded in time; ends with the store. */
import type { Clock, Timer } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'

const SWEEP_MS = 1_000

interface Barrier {
  readonly index: number
  readonly deadline: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

export class Barriers {
  readonly #clock: Clock
  #waiting: Barrier[] = []
  #sweep: Timer | null = null

  constructor(clock: Clock) {
    this.#clock = clock
  }

  wait(index: number, timeoutMs: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const deadline = this.#clock.monotonic() + timeoutMs
    this.#waiting.push({ index, deadline, resolve, reject })
    this.#armSweep()
    return promise
  }

  applied(index: number): void {
    if (this.#waiting.length === 0) return
    for (const barrier of this.#waiting) if (barrier.index <= index) barrier.resolve()
    this.#waiting = this.#waiting.filter(barrier => barrier.index > index)
  }

  end(error: Error): void {
    this.#sweep?.cancel()
    for (const barrier of this.#waiting.splice(0)) barrier.reject(error)
  }

  #armSweep(): void {
    this.#sweep ??= this.#clock.after(SWEEP_MS, () => {
      this.#sweep = null
      const now = this.#clock.monotonic()
      for (const barrier of this.#waiting) if (barrier.deadline <= now) barrier.reject(lateError())
      this.#waiting = this.#waiting.filter(barrier => barrier.deadline > now)
      if (this.#waiting.length > 0) this.#armSweep()
    })
  }
}

function lateError(): Mk8sError {
  return new Mk8sError('store/no-leader', 'this member has not caught up with the others in time')
}
