/** The operators, and `size`, `type` and `dyn`. */
import { compare, equal } from '../equality.ts'
import { fn, method, type Overload, type SizeFormula, traversal } from '../functions.ts'
import {
  A,
  B,
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  DYN,
  INT,
  listOf,
  mapOf,
  optionalOf,
  runtimeName,
  STRING,
  TIMESTAMP,
  typeOf,
  UINT,
} from '../types.ts'
import type { CelValue, MapValue } from '../values.ts'
import { Duration, noSuchOverload, sizeOf, Timestamp, TypeValue, typeOfValue, Uint } from '../values.ts'
import { addLists } from './associative.ts'
import { divide, int, modulo, uint } from './numbers.ts'
import { checkDuration, checkTimestamp } from './time.ts'

const LIST_A = listOf(A)
const MAP_AB = mapOf(A, B)

/** Never called: the planner has steps of its own for what must not evaluate everything. */
const planned = (): CelValue => {
  throw noSuchOverload()
}

const smaller: SizeFormula = (a = 0, b = 0) => Math.max(1, traversal(Math.min(a, b)))
const together: SizeFormula = (a = 0, b = 0) => Math.max(1, traversal(a + b))
const sum: SizeFormula = (a = 0, b = 0) => a + b

const logic: readonly Overload[] = [
  fn('_&&_', [[BOOL, BOOL], BOOL], planned),
  fn('_||_', [[BOOL, BOOL], BOOL], planned),
  fn('_?_:_', [[BOOL, A, A], A], planned),
  fn('@not_strictly_false', [[BOOL], BOOL], planned),
  fn('!_', [[BOOL], BOOL], (value: boolean) => !value),
  fn('_==_', [[A, A], BOOL], (a: CelValue, b: CelValue) => equal(a, b), { cost: smaller }),
  fn('_!=_', [[A, A], BOOL], (a: CelValue, b: CelValue) => !equal(a, b), { cost: smaller }),
]

const add: readonly Overload[] = [
  fn('_+_', [[INT, INT], INT], (a: bigint, b: bigint) => int(a + b)),
  fn('_+_', [[UINT, UINT], UINT], (a: Uint, b: Uint) => new Uint(uint(a.value + b.value))),
  fn('_+_', [[DOUBLE, DOUBLE], DOUBLE], (a: number, b: number) => a + b),
  fn('_+_', [[STRING, STRING], STRING], (a: string, b: string) => a + b, { cost: together, resultSize: sum }),
  fn('_+_', [[BYTES, BYTES], BYTES], (a: Uint8Array, b: Uint8Array) => Buffer.concat([a, b]), {
    cost: together,
    resultSize: sum,
  }),
  fn('_+_', [[LIST_A, LIST_A], LIST_A], addLists, { resultSize: sum }),
  fn('_+_', [[TIMESTAMP, DURATION], TIMESTAMP], (a: Timestamp, b: Duration) => moved(a, b.nanos)),
  fn('_+_', [[DURATION, TIMESTAMP], TIMESTAMP], (a: Duration, b: Timestamp) => moved(b, a.nanos)),
  fn('_+_', [[DURATION, DURATION], DURATION], (a: Duration, b: Duration) => span(a.nanos + b.nanos)),
]

const span = (nanos: bigint): Duration => checkDuration(new Duration(int(nanos, 'duration')))
const moved = (time: Timestamp, by: bigint): Timestamp => checkTimestamp(new Timestamp(time.nanos + by))

const subtract: readonly Overload[] = [
  fn('_-_', [[INT, INT], INT], (a: bigint, b: bigint) => int(a - b)),
  fn('_-_', [[UINT, UINT], UINT], (a: Uint, b: Uint) => new Uint(uint(a.value - b.value))),
  fn('_-_', [[DOUBLE, DOUBLE], DOUBLE], (a: number, b: number) => a - b),
  fn('_-_', [[TIMESTAMP, TIMESTAMP], DURATION], (a: Timestamp, b: Timestamp) => span(a.nanos - b.nanos)),
  fn('_-_', [[TIMESTAMP, DURATION], TIMESTAMP], (a: Timestamp, b: Duration) => moved(a, -b.nanos)),
  fn('_-_', [[DURATION, DURATION], DURATION], (a: Duration, b: Duration) => span(a.nanos - b.nanos)),
  fn('-_', [[INT], INT], (a: bigint) => int(-a)),
  fn('-_', [[DOUBLE], DOUBLE], (a: number) => -a),
]

