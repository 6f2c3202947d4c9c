/** Kubernetes' quantities. */
import {
  addQuantities,
  compareQuantities,
  parseQuantity,
  type Quantity,
  QuantityError,
} from '../../quantity.ts'
import { fn, method, type Overload, traversal } from '../functions.ts'
import { BOOL, DOUBLE, INT, opaque, STRING } from '../types.ts'
import { CelError, OpaqueValue } from '../values.ts'
import { INT_MAX, INT_MIN } from './numbers.ts'

const QUANTITY = opaque('kubernetes.Quantity')
const NANO = 1_000_000_000n

class QuantityValue extends OpaqueValue {
  readonly type = QUANTITY
  readonly quantity: Quantity

  constructor(quantity: Quantity) {
    super()
    this.quantity = quantity
  }

  equals(other: OpaqueValue): boolean {
    return other instanceof QuantityValue && other.quantity.nano === this.quantity.nano
  }
}

export const quantityValue = (text: string): OpaqueValue => parse(text)

function parse(text: string): QuantityValue {
  try {
    return new QuantityValue(parseQuantity(text))
  } catch (error) {
    if (error instanceof QuantityError) throw new CelError(error.message)
    throw error
  }
}

function isQuantity(text: string): boolean {
  try {
    parseQuantity(text)
    return true
  } catch (error) {
    if (error instanceof QuantityError) return false
    throw error
  }
}

const fitsInteger = ({ quantity }: QuantityValue): boolean => {
  const whole = quantity.nano / NANO
  return quantity.nano % NANO === 0n && whole <= INT_MAX && whole >= INT_MIN
}

function asInteger(value: QuantityValue): bigint {
  if (!fitsInteger(value)) throw new CelError('cannot convert value to integer')
  return value.quantity.nano / NANO
}

const order = (a: QuantityValue, b: QuantityValue): number => compareQuantities(a.quantity, b.quantity)
const integer = (value: bigint): Quantity => ({ nano: value * NANO, format: 'DecimalSI' })
const sum = (a: QuantityValue, b: Quantity): QuantityValue => new QuantityValue(addQuantities(a.quantity, b))
const negated = (value: Quantity): Quantity => ({ ...value, nano: -value.nano })
const signOf = ({ quantity: { nano } }: QuantityValue): bigint => (nano > 0n ? 1n : nano < 0n ? -1n : 0n)

const walked = { cost: (size = 0) => traversal(size) }
const pair = [QUANTITY, QUANTITY] as const
const withInt = [QUANTITY, INT] as const

export const quantities: readonly Overload[] = [
  fn('quantity', [[STRING], QUANTITY], parse, walked),
  fn('isQuantity', [[STRING], BOOL], isQuantity, walked),
  method('sign', [[QUANTITY], INT], signOf),
  method('isInteger', [[QUANTITY], BOOL], fitsInteger),
  method('asInteger', [[QUANTITY], INT], asInteger),
  method(
    'asApproximateFloat',
    [[QUANTITY], DOUBLE],
    ({ quantity }: QuantityValue) => Number(quantity.nano) / 1e9,
  ),
  method('isGreaterThan', [pair, BOOL], (a: QuantityValue, b: QuantityValue) => order(a, b) > 0),
  method('isLessThan', [pair, BOOL], (a: QuantityValue, b: QuantityValue) => order(a, b) < 0),
  method('compareTo', [pair, INT], (a: QuantityValue, b: QuantityValue) => BigInt(order(a, b))),
  method('add', [pair, QUANTITY], (a: QuantityValue, b: QuantityValue) => sum(a, b.quantity)),
  method('add', [withInt, QUANTITY], (a: QuantityValue, b: bigint) => sum(a, integer(b))),
  method('sub', [pair, QUANTITY], (a: QuantityValue, b: QuantityValue) => sum(a, negated(b.quantity))),
  method('sub', [withInt, QUANTITY], (a: QuantityValue, b: bigint) => sum(a, integer(-b))),
]
