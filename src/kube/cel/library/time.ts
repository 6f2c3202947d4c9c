/** Timestamps and durations: to and from text, and what they consist of, in any time zone. */
import { method, type Overload } from '../functions.ts'
import { DURATION, INT, STRING, TIMESTAMP } from '../types.ts'
import { CelError, Duration, Timestamp } from '../values.ts'
import { INT_MAX, INT_MIN } from './numbers.ts'

const SECOND = 1_000_000_000n
const MILLISECOND = 1_000_000n
const FIRST_SECOND = -62_135_596_800n
const LAST_SECOND = 253_402_300_799n
const DAY_SECONDS = 86_400n

export function checkTimestamp(time: Timestamp): Timestamp {
  const seconds = floorDivide(time.nanos, SECOND)
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) throw new CelError('timestamp overflow')
  return time
}

export function checkDuration(duration: Duration): Duration {
  if (duration.nanos > INT_MAX || duration.nanos < INT_MIN) throw new CelError('duration overflow')
  return duration
}

const floorDivide = (a: bigint, b: bigint): bigint => (a - (((a % b) + b) % b)) / b
const remainder = (a: bigint, b: bigint): bigint => ((a % b) + b) % b

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?\d*(?:[Zz]|([-+])(\d\d):(\d\d))$/
const MINUTE_MS = 60_000
const HOUR_MINUTES = 60
const NANO_DIGITS = 9

/** RFC 3339; null for what is none. */
export function parseTimestamp(text: string): Timestamp | null {
  const match = RFC3339.exec(text)
  if (match === null) return null
  const [, year, month, day, hour, minute, second, fraction = '', sign, zoneHours = '0', zoneMinutes = '0'] =
    match
  const parts = [year, month, day, hour, minute, second].map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const date = new Date(0)
  date.setUTCFullYear(parts[0], parts[1] - 1, parts[2])
  date.setUTCHours(parts[3], parts[4], parts[5])
  const isReal = date.getUTCDate() === parts[2] && date.getUTCSeconds() === parts[5] && parts[3] < 24
  if (!isReal || parts[4] >= HOUR_MINUTES) return null
  const offset =
    (Number(zoneHours) * HOUR_MINUTES + Number(zoneMinutes)) * MINUTE_MS * (sign === '-' ? -1 : 1)
  const nanos = BigInt(date.getTime() - offset) * MILLISECOND + BigInt(fraction.padEnd(NANO_DIGITS, '0'))
  const seconds = floorDivide(nanos, SECOND)
  return seconds < FIRST_SECOND || seconds > LAST_SECOND ? null : new Timestamp(nanos)
}

export function formatTimestamp({ nanos }: Timestamp): string {
  const millis = Number(floorDivide(nanos, MILLISECOND))
  const [head = ''] = new Date(millis).toISOString().split('.')
  const fraction = String(remainder(nanos, SECOND)).padStart(NANO_DIGITS, '0').replace(/0+$/, '')
  return fraction === '' ? `${head}Z` : `${head}.${fraction}Z`
}

const UNITS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: MILLISECOND,
  s: SECOND,
  m: 60n * SECOND,
  h: 3600n * SECOND,
}
const DURATION_PART = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y

/** `1h30m`, as Go writes durations; null for what is none. */
export function parseDuration(text: string): Duration | null {
  const isNegative = text.startsWith('-')
  const body = text.replace(/^[-+]/, '')
  if (body === '0') return new Duration(0n)
  if (body === '') return null
  let total = 0n
  DURATION_PART.lastIndex = 0
  for (let at = 0; at < body.length; at = DURATION_PART.lastIndex) {
    const match = DURATION_PART.exec(body)
    if (match === null) return null
    const [, amount = '', unit = ''] = match
    const [whole = '', fraction = ''] = amount.split('.')
    const size = UNITS[unit] ?? 0n
    total += BigInt(whole === '' ? '0' : whole) * size
    if (fraction !== '') total += (BigInt(fraction) * size) / 10n ** BigInt(fraction.length)
  }
  const nanos = isNegative ? -total : total
  return nanos > INT_MAX || nanos < INT_MIN ? null : new Duration(nanos)
}

/** Seconds, as `string(duration)` has them. */
export function formatDuration({ nanos }: Duration): string {
  const sign = nanos < 0n ? '-' : ''
  const size = nanos < 0n ? -nanos : nanos
  const fraction = String(size % SECOND)
    .padStart(NANO_DIGITS, '0')
    .replace(/0+$/, '')
  return `${sign}${size / SECOND}${fraction === '' ? '' : `.${fraction}`}s`
}

const OFFSET = /^([-+]?)(\d{1,2}):(\d{2})$/

/** The wall clock of the zone at that moment, as a UTC date that reads the same. */
function wallClock({ nanos }: Timestamp, zone: string): Date {
  const millis = Number(floorDivide(nanos, MILLISECOND))
  const offset = OFFSET.exec(zone)
  if (offset !== null) {
    const minutes = Number(offset[2]) * HOUR_MINUTES + Number(offset[3])
    return new Date(millis + (offset[1] === '-' ? -minutes : minutes) * MINUTE_MS)
  }
  if (zone === '' || zone === 'UTC') return new Date(millis)
  return new Date(millis + zoneOffset(millis, zone))
}

function zoneOffset(millis: number, zone: string): number {
  try {
    const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' })
    const name = format.formatToParts(millis).find(part => part.type === 'timeZoneName')?.value ?? 'GMT'
    const match = /GMT([-+])(\d\d):(\d\d)/.exec(name)
    if (match === null) return 0
    const minutes = Number(match[2]) * HOUR_MINUTES + Number(match[3])
    return (match[1] === '-' ? -minutes : minutes) * MINUTE_MS
  } catch {
    throw new CelError(`unknown time zone ${zone}`)
  }
}

function dayOfYear(date: Date): number {
  const first = new Date(date)
  first.setUTCMonth(0, 1)
  return Math.round((date.getTime() - first.getTime()) / (Number(DAY_SECONDS) * 1000))
}

const PARTS: Readonly<Record<string, (date: Date) => number>> = {
  getFullYear: date => date.getUTCFullYear(),
  getMonth: date => date.getUTCMonth(),
  getDayOfYear: dayOfYear,
  getDayOfMonth: date => date.getUTCDate() - 1,
  getDate: date => date.getUTCDate(),
  getDayOfWeek: date => date.getUTCDay(),
  getHours: date => date.getUTCHours(),
  getMinutes: date => date.getUTCMinutes(),
  getSeconds: date => date.getUTCSeconds(),
  getMilliseconds: date => date.getUTCMilliseconds(),
}

const DURATION_PARTS: Readonly<Record<string, (nanos: bigint) => bigint>> = {
  getHours: nanos => nanos / (3600n * SECOND),
  getMinutes: nanos => nanos / (60n * SECOND),
  getSeconds: nanos => nanos / SECOND,
  getMilliseconds: nanos => (nanos / MILLISECOND) % 1000n,
}

export const timeParts: readonly Overload[] = [
  ...Object.entries(PARTS).flatMap(([name, part]) => [
    method(name, [[TIMESTAMP], INT], (time: Timestamp) => BigInt(part(wallClock(time, '')))),
    method(name, [[TIMESTAMP, STRING], INT], (time: Timestamp, zone: string) =>
      BigInt(part(wallClock(time, zone))),
    ),
  ]),
  ...Object.entries(DURATION_PARTS).map(([name, part]) =>
    method(name, [[DURATION], INT], ({ nanos }: Duration) => part(nanos)),
  ),
]
