/** `int(…)`, `string(…)` and the other conversions between types. */
import { fn, type Overload, traversal } from '../functions.ts'
import { BOOL, BYTES, DOUBLE, DURATION, INT, STRING, TIMESTAMP, UINT } from '../types.ts'
import { CelError, type CelValue, type Duration, Timestamp, Uint } from '../values.ts'
import {
  formatDouble,
  INT_MAX,
  INT_MIN,
  int,
  parseDouble,
  parseInteger,
  parseUnsigned,
  UINT_MAX,
  uint,
} from './numbers.ts'
import { checkTimestamp, formatDuration, formatTimestamp, parseDuration, parseTimestamp } from './time.ts'

const SECOND = 1_000_000_000n
const same = (value: CelValue): CelValue => value

function truncated(value: number, least: bigint, most: bigint, what: string): bigint {
  if (!Number.isFinite(value)) throw new CelError(`${what} overflow`)
  const whole = BigInt(Math.trunc(value))
  if (whole <= least - (least === 0n ? 1n : 0n) || whole > most) throw new CelError(`${what} overflow`)
  return whole
}

const seconds = (nanos: bigint): bigint => (nanos - (((nanos % SECOND) + SECOND) % SECOND)) / SECOND

const BOOLEANS: Readonly<Record<string, boolean>> = {
  '1': true,
  t: true,
  T: true,
  TRUE: true,
  true: true,
  True: true,
  '0': false,
  f: false,
  F: false,
  FALSE: false,
  false: false,
  False: false,
}

function toBool(text: string): boolean {
  const value = Object.hasOwn(BOOLEANS, text) ? BOOLEANS[text] : undefined
  if (value === undefined) {
    throw new CelError(`strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`)
  }
  return value
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function toText(bytes: Uint8Array): string {
  try {
    return UTF8.decode(bytes)
  } catch {
    throw new CelError('invalid UTF-8 in bytes, cannot convert to string')
  }
}

function toTimestamp(text: string): Timestamp {
  const time = parseTimestamp(text)
  if (time === null) throw new CelError(`timestamp: cannot parse ${JSON.stringify(text)} as RFC 3339`)
  return time
}

function toDuration(text: string): Duration {
  const duration = parseDuration(text)
  if (duration === null) throw new CelError(`time: invalid duration ${JSON.stringify(text)}`)
  return duration
}

const walked = { cost: (size = 0) => traversal(size) }

export const conversions: readonly Overload[] = [
  fn('int', [[INT], INT], same),
  fn('int', [[UINT], INT], ({ value }: Uint) => int(value)),
  fn('int', [[DOUBLE], INT], (value: number) => truncated(value, INT_MIN, INT_MAX, 'integer')),
  fn('int', [[STRING], INT], parseInteger, walked),
  fn('int', [[TIMESTAMP], INT], ({ nanos }: Timestamp) => seconds(nanos)),
  fn('int', [[DURATION], INT], ({ nanos }: Duration) => nanos),
  fn('uint', [[UINT], UINT], same),
  fn('uint', [[INT], UINT], (value: bigint) => new Uint(uint(value))),
  fn(
    'uint',
    [[DOUBLE], UINT],
    (value: number) => new Uint(uint(truncated(value, -1n, UINT_MAX, 'unsigned integer'))),
  ),
  fn('uint', [[STRING], UINT], (text: string) => new Uint(parseUnsigned(text)), walked),
  fn('double', [[DOUBLE], DOUBLE], same),
  fn('double', [[INT], DOUBLE], (value: bigint) => Number(value)),
  fn('double', [[UINT], DOUBLE], ({ value }: Uint) => Number(value)),
  fn('double', [[STRING], DOUBLE], parseDouble, walked),
  fn('bool', [[BOOL], BOOL], same),
  fn('bool', [[STRING], BOOL], toBool),
  fn('string', [[STRING], STRING], same),
  fn('string', [[BOOL], STRING], (value: boolean) => String(value)),
  fn('string', [[INT], STRING], (value: bigint) => String(value)),
  fn('string', [[UINT], STRING], ({ value }: Uint) => String(value)),
  fn('string', [[DOUBLE], STRING], formatDouble),
  fn('string', [[BYTES], STRING], toText, walked),
  fn('string', [[TIMESTAMP], STRING], formatTimestamp),
  fn('string', [[DURATION], STRING], formatDuration),
  fn('bytes', [[BYTES], BYTES], same),
  fn('bytes', [[STRING], BYTES], (text: string) => Buffer.from(text), walked),
  fn('timestamp', [[TIMESTAMP], TIMESTAMP], same),
  fn('timestamp', [[STRING], TIMESTAMP], toTimestamp),
  fn('timestamp', [[INT], TIMESTAMP], (value: bigint) => checkTimestamp(new Timestamp(value * SECOND))),
  fn('duration', [[DURATION], DURATION], same),
  fn('duration', [[STRING], DURATION], toDuration),
]
