/**
 * Counts leases down on the leader's monotonic clock. After a change of leadership every lease gets its
 * whole time again: a lease may live longer than it says, never shorter.
 */
import type { Clock, Timer } from '../../base/clock.ts'

/** Expiries are gathered so that many leases that end together cost one pass. */
const EXPIRY_GRANULARITY_MS = 500

export interface LeaseKeeperParts {
  readonly clock: Clock
  /** Proposes the revocation; called again later if the lease is still there. */
  readonly revoke: (lease: number) => void
}

export class LeaseKeeper {
  readonly #parts: LeaseKeeperParts
  readonly #deadlines = new Map<number, number>()
  /** Their time was over, and their revocation is under way. */
  readonly #revoking = new Set<number>()
  #timer: Timer | null = null
  #wakeAt = Number.POSITIVE_INFINITY

  constructor(parts: LeaseKeeperParts) {
    this.#parts = parts
  }

  /** Leadership was won (with the leases that exist) or lost (null). */
  reset(leases: readonly { readonly lease: number; readonly ttlMs: number }[] | null): void {
    this.#deadlines.clear()
    this.#revoking.clear()
    this.#cancel()
    for (const { lease, ttlMs } of leases ?? []) this.arm(lease, ttlMs)
  }

  arm(lease: number, ttlMs: number): void {
    const deadline = this.#parts.clock.monotonic() + ttlMs
    this.#deadlines.set(lease, deadline)
    this.#wake(deadline)
  }

  disarm(lease: number): void {
    this.#deadlines.delete(lease)
    this.#revoking.delete(lease)
  }

  /** What is left of the lease's time; 0 when it is over, null when it is not counted here. */
  remaining(lease: number): number | null {
    const deadline = this.#deadlines.get(lease)
    if (deadline === undefined) return null
    return this.#revoking.has(lease) ? 0 : Math.max(0, deadline - this.#parts.clock.monotonic())
  }

  #wake(deadline: number): void {
    if (deadline >= this.#wakeAt) return
    this.#cancel()
    this.#wakeAt = deadline
    const delay = Math.max(EXPIRY_GRANULARITY_MS / 10, deadline - this.#parts.clock.monotonic())
    this.#timer = this.#parts.clock.after(Math.min(delay, 2 ** 31 - 1), () => this.#expire())
  }

  #expire(): void {
    this.#cancel()
    const now = this.#parts.clock.monotonic()
    let next = Number.POSITIVE_INFINITY
    for (const [lease, deadline] of this.#deadlines) {
      if (deadline <= now) {
        this.#deadlines.set(lease, now + 10 * EXPIRY_GRANULARITY_MS)
        this.#revoking.add(lease)
        this.#parts.revoke(lease)
      }
      next = Math.min(next, this.#deadlines.get(lease) ?? next)
    }
    if (next !== Number.POSITIVE_INFINITY) this.#wake(Math.max(next, now + EXPIRY_GRANULARITY_MS))
  }

  #cancel(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#wakeAt = Number.POSITIVE_INFINITY
  }
}
