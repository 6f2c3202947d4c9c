/**
 * How functions are declared: name, types, what it computes, and what it costs. The libraries are lists of these.
 * One formula serves both costs: with the sizes at hand while running, with the smallest and the largest before.
 */
import type { CelType } from './types.ts'
import { runtimeName } from './types.ts'
import type { CelValue } from './values.ts'
import {
  Duration,
  isList,
  MapValue,
  OpaqueValue,
  Optional,
  StructValue,
  Timestamp,
  TypeValue,
  Uint,
} from './values.ts'

/** Grows with every size. */
export type SizeFormula = (...sizes: readonly number[]) => number

export interface Overload {
  readonly name: string
  readonly isMember: boolean
  /** The receiver of a member comes first. */
  readonly params: readonly CelType[]
  readonly result: CelType
  /** Arguments have the declared kinds. Throws CelError. */
  readonly run: (...args: readonly CelValue[]) => CelValue
  /** 1 unless given. */
  readonly cost?: SizeFormula
  /** Of the result, for the static estimate; by its type unless given. */
  readonly resultSize?: SizeFormula
}

interface Costs {
  readonly cost?: SizeFormula
  readonly resultSize?: SizeFormula
}

type Runner = (...args: never[]) => CelValue

export function fn(
  name: string,
  [params, result]: readonly [readonly CelType[], CelType],
  run: Runner,
  costs: Costs = {},
): Overload {
  return { name, isMember: false, params, result, run: run as Overload['run'], ...costs }
}

export function method(
  name: string,
  [params, result]: readonly [readonly CelType[], CelType],
  run: Runner,
  costs: Costs = {},
): Overload {
  return { name, isMember: true, params, result, run: run as Overload['run'], ...costs }
}

/** What traversing a string costs per character. */
const STRING_FACTOR = 0.1
const REGEX_FACTOR = 0.25

/** To walk along text of this size. */
export const traversal = (size: number): number => Math.ceil(size * STRING_FACTOR)
export const regexCost = (text: number, pattern: number): number =>
  traversal(text + 1) * Math.ceil(pattern * REGEX_FACTOR)

export type FunctionTable = ReadonlyMap<string, readonly Overload[]>

export function functionTable(...libraries: readonly (readonly Overload[])[]): FunctionTable {
  const table = new Map<string, Overload[]>()
  for (const overload of libraries.flat()) {
    const known = table.get(overload.name)
    if (known === undefined) table.set(overload.name, [overload])
    else known.push(overload)
  }
  return table
}

/** Whether the value has the kind that the type asks for; what is inside is not looked at. */
export function isOfKind(type: CelType, value: CelValue): boolean {
  switch (type.kind) {
    case 'dyn':
    case 'param':
    case 'error':
      return true
    case 'null':
      return value === null
    case 'bool':
      return typeof value === 'boolean'
    case 'int':
      return typeof value === 'bigint'
    case 'double':
      return typeof value === 'number'
    case 'string':
      return typeof value === 'string'
    default:
      return isObjectOfKind(type, value)
  }
}

function isObjectOfKind(type: CelType, value: CelValue): boolean {
  switch (type.kind) {
    case 'uint':
      return value instanceof Uint
    case 'bytes':
      return value instanceof Uint8Array
    case 'timestamp':
      return value instanceof Timestamp
    case 'duration':
      return value instanceof Duration
    case 'list':
      return isList(value)
    case 'map':
      return value instanceof MapValue
    case 'optional':
      return value instanceof Optional
    case 'type':
      return value instanceof TypeValue
    default:
      return (
        (value instanceof StructValue || value instanceof OpaqueValue) &&
        runtimeName(value.type) === runtimeName(type)
      )
  }
}
