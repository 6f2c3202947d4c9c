/** `"%s: %d".format([name, count])`. */
import { runtimeName } from '../types.ts'
import {
  CelError,
  type CelValue,
  Duration,
  isList,
  MapValue,
  Timestamp,
  TypeValue,
  typeOfValue,
  Uint,
} from '../values.ts'
import { formatDouble } from './numbers.ts'
import { formatDuration, formatTimestamp } from './time.ts'

const CLAUSE = /%(?:%|(?:\.(\d+))?([sdfexXob])|(.?))/gs
const DIGITS = 6
const DIGITS_MAX = 1000

export function formatString(template: string, args: readonly CelValue[]): string {
  let next = 0
  return template.replace(CLAUSE, (whole, precision: string | undefined, verb: string | undefined, other) => {
    if (whole === '%%') return '%'
    if (verb === undefined) {
      throw new CelError(
        `could not parse formatting clause: unrecognized formatting clause "${String(other)}"`,
      )
    }
    if (next >= args.length) throw new CelError(`index ${next} out of range`)
    const digits = precision === undefined ? DIGITS : Number(precision)
    if (digits > DIGITS_MAX) throw new CelError(`precision ${digits} is too large`)
    return formatVerb(verb, args[next++] as CelValue, digits)
  })
}

function formatVerb(verb: string, value: CelValue, digits: number): string {
  switch (verb) {
    case 's':
      return formatText(value)
    case 'd':
      return decimal(value)
    case 'f':
      return fixed(value, digits)
    case 'e':
      return exponential(value, digits)
    case 'b':
      return typeof value === 'boolean' ? String(Number(value)) : integer(value, 'binary').toString(2)
    case 'o':
      return integer(value, 'octal').toString(8)
    default:
      return verb === 'x' ? hex(value) : hex(value).toUpperCase()
  }
}

const wrong = (what: string, value: CelValue): CelError =>
  new CelError(
    `error during formatting: ${what} can only be used on ${wanted(what)}, was given ${nameOf(value)}`,
  )

const wanted = (what: string): string =>
  what === 'decimal clause' ? 'integers' : what === 'fixed-point clause' ? 'doubles' : 'integers'

const nameOf = (value: CelValue): string => runtimeName(typeOfValue(value))

/** As `string()` has it, and lists and maps in the same way. */
export function formatText(value: CelValue): string {
  if (value === null) return 'null'
  if (typeof value === 'number')
    return formatDouble(value).replace('+Inf', 'Infinity').replace('-Inf', '-Infinity')
  if (typeof value !== 'object') return String(value)
  if (isList(value)) return `[${value.map(formatText).join(', ')}]`
  if (value instanceof MapValue) {
    const entries = [...value.entries()].map(([key, one]) => `${formatText(key)}: ${formatText(one)}`)
    return `{${entries.sort().join(', ')}}`
  }
  if (value instanceof Uint) return String(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8')
  if (value instanceof Timestamp) return formatTimestamp(value)
  if (value instanceof Duration) return formatDuration(value)
  if (value instanceof TypeValue) return value.name
  throw new CelError(
    `error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, lists, types, durations, and timestamps, was given ${nameOf(value)}`,
  )
}

function integer(value: CelValue, what: string): bigint {
  if (typeof value === 'bigint') return value
  if (value instanceof Uint) return value.value
  throw wrong(`${what} clause`, value)
}

const SPECIAL: Readonly<Record<string, string>> = {
  NaN: 'NaN',
  Infinity: 'Infinity',
  '-Infinity': '-Infinity',
}

function decimal(value: CelValue): string {
  if (typeof value === 'number' && Object.hasOwn(SPECIAL, String(value))) return String(value)
  if (typeof value === 'number') return formatDouble(value)
  return String(integer(value, 'decimal'))
}

function real(value: CelValue, what: string): number {
  if (typeof value === 'number') return value
  if (typeof value === 'bigint') return Number(value)
  if (value instanceof Uint) return Number(value.value)
  throw wrong(what, value)
}

const EXACT_MAX = 100

function fixed(value: CelValue, digits: number): string {
  const number = real(value, 'fixed-point clause')
  return Number.isFinite(number) ? halfToEven(number, Math.min(digits, EXACT_MAX)) : String(number)
}

/** A number exactly between two goes to the even one; only halves and their like can be exact. */
function halfToEven(number: number, digits: number): string {
  const text = number.toFixed(digits)
  const exact = number.toFixed(EXACT_MAX)
  const isHalf = digits < EXACT_MAX && /^50*$/.test(exact.slice(exact.indexOf('.') + 1 + digits))
  if (!isHalf) return text
  const cut = exact.slice(0, exact.indexOf('.') + (digits === 0 ? 0 : 1 + digits))
  return Number(cut.at(-1)) % 2 === 0 ? cut : text
}

function exponential(value: CelValue, digits: number): string {
  const number = real(value, 'scientific clause')
  if (!Number.isFinite(number)) return String(number)
  return number.toExponential(Math.min(digits, EXACT_MAX)).replace(/e([-+])(\d)$/, 'e$10$2')
}

function hex(value: CelValue): string {
  if (typeof value === 'string') return Buffer.from(value).toString('hex')
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex')
  return integer(value, 'hex').toString(16)
}
