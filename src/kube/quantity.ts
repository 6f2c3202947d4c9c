/** Kubernetes quantities (`500m`, `1Gi`, `1e3`) as exact integers of billionths, and their canonical text. */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent'

export interface Quantity {
  /** The value in billionths: the finest that Kubernetes keeps. */
  readonly nano: bigint
  /** How it was written, and is written again. */
  readonly format: QuantityFormat
}

export class QuantityError extends Error {
  override readonly name = 'QuantityError'
}

const PATTERN = /^([+-]?)(\d*)(?:\.(\d*))?([eEinumkKMGTP]*)([-+]?\d*)$/
const NANO = 1_000_000_000n
const NANO_DIGITS = 9
/** Larger binary quantities are cut to the largest 64-bit integer; decimal ones are not. */
const NANO_MAX = ((1n << 63n) - 1n) * NANO
const DIGITS_MAX = 64
const FORM_RULE =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

const decimalExponents: Readonly<Record<string, number>> = {
  n: -9,
  u: -6,
  m: -3,
  '': 0,
  k: 3,
  M: 6,
  G: 9,
  T: 12,
  P: 15,
  E: 18,
}
const binaryPowers: Readonly<Record<string, bigint>> = { Ki: 1n, Mi: 2n, Gi: 3n, Ti: 4n, Pi: 5n, Ei: 6n }

/** Parses a quantity; throws QuantityError. */
export function parseQuantity(text: string): Quantity {
  if (text.length === 0 || text.length > DIGITS_MAX) throw new QuantityError(FORM_RULE)
  const match = PATTERN.exec(text)
  if (match === null) throw new QuantityError(FORM_RULE)
  const [, sign = '', whole = '', fraction = '', suffix = '', exponent = ''] = match
  if (whole === '' && fraction === '') throw new QuantityError(FORM_RULE)
  const digits = BigInt(whole + fraction)
  const { format, nano } = scale(digits, fraction.length, suffix, exponent)
  const capped = format === 'BinarySI' && nano > NANO_MAX ? NANO_MAX : nano
  return { nano: sign === '-' ? -capped : capped, format }
}

/** digits / 10^places, times the suffix, in billionths rounded up. */
function scale(digits: bigint, places: number, suffix: string, exponent: string): Quantity {
  const power = binaryPowers[suffix]
  if (power !== undefined && exponent === '') {
    const value = digits * 1024n ** power * NANO
    return { format: 'BinarySI', nano: divideUp(value, 10n ** BigInt(places)) }
  }
  const isExponent = (suffix === 'e' || suffix === 'E') && exponent !== ''
  const known = exponent === '' ? decimalExponents[suffix] : undefined
  if (!isExponent && known === undefined) throw new QuantityError("unable to parse quantity's suffix")
  if (isExponent && !/^[-+]?\d{1,3}$/.test(exponent)) {
    throw new QuantityError("unable to parse quantity's suffix")
  }
  const format = isExponent ? 'DecimalExponent' : 'DecimalSI'
  const shift = (known ?? Number(exponent)) - places + NANO_DIGITS
  const nano = shift >= 0 ? digits * 10n ** BigInt(shift) : divideUp(digits, 10n ** BigInt(-shift))
  return { format, nano }
}

const divideUp = (value: bigint, by: bigint): bigint => (value + by - 1n) / by

const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const
const DECIMAL_SUFFIXES = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'] as const

/** The canonical text: the largest suffix that leaves an integer. */
export function formatQuantity({ nano, format }: Quantity): string {
  if (nano === 0n) return '0'
  const sign = nano < 0n ? '-' : ''
  const size = nano < 0n ? -nano : nano
  const asBinary = format === 'BinarySI' && size >= 1024n * NANO && size % NANO === 0n
  if (asBinary) return sign + formatBinary(size / NANO)
  let digits = size
  let step = 0
  while (step < DECIMAL_SUFFIXES.length - 1 && digits % 1000n === 0n) {
    digits /= 1000n
    step++
  }
  const exponent = step * 3 - NANO_DIGITS
  if (format !== 'DecimalExponent') return `${sign}${digits}${DECIMAL_SUFFIXES[step]}`
  return exponent === 0 ? `${sign}${digits}` : `${sign}${digits}e${exponent}`
}

function formatBinary(value: bigint): string {
  let digits = value
  let step = 0
  while (step < BINARY_SUFFIXES.length - 1 && digits % 1024n === 0n) {
    digits /= 1024n
    step++
  }
  return `${digits}${BINARY_SUFFIXES[step]}`
}

const CACHE_ENTRIES_MAX = 1_024
const canonicalTexts = new Map<string, string>()

/** The canonical form of a quantity's text; few different texts occur, so they are remembered. */
export function canonicalQuantity(text: string): string {
  const known = canonicalTexts.get(text)
  if (known !== undefined) return known
  const quantity = parseQuantity(text)
  const canonical = keepsText(text) ? text : formatQuantity(quantity)
  if (canonicalTexts.size >= CACHE_ENTRIES_MAX) canonicalTexts.clear()
  canonicalTexts.set(text, canonical)
  return canonical
}

const INT64_DIGITS = 18

/**
 * Whether upstream takes the text for canonical and writes it back as it came. Its rule is a quick one, so `+1`,
 * `5.` and `1.500` stay what they are, and clients see no difference to what they sent.
 */
function keepsText(text: string): boolean {
  const [, , whole = '', fraction = '', suffix = '', exponent = ''] = PATTERN.exec(text) ?? []
  const integer = whole.replace(/^0+/, '') || '0'
  const digits = integer + fraction
  const power = binaryPowers[suffix]
  if (power !== undefined) {
    const roughDigits = integer.length + Math.trunc(Number(power) * 3) + 1
    return fraction === '' && roughDigits <= 15 && digits !== '0' && (BigInt(digits) & 7n) !== 0n
  }
  const scale = (exponent === '' ? (decimalExponents[suffix] ?? 0) : Number(exponent)) - fraction.length
  if (scale < -NANO_DIGITS || digits.length > INT64_DIGITS) return false
  return scale % 3 === 0 && !digits.endsWith('000') && !digits.startsWith('0')
}

/** Negative, zero or positive, as for sort. */
export function compareQuantities(a: Quantity, b: Quantity): number {
  return a.nano < b.nano ? -1 : a.nano > b.nano ? 1 : 0
}

/** The sum, written as the first summand is (or as the second when the first is zero). */
export function addQuantities(a: Quantity, b: Quantity): Quantity {
  return { nano: a.nano + b.nano, format: a.nano === 0n ? b.format : a.format }
}

/** Thousandths, rounded up: CPU in millicores. */
export function milliValue({ nano }: Quantity): number {
  return Number(nano >= 0n ? divideUp(nano, 1_000_000n) : nano / 1_000_000n)
}

/** The value rounded up to an integer: bytes, counts. */
export function integerValue({ nano }: Quantity): number {
  return Number(nano >= 0n ? divideUp(nano, NANO) : nano / NANO)
}
