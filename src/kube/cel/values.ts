/**
 * What expressions compute with. int is a bigint, double a number, the rest as the classes below; a list is an
 * array. Maps and objects that come out of JSON turn into values only where an expression looks.
 */
import type { CelType } from './types.ts'
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, NULL, STRING, TIMESTAMP, typeOf, UINT } from './types.ts'

/** An evaluation that went wrong; `&&` and `||` may get over it. */
export class CelError extends Error {}

export const noSuchKey = (key: string): CelError => new CelError(`no such key: ${key}`)
export const noSuchOverload = (): CelError => new CelError('no such overload')

export class Uint {
  readonly value: bigint
  constructor(value: bigint) {
    this.value = value
  }
}

/** A point in time, in nanoseconds since the epoch. */
export class Timestamp {
  readonly nanos: bigint
  constructor(nanos: bigint) {
    this.nanos = nanos
  }
}

export class Duration {
  readonly nanos: bigint
  constructor(nanos: bigint) {
    this.nanos = nanos
  }
}

export class TypeValue {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** `optional.of(x)`, or nothing. */
export class Optional {
  readonly value: CelValue | undefined
  constructor(value: CelValue | undefined) {
    this.value = value
  }
}

export const NONE = new Optional(undefined)

/** A map with keys of any kind. */
export abstract class MapValue {
  abstract readonly size: number
  abstract get(key: CelValue): CelValue | undefined
  abstract keys(): readonly CelValue[]

  *entries(): Generator<readonly [CelValue, CelValue]> {
    for (const key of this.keys()) yield [key, this.get(key) as CelValue]
  }
}

/** A value with named fields: of a declared type, or of a library. */
export abstract class StructValue {
  abstract readonly type: CelType
  /** Absent fields are undefined; unknown ones too. */
  abstract get(field: string): CelValue | undefined
  /** The names of the fields that are there. */
  abstract fields(): readonly string[]
  has(field: string): boolean {
    return this.get(field) !== undefined
  }
}

/** A value of an opaque type of a library: quantities, addresses, URLs. */
export abstract class OpaqueValue {
  abstract readonly type: CelType
  abstract equals(other: OpaqueValue): boolean
}

export type CelValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | Uint8Array
  | Uint
  | Timestamp
  | Duration
  | TypeValue
  | Optional
  | readonly CelValue[]
  | MapValue
  | StructValue
  | OpaqueValue

/** A list that compares and adds without order: a set, or a map by keys. */
export class AssociativeList extends Array<CelValue> {
  mapKeys: readonly string[] | null = null

  static build(items: readonly CelValue[], mapKeys: readonly string[] | null): AssociativeList {
    const list = new AssociativeList()
    for (const item of items) list.push(item)
    list.mapKeys = mapKeys
    return list
  }

  static override get [Symbol.species](): ArrayConstructor {
    return Array
  }
}

/** What makes two keys of a map the same; null for a value that cannot be a key. */
export function keyText(key: CelValue): string | null {
  if (typeof key === 'string') return `s${key}`
  if (typeof key === 'bigint') return `n${key}`
  if (key instanceof Uint) return `n${key.value}`
  if (typeof key === 'boolean') return `b${key}`
  if (typeof key === 'number' && Number.isInteger(key)) return `n${BigInt(key)}`
  return null
}

/** A map that an expression made. */
export class LiteralMap extends MapValue {
  readonly #entries = new Map<string, readonly [CelValue, CelValue]>()

  get size(): number {
    return this.#entries.size
  }

  get(key: CelValue): CelValue | undefined {
    const text = keyText(key)
    return text === null ? undefined : this.#entries.get(text)?.[1]
  }

  keys(): readonly CelValue[] {
    return [...this.#entries.values()].map(([key]) => key)
  }

  /** False when the key is there already. */
  add(key: CelValue, value: CelValue): boolean {
    const text = keyText(key)
    if (text === null || typeof key === 'number') throw new CelError('unsupported key type')
    if (this.#entries.has(text)) return false
    this.#entries.set(text, [key, value])
    return true
  }
}

/** The type of a value as far as it can be told without looking inside. */
export function typeOfValue(value: CelValue): CelType {
  switch (typeof value) {
    case 'bigint':
      return INT
    case 'number':
      return DOUBLE
    case 'string':
      return STRING
    case 'boolean':
      return BOOL
    default:
      return value === null ? NULL : typeOfObject(value)
  }
}

const LIST: CelType = { kind: 'list', item: DYN }
const MAP: CelType = { kind: 'map', key: DYN, value: DYN }
const OPTIONAL: CelType = { kind: 'optional', item: DYN }

function typeOfObject(value: object): CelType {
  if (Array.isArray(value)) return LIST
  if (value instanceof MapValue) return MAP
  if (value instanceof StructValue || value instanceof OpaqueValue) return value.type
  if (value instanceof Uint) return UINT
  if (value instanceof Uint8Array) return BYTES
  if (value instanceof Timestamp) return TIMESTAMP
  if (value instanceof Duration) return DURATION
  if (value instanceof Optional) return OPTIONAL
  return typeOf(DYN)
}

export const isList = (value: CelValue): value is readonly CelValue[] => Array.isArray(value)

/** Characters, items or entries; 1 for what has no size. */
export function sizeOf(value: CelValue): number {
  if (typeof value === 'string') return codePoints(value)
  if (isList(value) || value instanceof Uint8Array) return value.length
  return value instanceof MapValue ? value.size : 1
}

const BEYOND_BMP = /[\ud800-\udbff]/

export function codePoints(text: string): number {
  return BEYOND_BMP.test(text) ? [...text].length : text.length
}