const scale: readonly Overload[] = [
  fn('_*_', [[INT, INT], INT], (a: bigint, b: bigint) => int(a * b)),
  fn('_*_', [[UINT, UINT], UINT], (a: Uint, b: Uint) => new Uint(uint(a.value * b.value))),
  fn('_*_', [[DOUBLE, DOUBLE], DOUBLE], (a: number, b: number) => a * b),
  fn('_/_', [[INT, INT], INT], (a: bigint, b: bigint) => int(divide(a, b))),
  fn('_/_', [[UINT, UINT], UINT], (a: Uint, b: Uint) => new Uint(divide(a.value, b.value))),
  fn('_/_', [[DOUBLE, DOUBLE], DOUBLE], (a: number, b: number) => a / b),
  fn('_%_', [[INT, INT], INT], (a: bigint, b: bigint) => modulo(a, b)),
  fn('_%_', [[UINT, UINT], UINT], (a: Uint, b: Uint) => new Uint(modulo(a.value, b.value))),
]

const NUMBERS = [INT, UINT, DOUBLE]
const ORDERED: readonly (readonly [CelType, CelType])[] = [
  ...[BOOL, STRING, BYTES, TIMESTAMP, DURATION].map(type => [type, type] as const),
  ...NUMBERS.flatMap(a => NUMBERS.map(b => [a, b] as const)),
]

/** NaN compares false with everything. */
const ordering: readonly Overload[] = ORDERED.flatMap(([a, b]) => {
  const isText = a === STRING || a === BYTES
  const costs = isText ? { cost: smaller } : {}
  const by = (name: string, holds: (order: number) => boolean) =>
    fn(name, [[a, b], BOOL], (x: CelValue, y: CelValue) => holds(compare(x, y)), costs)
  return [
    by('_<_', order => order < 0),
    by('_<=_', order => order <= 0),
    by('_>_', order => order > 0),
    by('_>=_', order => order >= 0),
  ]
})

const among = (item: CelValue, list: readonly CelValue[]): boolean => list.some(one => equal(one, item))

const membership: readonly Overload[] = [
  fn('@in', [[A, LIST_A], BOOL], among, { cost: (_item, list = 0) => list }),
  fn('@in', [[A, MAP_AB], BOOL], (key: CelValue, map: MapValue) => map.get(key) !== undefined),
]

const indexing: readonly Overload[] = [
  fn('_[_]', [[LIST_A, INT], A], planned),
  fn('_[_]', [[MAP_AB, A], B], planned),
  fn('_[_]', [[optionalOf(LIST_A), INT], optionalOf(A)], planned),
  fn('_[_]', [[optionalOf(MAP_AB), A], optionalOf(B)], planned),
  fn('_[?_]', [[LIST_A, INT], optionalOf(A)], planned),
  fn('_[?_]', [[MAP_AB, A], optionalOf(B)], planned),
  fn('_[?_]', [[optionalOf(LIST_A), INT], optionalOf(A)], planned),
  fn('_[?_]', [[optionalOf(MAP_AB), A], optionalOf(B)], planned),
]

const size = (value: CelValue): bigint => BigInt(sizeOf(value))

const misc: readonly Overload[] = [
  ...[STRING, BYTES, LIST_A, MAP_AB].flatMap(type => [
    fn('size', [[type], INT], size),
    method('size', [[type], INT], size),
  ]),
  fn('dyn', [[A], DYN], (value: CelValue) => value),
  fn('type', [[A], typeOf(A)], (value: CelValue) => new TypeValue(nameOf(value))),
]

const nameOf = (value: CelValue): string => runtimeName(typeOfValue(value))

export const operators: readonly Overload[] = [
  ...logic,
  ...add,
  ...subtract,
  ...scale,
  ...ordering,
  ...membership,
  ...indexing,
  ...misc,
]
