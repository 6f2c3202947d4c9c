/** How far a time zone is from UTC, and when that changes. Pure. */

const SECOND_MS = 1_000
const DAY_MS = 86_400_000
/** No zone changes its clock twice within so long. */
const STEP_MS = 7 * DAY_MS

export class ZoneClock {
  readonly #format: Intl.DateTimeFormat

  /** Throws RangeError for what is no zone. */
  constructor(timeZone: string) {
    const numeric = 'numeric'
    this.#format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      calendar: 'gregory',
      hourCycle: 'h23',
      era: 'short',
      year: numeric,
      month: numeric,
      day: numeric,
      hour: numeric,
      minute: numeric,
      second: numeric,
    })
  }

  /** What the zone's clock shows is UTC and this. */
  offsetAt(ms: number): number {
    const shown = new Map<string, number>()
    for (const { type, value } of this.#format.formatToParts(ms)) shown.set(type, Number(value))
    const of = (type: string) => shown.get(type) ?? 0
    const local = Date.UTC(of('year'), of('month') - 1, of('day'), of('hour'), of('minute'), of('second'))
    return local - Math.floor(ms / SECOND_MS) * SECOND_MS
  }

  /** The first moment after `fromMs`, and not after `toMs`, from which on the offset is another; null without one. */
  firstChange(fromMs: number, toMs: number): number | null {
    const offset = this.offsetAt(fromMs)
    for (let low = fromMs; low < toMs; low += STEP_MS) {
      const high = Math.min(low + STEP_MS, toMs)
      if (this.offsetAt(high) !== offset) return this.#between(low, high)
    }
    return null
  }

  /** The last such moment. */
  lastChange(fromMs: number, toMs: number): number | null {
    const offset = this.offsetAt(toMs)
    for (let high = toMs; high > fromMs; high -= STEP_MS) {
      const low = Math.max(high - STEP_MS, fromMs)
      if (this.offsetAt(low) !== offset) return this.#between(low, high)
    }
    return null
  }

  /** Clocks change at whole seconds. */
  #between(lowMs: number, highMs: number): number {
    const offset = this.offsetAt(lowMs)
    let low = Math.floor(lowMs / SECOND_MS)
    let high = Math.floor(highMs / SECOND_MS)
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2)
      if (this.offsetAt(middle * SECOND_MS) === offset) low = middle
      else high = middle
    }
    return high * SECOND_MS
  }
}
