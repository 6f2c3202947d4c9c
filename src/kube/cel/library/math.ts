/** Mathematical functions, and base64. */
import { compare } from '../equality.ts'
import { fn, type Overload, traversal } from '../functions.ts'
import { BOOL, BYTES, type CelType, DOUBLE, DYN, INT, listOf, STRING, UINT } from '../types.ts'
import { CelError, type CelValue, noSuchOverload, Uint } from '../values.ts'
import { int, UINT_MAX } from './numbers.ts'

type List = readonly CelValue[]
const ARGUMENTS_MAX = 8
const NUMBERS = [INT, UINT, DOUBLE]

function extreme(values: List, sign: 1 | -1): CelValue {
  const [first, ...rest] = values
  if (first === undefined) throw new CelError('math.@max(list) argument must not be empty')
  return rest.reduce((best, item) => (compare(item, best) * sign > 0 ? item : best), first)
}

/** One to eight numbers, or one list of them. */
function extremes(name: string, sign: 1 | -1): readonly Overload[] {
  const some = (...values: List) => extreme(values, sign)
  const ofOneType = (type: CelType) =>
    Array.from({ length: ARGUMENTS_MAX }, (_, index) => fn(name, [Array(index + 1).fill(type), type], some))
  return [
    ...NUMBERS.flatMap(ofOneType),
    ...NUMBERS.flatMap(type => [
      fn(name, [[listOf(type)], type], (list: List) => extreme(list, sign), { cost: (size = 0) => size + 1 }),
    ]),
    ...NUMBERS.flatMap(a => NUMBERS.filter(b => b !== a).map(b => fn(name, [[a, b], DYN], some))),
    ...Array.from({ length: ARGUMENTS_MAX - 2 }, (_, index) =>
      fn(name, [Array(index + 3).fill(DYN), DYN], some),
    ),
  ]
}

const magnitude = (value: bigint): bigint => int(value < 0n ? -value : value)

function rounded(value: number): number {
  return Number.isFinite(value) ? Math.sign(value) * Math.round(Math.abs(value)) : value
}

const rounding: readonly Overload[] = [
  fn('math.ceil', [[DOUBLE], DOUBLE], Math.ceil),
  fn('math.floor', [[DOUBLE], DOUBLE], Math.floor),
  fn('math.round', [[DOUBLE], DOUBLE], rounded),
  fn('math.trunc', [[DOUBLE], DOUBLE], Math.trunc),
  fn('math.isNaN', [[DOUBLE], BOOL], Number.isNaN),
  fn('math.isInf', [[DOUBLE], BOOL], (value: number) => Math.abs(value) === Number.POSITIVE_INFINITY),
  fn('math.isFinite', [[DOUBLE], BOOL], Number.isFinite),
  fn('math.abs', [[INT], INT], magnitude),
  fn('math.abs', [[UINT], UINT], (value: Uint) => value),
  fn('math.abs', [[DOUBLE], DOUBLE], Math.abs),
  fn('math.sign', [[INT], INT], (value: bigint) => (value > 0n ? 1n : value < 0n ? -1n : 0n)),
  fn('math.sign', [[UINT], UINT], ({ value }: Uint) => new Uint(value > 0n ? 1n : 0n)),
  fn('math.sign', [[DOUBLE], DOUBLE], Math.sign),
  fn('math.sqrt', [[DOUBLE], DOUBLE], Math.sqrt),
  fn('math.sqrt', [[INT], DOUBLE], (value: bigint) => Math.sqrt(Number(value))),
  fn('math.sqrt', [[UINT], DOUBLE], ({ value }: Uint) => Math.sqrt(Number(value))),
]

const BITS = 64n

function checkedShift(by: bigint): bigint {
  if (by < 0n) throw new CelError(`math.bitShift() negative offset: ${by}`)
  return by
}

const signed = (value: bigint): bigint => BigInt.asIntN(64, value)
const unsigned = (value: bigint): Uint => new Uint(BigInt.asUintN(64, value))

function bitwise(name: string, combine: (a: bigint, b: bigint) => bigint): readonly Overload[] {
  return [
    fn(name, [[INT, INT], INT], (a: bigint, b: bigint) => signed(combine(a, b))),
    fn(name, [[UINT, UINT], UINT], (a: Uint, b: Uint) => unsigned(combine(a.value, b.value))),
  ]
}

function shift(name: string, move: (value: bigint, by: bigint) => bigint): readonly Overload[] {
  const shifted = (value: bigint, by: bigint): bigint => (checkedShift(by) >= BITS ? 0n : move(value, by))
  return [
    fn(name, [[INT, INT], INT], (a: bigint, by: bigint) => signed(shifted(BigInt.asUintN(64, a), by))),
    fn(name, [[UINT, INT], UINT], (a: Uint, by: bigint) => unsigned(shifted(a.value, by))),
  ]
}

const bits: readonly Overload[] = [
  ...bitwise('math.bitAnd', (a, b) => a & b),
  ...bitwise('math.bitOr', (a, b) => a | b),
  ...bitwise('math.bitXor', (a, b) => a ^ b),
  fn('math.bitNot', [[INT], INT], (value: bigint) => ~value),
  fn('math.bitNot', [[UINT], UINT], ({ value }: Uint) => new Uint(UINT_MAX ^ value)),
  ...shift('math.bitShiftLeft', (value, by) => value << by),
  ...shift('math.bitShiftRight', (value, by) => value >> by),
]

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

function decode(text: string): Uint8Array {
  const body = text.replace(/=+$/, '')
  if (!BASE64.test(text) || body.length % 4 === 1) {
    throw new CelError('illegal base64 data at input byte 0')
  }
  if (text.length !== body.length && text.length % 4 !== 0) throw noSuchOverload()
  return Buffer.from(text, 'base64')
}

const walked = {
  cost: (size = 0) => traversal(size),
  resultSize: (size = 0) => Math.ceil((size * 4) / 3) + 4,
}

const encoders: readonly Overload[] = [
  fn(
    'base64.encode',
    [[BYTES], STRING],
    (bytes: Uint8Array) => Buffer.from(bytes).toString('base64'),
    walked,
  ),
  fn('base64.decode', [[STRING], BYTES], decode, walked),
]

export const math: readonly Overload[] = [
  ...extremes('math.greatest', 1),
  ...extremes('math.least', -1),
  ...rounding,
  ...bits,
  ...encoders,
]
