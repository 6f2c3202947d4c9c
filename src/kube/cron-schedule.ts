/**
 * The schedules of CronJobs: five fields or a descriptor, refused in upstream's words, and the times they name in
 * a time zone. A time that a change of the clock leaves out is none; one that comes twice is taken twice, as upstream
 * does.
 */
import { Cron } from 'croner'
import { parseGoDuration } from './time.ts'
import { ZoneClock } from './zone-clock.ts'

export interface CronSchedule {
  /** The first time after this one; null when there is none. */
  next(afterMs: number): number | null
  /** The last time after `afterMs` and at or before `atMs`; null when there was none. */
  latest(afterMs: number, atMs: number): number | null
}

interface Bounds {
  readonly min: number
  readonly max: number
  readonly names: readonly string[]
}

const MONTHS = ['', 'jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const BOUNDS: readonly Bounds[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
]
const DESCRIPTORS: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}
const EVERY = '@every '
const ZONE = /^(?:CRON_)?TZ=\S* /
const SECOND_MS = 1_000
/** Changes of a zone's clock on the way to a time; eight years lie between some leap days. */
const SPANS_MAX = 100

/** What is wrong with a schedule, in upstream's words; null when nothing is. */
export function cronProblem(text: string): string | null {
  try {
    parseCronSchedule(text, 'UTC')
    return null
  } catch (error) {
    if (error instanceof RangeError) return error.message
    throw error
  }
}

/** Throws RangeError for what is no schedule. */
export function parseCronSchedule(text: string, timeZone: string): CronSchedule {
  const spec = text.replace(ZONE, '').trim()
  if (spec === '') throw new RangeError('empty spec string')
  if (spec.startsWith(EVERY)) return everySchedule(spec)
  const fields = spec.startsWith('@') ? descriptorOf(spec) : spec
  const cron = new Cron(normalize(fields), { timezone: 'UTC', paused: true, mode: '5-part' })
  return calendarSchedule(cron, new ZoneClock(timeZone))
}

function descriptorOf(spec: string): string {
  const fields = Object.hasOwn(DESCRIPTORS, spec) ? DESCRIPTORS[spec] : undefined
  if (fields === undefined) throw new RangeError(`unrecognized descriptor: ${spec}`)
  return fields
}

function everySchedule(spec: string): CronSchedule {
  const text = spec.slice(EVERY.length)
  const durationMs = parseGoDuration(text)
  if (durationMs === null) {
    throw new RangeError(`failed to parse duration ${spec}: time: invalid duration ${JSON.stringify(text)}`)
  }
  const everyMs = Math.max(SECOND_MS, durationMs - (durationMs % SECOND_MS))
  const next = (afterMs: number) => afterMs - (afterMs % SECOND_MS) + everyMs
  return {
    next,
    latest(afterMs, atMs) {
      const first = next(afterMs)
      return first > atMs ? null : first + Math.floor((atMs - first) / everyMs) * everyMs
    },
  }
}

/** Until the zone's clock is changed again, its times are those of UTC, moved: so each of these spans is searched. */
function calendarSchedule(cron: Cron, zone: ZoneClock): CronSchedule {
  return {
    next(afterMs) {
      let startMs = afterMs
      let lastMs = afterMs
      for (let spans = 0; spans < SPANS_MAX; spans++) {
        const offsetMs = zone.offsetAt(startMs)
        const found = cron.nextRun(new Date(lastMs + offsetMs))
        if (found === null) return null
        const foundMs = found.getTime() - offsetMs
        const changeMs = zone.firstChange(startMs, foundMs)
        if (changeMs === null) return foundMs
        startMs = changeMs
        lastMs = changeMs - 1
      }
      return null
    },
    latest(afterMs, atMs) {
      let endMs = atMs
      for (let spans = 0; spans < SPANS_MAX && endMs > afterMs; spans++) {
        const offsetMs = zone.offsetAt(endMs)
        // What croner takes as the end does not belong to what it finds, and it counts whole seconds.
        const end = new Date(endMs + SECOND_MS - (endMs % SECOND_MS) + offsetMs)
        const [found] = cron.previousRuns(1, end)
        const foundMs = found === undefined ? afterMs : Math.max(found.getTime() - offsetMs, afterMs)
        const changeMs = zone.lastChange(foundMs, endMs)
        if (changeMs === null) return foundMs > afterMs ? foundMs : null
        endMs = changeMs - 1
      }
      return null
    },
  }
}

/** The five fields as stars and lists of numbers, which mean the same to everybody. */
function normalize(spec: string): string {
  const fields = spec.split(/\s+/)
  if (fields.length !== BOUNDS.length) {
    throw new RangeError(
      `expected exactly ${BOUNDS.length} fields, found ${fields.length}: [${fields.join(' ')}]`,
    )
  }
  return BOUNDS.map((bounds, index) => parseField(fields[index] ?? '', bounds)).join(' ')
}

function parseField(field: string, bounds: Bounds): string {
  const numbers = new Set<number>()
  let isStar = false
  for (const expression of field.split(',').filter(each => each !== '')) {
    const range = parseRange(expression, bounds)
    isStar ||= range.isStar
    for (let value = range.first; value <= range.last; value += range.step) numbers.add(value)
  }
  if (isStar || numbers.size === 0) return '*'
  return [...numbers].sort((a, b) => a - b).join(',')
}

interface Range {
  readonly first: number
  readonly last: number
  readonly step: number
  /** A star that leaves nothing out: such a field of days does not choose. */
  readonly isStar: boolean
}

function parseRange(expression: string, bounds: Bounds): Range {
  const [span = '', stepText, ...more] = expression.split('/')
  const [low = '', high, ...rest] = span.split('-')
  const isAny = low === '*' || low === '?'
  if (!isAny && rest.length > 0) throw new RangeError(`too many hyphens: ${expression}`)
  const first = isAny ? bounds.min : parseValue(low, bounds)
  let last = isAny ? bounds.max : high === undefined ? first : parseValue(high, bounds)
  if (more.length > 0) throw new RangeError(`too many slashes: ${expression}`)
  const step = stepText === undefined ? 1 : parseNumber(stepText)
  if (stepText !== undefined && !isAny && high === undefined) last = bounds.max
  checkRange(expression, { first, last, step }, bounds)
  return { first, last, step, isStar: isAny && step === 1 }
}

function checkRange(
  expression: string,
  { first, last, step }: Pick<Range, 'first' | 'last' | 'step'>,
  { min, max }: Bounds,
): void {
  if (first < min) throw new RangeError(`beginning of range (${first}) below minimum (${min}): ${expression}`)
  if (last > max) throw new RangeError(`end of range (${last}) above maximum (${max}): ${expression}`)
  if (first > last) {
    throw new RangeError(`beginning of range (${first}) beyond end of range (${last}): ${expression}`)
  }
  if (step === 0) throw new RangeError(`step of range should be a positive number: ${expression}`)
}

function parseValue(text: string, { names }: Bounds): number {
  const named = text === '' ? -1 : names.indexOf(text.toLowerCase())
  return named === -1 ? parseNumber(text) : named
}

function parseNumber(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) {
    throw new RangeError(
      `failed to parse int from ${text}: strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`,
    )
  }
  const number = Number(text)
  if (number < 0) throw new RangeError(`negative number (${number}) not allowed: ${text}`)
  return number
}
