/** Timestamps as Kubernetes writes them, and durations as kubectl shows them. */

const SECOND_MS = 1_000
const DATE = String.raw`\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])`
const TIME_OF_DAY = String.raw`([01]\d|2[0-3]):[0-5]\d:[0-5]\d([.,]\d+)?`
const TIME_PATTERN = new RegExp(String.raw`^${DATE}[Tt]${TIME_OF_DAY}([Zz]|[+-]\d{2}:\d{2})$`)

/** metav1.Time: RFC 3339 in UTC with whole seconds. */
export function formatTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

/** metav1.MicroTime: RFC 3339 in UTC with six decimals. */
export function formatMicroTime(ms: number): string {
  const whole = Math.floor(ms)
  const micros = Math.floor((ms - whole) * 1_000)
  return `${new Date(whole).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}Z`
}

/** Milliseconds since the epoch of an RFC 3339 text, or null when it is none. */
export function parseTime(text: string): number | null {
  if (!TIME_PATTERN.test(text)) return null
  const ms = Date.parse(text.replace(',', '.').toUpperCase())
  return Number.isNaN(ms) ? null : ms
}

/** `two` where the smaller unit says something, `one` where it is 0. */
const pair = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
  small === 0 ? `${big}${bigUnit}` : `${big}${bigUnit}${small}${smallUnit}`

/** A duration as kubectl prints ages: `5s`, `3m20s`, `4h`, `2d3h`, `400d`, `3y20d`. */
export function humanDuration(ms: number): string {
  const seconds = Math.trunc(ms / SECOND_MS)
  if (seconds < -1) return '<invalid>'
  if (seconds < 0) return '0s'
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return pair(minutes, 'm', seconds % 60, 's')
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return pair(hours, 'h', minutes % 60, 'm')
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  if (days < 8) return pair(days, 'd', hours % 24, 'h')
  if (days < 730) return `${days}d`
  const years = Math.floor(days / 365)
  return years < 8 ? pair(years, 'y', days % 365, 'd') : `${years}y`
}

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: SECOND_MS,
  m: 60 * SECOND_MS,
  h: 3_600 * SECOND_MS,
}
const GO_DURATION = /^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/

/** The milliseconds of a duration as Go writes it (`300ms`, `1m30s`, `0`); null for what is none, or negative. */
export function parseGoDuration(text: string): number | null {
  if (text === '0') return 0
  if (!GO_DURATION.test(text)) return null
  let ms = 0
  for (const [, amount, unit = ''] of text.matchAll(/([\d.]+)([a-zµ]+)/g))
    ms += Number(amount) * (UNIT_MS[unit] ?? 0)
  return ms
}
