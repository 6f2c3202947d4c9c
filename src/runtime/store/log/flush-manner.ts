/**
 * Whether a flush is waited for where it is asked for, or on another thread. Handing it over and back takes as long as
 * a quick disk flushes, and costs a tenth of the processor time of a put; but on a disk that is slow now, whoever
 * waits would do nothing else meanwhile.
 */

/** Much less than a heartbeat interval. */
export const QUICK_MS_MAX = 10
/** So many quick ones in a row say that the disk is quick again. */
export const QUICK_FLUSHES = 16

export class FlushManner {
  #quickOnesLeft = 0

  /** The next flush is likely to be quick. */
  get isQuick(): boolean {
    return this.#quickOnesLeft === 0
  }

  took(milliseconds: number): void {
    if (milliseconds > QUICK_MS_MAX) this.#quickOnesLeft = QUICK_FLUSHES
    else if (this.#quickOnesLeft > 0) this.#quickOnesLeft--
  }
}
