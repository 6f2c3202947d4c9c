/**
 * Proposes, on the leader, to forget history older than the time it is kept, or of more bytes than may be kept. It
 * notes the revision at each interval and compacts to the note that is old enough, so history is kept between one
 * and two intervals; of a store that is written much, the newest part of it.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Revision } from './store.ts'

/** History is kept this long, unless it has too many bytes. */
export const HISTORY_KEPT_MS = 5 * 60_000
/** So much of it may be kept; then a quarter goes. */
export const HISTORY_BYTES_MAX = 128 * 1024 * 1024
const HISTORY_BYTES_LEFT = HISTORY_BYTES_MAX * 0.75

/** What the compactor has to know of the state, which a snapshot may replace. */
interface Compacted {
  readonly revision: Revision
  readonly compactedRevision: Revision
  readonly historyBytes: number
  revisionToKeep(bytes: number): Revision | null
}

export interface CompactorParts {
  readonly clock: Clock
  readonly state: () => Compacted
  readonly compact: (revision: Revision) => Promise<void>
}

export class Compactor {
  readonly #parts: CompactorParts
  #noted: Revision | null = null
  #timer: Timer | null = null
  #isShortening = false

  constructor(parts: CompactorParts) {
    this.#parts = parts
  }

  start(): void {
    this.stop()
    this.#noted = this.#parts.state().revision
    this.#wait()
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#noted = null
  }

  /** Something was written. */
  onApplied(): void {
    const state = this.#parts.state()
    if (state.historyBytes <= HISTORY_BYTES_MAX || this.#isShortening || this.#timer === null) return
    const revision = state.revisionToKeep(HISTORY_BYTES_LEFT)
    if (revision === null) return
    this.#isShortening = true
    void this.#parts.compact(revision).finally(() => {
      this.#isShortening = false
    })
  }

  #wait(): void {
    this.#timer = this.#parts.clock.after(HISTORY_KEPT_MS, () => {
      const noted = this.#noted
      const { revision, compactedRevision } = this.#parts.state()
      this.#noted = revision
      this.#wait()
      if (noted !== null && noted > compactedRevision) void this.#parts.compact(noted)
    })
  }
}
