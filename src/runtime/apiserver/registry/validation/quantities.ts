/** Quantities as the validators need them: is it one, which is larger, is it whole. Exact, in billionths. */

export const QUANTITY_PROBLEM =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

const PATTERN = /^([+-]?)(\d+\.?\d*|\.\d+)(?:([eE])([+-]?\d{1,3})|(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E))?$/
const DECIMAL: Record<string, number> = { n: -9, u: -6, m: -3, k: 3, M: 6, G: 9, T: 12, P: 15, E: 18 }
const BINARY = ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']
const NANO_DIGITS = 9

/** Billionths, or null when the text is no quantity. What is smaller than a billionth is rounded away. */
function nanosOf(text: string): bigint | null {
  const match = PATTERN.exec(text)
  if (!match) return null
  const [, sign, digits = '', , exponent, suffix = ''] = match
  const [whole = '', fraction = ''] = digits.split('.')
  const power = exponent === undefined ? (DECIMAL[suffix] ?? 0) : Number(exponent)
  const scale = NANO_DIGITS + power - fraction.length
  const raw = BigInt(`${whole}${fraction}` || '0')
  const scaled = scale >= 0 ? raw * 10n ** BigInt(scale) : raw / 10n ** BigInt(-scale)
  const nanos = scaled * 1024n ** BigInt(BINARY.indexOf(suffix) + 1)
  return sign === '-' ? -nanos : nanos
}

export const isQuantity = (text: unknown): text is string => nanosOf(String(text)) !== null

/** Below, at or above 0 as `left` is less than, equal to or greater than `right`; both must be quantities. */
export function compareQuantities(left: string, right: string): number {
  const difference = (nanosOf(left) ?? 0n) - (nanosOf(right) ?? 0n)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

export const isWhole = (text: string): boolean => (nanosOf(text) ?? 0n) % 10n ** BigInt(NANO_DIGITS) === 0n
