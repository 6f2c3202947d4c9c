/**
 * Proposes, on the leader, to forget history older than the time it is kept. It notes the revision at each
 * interval and compacts to the note that is old enough, so history is kept between one and two intervals.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Revision } from './store.ts'

/** History is kept at least this long. */
export const HISTORY_KEPT_MS = 5 * 60_000

export interface CompactorParts {
  readonly clock: Clock
  readonly revision: () => Revision
  readonly compactedRevision: () => Revision
  readonly compact: (revision: Revision) => void
}

export class Compactor {
  readonly #parts: CompactorParts
  #noted: Revision | null = null
  #timer: Timer | null = null

  constructor(parts: CompactorParts) {
    this.#parts = parts
  }

  start(): void {
    this.stop()
    this.#noted = this.#parts.revision()
    this.#wait()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#noted = null
  }

  #wait(): void {
    this.#timer = this.#parts.clock.after(HISTORY_KEPT_MS, () => {
      const noted = this.#noted
      this.#noted = this.#parts.revision()
      this.#wait()
      if (noted !== null && noted > this.#parts.compactedRevision()) this.#parts.compact(noted)
    })
  }
}
