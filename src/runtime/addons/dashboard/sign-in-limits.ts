/** How often somebody may try to sign in with what is not a token: per address, and all together. Pure but for time. */
import type { Clock } from '../../../base/clock.ts'

const WINDOW_MS = 60_000
export const FAILURES_MAX = 10
export const FAILURES_OF_ALL_MAX = 200
const ADDRESSES_MAX = 2_000

export class SignInLimits {
  readonly #clock: Clock
  #failures = new Map<string, number>()
  #all = 0
  #since: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#since = clock.monotonic()
  }

  /** Seconds to wait; 0: go on. */
  waitSeconds(address: string): number {
    const left = this.#windowLeftMs()
    const isOver =
      (this.#failures.get(sourceOf(address)) ?? 0) >= FAILURES_MAX || this.#all >= FAILURES_OF_ALL_MAX
    return isOver ? Math.ceil(left / 1000) : 0
  }

  failed(address: string): void {
    const source = sourceOf(address)
    this.#all += 1
    if (this.#failures.size < ADDRESSES_MAX || this.#failures.has(source))
      this.#failures.set(source, (this.#failures.get(source) ?? 0) + 1)
  }

  #windowLeftMs(): number {
    const now = this.#clock.monotonic()
    if (now - this.#since >= WINDOW_MS) {
      this.#since = now
      this.#failures = new Map()
      this.#all = 0
    }
    return WINDOW_MS - (now - this.#since)
  }
}

/** Whoever has one address of IPv6 has a network of them. */
const sourceOf = (address: string): string =>
  address.includes(':') && !address.startsWith('::ffff:') ? address.split(':').slice(0, 4).join(':') : address
