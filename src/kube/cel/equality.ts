/** When two values are equal, and which of two comes first. */
import type { CelValue } from './values.ts'
import {
  AssociativeList,
  Duration,
  isList,
  MapValue,
  noSuchOverload,
  OpaqueValue,
  Optional,
  StructValue,
  Timestamp,
  TypeValue,
  Uint,
} from './values.ts'

/** The number behind int, uint and double; null for anything else. */
export function numeric(value: CelValue): bigint | number | null {
  if (typeof value === 'bigint' || typeof value === 'number') return value
  return value instanceof Uint ? value.value : null
}

/** Values of different kinds are not equal, but numbers are compared by what they are worth. */
export function equal(a: CelValue, b: CelValue): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    if (a === b) return true
    const [left, right] = [numeric(a), numeric(b)]
    // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number are equal this way only.
    return left !== null && right !== null && left == right
  }
  if (isList(a)) return isList(b) && equalLists(a, b)
  if (a instanceof MapValue) return b instanceof MapValue && equalMaps(a, b)
  if (a instanceof StructValue) return b instanceof StructValue && equalStructs(a, b)
  return equalParts(a, b)
}

function equalParts(a: object, b: object): boolean {
  if (a instanceof Uint) return b instanceof Uint && a.value === b.value
  if (a instanceof Timestamp) return b instanceof Timestamp && a.nanos === b.nanos
  if (a instanceof Duration) return b instanceof Duration && a.nanos === b.nanos
  if (a instanceof Uint8Array) return b instanceof Uint8Array && Buffer.compare(a, b) === 0
  if (a instanceof TypeValue) return b instanceof TypeValue && a.name === b.name
  if (a instanceof OpaqueValue) return b instanceof OpaqueValue && a.equals(b)
  if (!(a instanceof Optional) || !(b instanceof Optional)) return false
  if (a.value === undefined || b.value === undefined) return a.value === b.value
  return equal(a.value, b.value)
}

function equalLists(a: readonly CelValue[], b: readonly CelValue[]): boolean {
  if (a.length !== b.length) return false
  if (a instanceof AssociativeList) return a.every(item => b.some(other => equal(item, other)))
  return a.every((item, index) => equal(item, b[index] as CelValue))
}

function equalMaps(a: MapValue, b: MapValue): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a.entries()) {
    const other = b.get(key)
    if (other === undefined || !equal(value, other)) return false
  }
  return true
}

function equalStructs(a: StructValue, b: StructValue): boolean {
  const names = a.fields()
  if (names.length !== b.fields().length) return false
  return names.every(name => {
    const [left, right] = [a.get(name), b.get(name)]
    return left !== undefined && right !== undefined && equal(left, right)
  })
}

/** Negative, zero or positive; NaN where there is no order (a NaN). Throws for values without an order. */
export function compare(a: CelValue, b: CelValue): number {
  const [left, right] = [numeric(a), numeric(b)]
  if (left !== null && right !== null) {
    // As upstream: an int that meets a double becomes one, with what that loses.
    const isMixed = typeof left !== typeof right
    return isMixed ? order(Number(left), Number(right)) : order(left, right)
  }
  if (typeof a === 'string' && typeof b === 'string') return compareText(a, b)
  if (typeof a === 'boolean' && typeof b === 'boolean') return Number(a) - Number(b)
  if (a instanceof Timestamp && b instanceof Timestamp) return order(a.nanos, b.nanos)
  if (a instanceof Duration && b instanceof Duration) return order(a.nanos, b.nanos)
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b)
  throw noSuchOverload()
}

function order(a: bigint | number, b: bigint | number): number {
  if (a < b) return -1
  if (a > b) return 1
  // biome-ignore lint/suspicious/noDoubleEquals: a bigint and a number are equal this way only.
  return a == b ? 0 : Number.NaN
}

/** By code points, as upstream compares UTF-8. */
function compareText(a: string, b: string): number {
  if (a === b) return 0
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}
