/**
 * Every ten seconds seats go from priority levels that do not need theirs to those that do, between the bounds that
 * each level's configuration sets. Pure.
 */
import type { LevelConfig } from './config.ts'

export const BORROWING_PERIOD_SECONDS = 10
/** How slowly a demand that has been is forgotten, per period. */
const SMOOTHING = 0.977
const ROUNDS = 40

/** How many seats were wanted in a period: time-weighted. */
export class SeatDemand {
  #since = 0
  #start = 0
  #now = 0
  #area = 0
  #squares = 0
  #high = 0

  set(demand: number, seconds: number): void {
    this.#add(seconds)
    this.#now = demand
    if (demand > this.#high) this.#high = demand
  }

  /** Of the time since the last call. */
  take(seconds: number): { readonly high: number; readonly average: number; readonly deviation: number } {
    this.#add(seconds)
    const length = Math.max(seconds - this.#start, Number.EPSILON)
    const average = this.#area / length
    const deviation = Math.sqrt(Math.max(0, this.#squares / length - average * average))
    const high = this.#high
    this.#start = seconds
    this.#area = 0
    this.#squares = 0
    this.#high = this.#now
    return { high, average, deviation }
  }

  #add(seconds: number): void {
    const passed = Math.max(0, seconds - this.#since)
    this.#since = seconds
    this.#area += this.#now * passed
    this.#squares += this.#now * this.#now * passed
  }
}

/** What is remembered of a level's demand. */
export function smoothed(
  before: number,
  period: { readonly high: number; readonly average: number; readonly deviation: number },
): number {
  const envelope = Math.min(period.high, period.average + period.deviation)
  return Math.max(envelope, SMOOTHING * before + (1 - SMOOTHING) * envelope)
}

export interface Claimant {
  readonly config: LevelConfig
  readonly high: number
  readonly smooth: number
}

/** The seats of each limited level for the next period; exempt ones take what they use out of the total first. */
export function currentLimits(claimants: readonly Claimant[], serverSeats: number): readonly number[] {
  const floor = ({ config, high }: Claimant) => Math.max(config.lower, Math.min(config.nominal, high))
  const floors = claimants.map(floor)
  const least = floors.reduce((sum, one) => sum + one, 0)
  if (least >= serverSeats) return floors.map(one => Math.max(1, Math.round(one)))
  const limitsAt = (share: number) =>
    claimants.map((one, at) => {
      const lowest = floors[at] ?? 0
      // Without any demand a level keeps being able to serve its nominal seats, should nobody else need them.
      const target = Math.max(lowest, one.smooth, Number.EPSILON)
      return Math.min(one.config.upper, Math.max(lowest, share * target))
    })
  const total = (limits: readonly number[]) => limits.reduce((sum, one) => sum + one, 0)
  let low = 0
  let high = serverSeats / Math.max(1, Math.min(...claimants.map(one => Math.max(1, one.smooth))))
  for (let round = 0; round < ROUNDS; round++) {
    const middle = (low + high) / 2
    if (total(limitsAt(middle)) > serverSeats) high = middle
    else low = middle
  }
  return limitsAt(low).map(one => Math.max(1, Math.round(one)))
}
