/** Arithmetic within 64 bits, and numbers to and from text, as Go writes them. */
import { CelError } from '../values.ts'

export const INT_MAX = 2n ** 63n - 1n
export const INT_MIN = -(2n ** 63n)
export const UINT_MAX = 2n ** 64n - 1n

export function int(value: bigint, what = 'integer'): bigint {
  if (value > INT_MAX || value < INT_MIN) throw new CelError(`${what} overflow`)
  return value
}

export function uint(value: bigint): bigint {
  if (value > UINT_MAX || value < 0n) throw new CelError('unsigned integer overflow')
  return value
}

export function divide(a: bigint, b: bigint): bigint {
  if (b === 0n) throw new CelError('division by zero')
  return a / b
}

export function modulo(a: bigint, b: bigint): bigint {
  if (b === 0n) throw new CelError('modulus by zero')
  return a % b
}

const INT_TEXT = /^[-+]?\d+$/
const UINT_TEXT = /^\d+$/
const DOUBLE_TEXT = /^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/
const SPECIAL: Readonly<Record<string, number>> = {
  inf: Number.POSITIVE_INFINITY,
  infinity: Number.POSITIVE_INFINITY,
  nan: Number.NaN,
}

export function parseInteger(text: string): bigint {
  if (!INT_TEXT.test(text)) throw syntax('ParseInt', text)
  const value = BigInt(text.replace(/^\+/, ''))
  if (value > INT_MAX || value < INT_MIN) throw range('ParseInt', text)
  return value
}

export function parseUnsigned(text: string): bigint {
  if (!UINT_TEXT.test(text)) throw syntax('ParseUint', text)
  const value = BigInt(text)
  if (value > UINT_MAX) throw range('ParseUint', text)
  return value
}

export function parseDouble(text: string): number {
  const special = SPECIAL[text.replace(/^[-+]/, '').toLowerCase()]
  if (special !== undefined) return text.startsWith('-') ? -special : special
  if (!DOUBLE_TEXT.test(text)) throw syntax('ParseFloat', text)
  const value = Number(text)
  if (!Number.isFinite(value)) throw range('ParseFloat', text)
  return value
}

const syntax = (call: string, text: string): CelError =>
  new CelError(`strconv.${call}: parsing ${JSON.stringify(text)}: invalid syntax`)
const range = (call: string, text: string): CelError =>
  new CelError(`strconv.${call}: parsing ${JSON.stringify(text)}: value out of range`)

const SMALLEST_PLAIN = 1e-4
const SHORTEST_EXPONENT = /e([-+])(\d)$/

export function formatDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Object.is(value, -0)) return '-0'
  const size = Math.abs(value)
  const text = size !== 0 && size < SMALLEST_PLAIN ? value.toExponential() : String(value)
  return text.replace(SHORTEST_EXPONENT, 'e$10$2')
}
