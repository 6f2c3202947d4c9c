/** Counts wrong tokens, so that nobody tries many of them from one address. */
import type { Clock } from '../../base/clock.ts'

const WINDOW_MS = 60_000
export const WRONG_MAX = 10
/** Addresses remembered; more go uncounted, and find out that a token has at least 96 bits. */
const ADDRESSES_MAX = 1_024

export class WrongTokens {
  readonly #clock: Pick<Clock, 'monotonic'>
  #since: number
  #counts = new Map<string, number>()

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  /** Whether this address has to wait, whatever it says now. */
  isBlocked(address: string): boolean {
    this.#turn()
    return (this.#counts.get(address) ?? 0) >= WRONG_MAX
  }

  count(address: string): void {
    this.#turn()
    if (this.#counts.size < ADDRESSES_MAX || this.#counts.has(address))
      this.#counts.set(address, (this.#counts.get(address) ?? 0) + 1)
  }

  #turn(): void {
    const now = this.#clock.monotonic()
    if (now - this.#since < WINDOW_MS) return
    this.#since = now
    this.#counts = new Map()
  }
}
