/** Lists, sets of lists, optionals, and what two-variable macros need. */
import { compare, equal } from '../equality.ts'
import { fn, method, type Overload } from '../functions.ts'
import {
  A,
  B,
  BOOL,
  BYTES,
  type CelType,
  DOUBLE,
  DURATION,
  INT,
  listOf,
  mapOf,
  optionalOf,
  STRING,
  TIMESTAMP,
  UINT,
} from '../types.ts'
import {
  CelError,
  type CelValue,
  Duration,
  isList,
  LiteralMap,
  MapValue,
  NONE,
  noSuchOverload,
  Optional,
  StructValue,
  sizeOf,
  Uint,
} from '../values.ts'
import { int, uint } from './numbers.ts'

const LIST_A = listOf(A)
type List = readonly CelValue[]

const listWalk = { cost: (list = 0) => list }
const ORDERED = [INT, UINT, DOUBLE, BOOL, DURATION, TIMESTAMP, STRING, BYTES]

function isSorted(list: List): boolean {
  return list.every((item, index) => index === 0 || compare(list[index - 1] as CelValue, item) <= 0)
}

function extreme(list: List, sign: 1 | -1, name: string): CelValue {
  const [first, ...rest] = list
  if (first === undefined) throw new CelError(`${name} called on empty list`)
  return rest.reduce((best, item) => (compare(item, best) * sign > 0 ? item : best), first)
}

function total(list: List, zero: CelValue): CelValue {
  let sum = zero
  for (const item of list) sum = addNumbers(sum, item)
  return sum
}

function addNumbers(a: CelValue, b: CelValue): CelValue {
  if (typeof a === 'bigint' && typeof b === 'bigint') return int(a + b)
  if (typeof a === 'number' && typeof b === 'number') return a + b
  if (a instanceof Uint && b instanceof Uint) return new Uint(uint(a.value + b.value))
  if (a instanceof Duration && b instanceof Duration) return new Duration(int(a.nanos + b.nanos, 'duration'))
  throw noSuchOverload()
}

const SUMMED: readonly (readonly [CelType, CelValue])[] = [
  [INT, 0n],
  [UINT, new Uint(0n)],
  [DOUBLE, 0],
  [DURATION, new Duration(0n)],
]

const positionOf = (list: List, item: CelValue): bigint => BigInt(list.findIndex(one => equal(one, item)))
const lastPositionOf = (list: List, item: CelValue): bigint =>
  BigInt(list.findLastIndex(one => equal(one, item)))

/** Runs with the elements of the list as they are: the type checker has chosen among the element types. */
const lists: readonly Overload[] = [
  ...ORDERED.flatMap(type => [
    method('isSorted', [[listOf(type)], BOOL], isSorted, listWalk),
    method('min', [[listOf(type)], type], (list: List) => extreme(list, -1, 'min'), listWalk),
    method('max', [[listOf(type)], type], (list: List) => extreme(list, 1, 'max'), listWalk),
  ]),
  ...SUMMED.map(([type, zero]) =>
    method('sum', [[listOf(type)], type], (list: List) => total(list, zeroLike(list, zero)), listWalk),
  ),
  method('indexOf', [[LIST_A, A], INT], positionOf, listWalk),
  method('lastIndexOf', [[LIST_A, A], INT], lastPositionOf, listWalk),
]

/** Of an untyped list the first item says what is added up. */
function zeroLike([first]: List, zero: CelValue): CelValue {
  if (typeof first === 'number') return 0
  if (first instanceof Uint) return new Uint(0n)
  if (first instanceof Duration) return new Duration(0n)
  return first === undefined ? zero : 0n
}

const among = (list: List, item: CelValue): boolean => list.some(one => equal(one, item))
const crossed = { cost: (a = 0, b = 0) => a * b + 1 }
const crossedTwice = { cost: (a = 0, b = 0) => 2 * a * b + 1 }

const sets: readonly Overload[] = [
  fn(
    'sets.contains',
    [[LIST_A, LIST_A], BOOL],
    (a: List, b: List) => b.every(item => among(a, item)),
    crossed,
  ),
  fn(
    'sets.equivalent',
    [[LIST_A, LIST_A], BOOL],
    (a: List, b: List) => a.every(item => among(b, item)) && b.every(item => among(a, item)),
    crossedTwice,
  ),
  fn(
    'sets.intersects',
    [[LIST_A, LIST_A], BOOL],
    (a: List, b: List) => a.some(item => among(b, item)),
    crossed,
  ),
]

function isZero(value: CelValue): boolean {
  if (value === null || value === false || value === '' || value === 0 || value === 0n) return true
  if (isList(value) || value instanceof MapValue || value instanceof Uint8Array) return sizeOf(value) === 0
  if (value instanceof StructValue) return value.fields().length === 0
  if (value instanceof Duration) return value.nanos === 0n
  return value instanceof Uint && value.value === 0n
}

function unwrapOne(optional: Optional): CelValue {
  if (optional.value === undefined) throw new CelError('optional.none() dereference')
  return optional.value
}

const OPTIONAL_A = optionalOf(A)

const optionals: readonly Overload[] = [
  fn('optional.of', [[A], OPTIONAL_A], (value: CelValue) => new Optional(value)),
  fn('optional.ofNonZeroValue', [[A], OPTIONAL_A], (value: CelValue) =>
    isZero(value) ? NONE : new Optional(value),
  ),
  fn('optional.none', [[], OPTIONAL_A], () => NONE),
  fn('optional.unwrap', [[listOf(OPTIONAL_A)], LIST_A], (list: List) => unwrapAll(list), listWalk),
  method('unwrapOpt', [[listOf(OPTIONAL_A)], LIST_A], (list: List) => unwrapAll(list), listWalk),
  method('hasValue', [[OPTIONAL_A], BOOL], (optional: Optional) => optional.value !== undefined),
  method('value', [[OPTIONAL_A], A], unwrapOne),
  method('or', [[OPTIONAL_A, OPTIONAL_A], OPTIONAL_A], (a: Optional, b: Optional) =>
    a.value === undefined ? b : a,
  ),
  method('orValue', [[OPTIONAL_A, A], A], (optional: Optional, other: CelValue) => optional.value ?? other),
]

function unwrapAll(list: List): List {
  return list.flatMap(item => (item instanceof Optional && item.value !== undefined ? [item.value] : []))
}

const MAP_AB = mapOf(A, B)

function withEntry(map: MapValue, key: CelValue, value: CelValue): MapValue {
  const copy = new LiteralMap()
  for (const [known, one] of map.entries()) copy.add(known, one)
  if (!copy.add(key, value)) throw new CelError(`insert failed: key ${String(key)} already exists`)
  return copy
}

function withEntries(map: MapValue, more: MapValue): MapValue {
  let merged = map
  for (const [key, value] of more.entries()) merged = withEntry(merged, key, value)
  return merged
}

const entrySizes = { cost: (map = 0) => map + 1, resultSize: (map = 0) => map + 1 }

const inserts: readonly Overload[] = [
  fn('cel.@mapInsert', [[MAP_AB, A, B], MAP_AB], withEntry, entrySizes),
  fn('cel.@mapInsert', [[MAP_AB, MAP_AB], MAP_AB], withEntries, entrySizes),
]

export const collections: readonly Overload[] = [...lists, ...sets, ...optionals, ...inserts]
