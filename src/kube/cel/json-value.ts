/** JSON as values of the language, by declared type: numbers become int or double, objects turn lazily. */
import { parseDuration, parseTimestamp } from './library/time.ts'
import type { CelType, ListType, ObjectType } from './types.ts'
import { DYN } from './types.ts'
import type { CelValue } from './values.ts'
import {
  AssociativeList,
  CelError,
  Duration,
  isList,
  MapValue,
  Optional,
  StructValue,
  Timestamp,
  Uint,
} from './values.ts'

type JsonObject = Readonly<Record<string, unknown>>

/** The value of JSON that has been checked against its schema; what does not fit its type is taken as it is. */
export function fromJson(json: unknown, type: CelType): CelValue {
  if (json === null || json === undefined) return null
  switch (typeof json) {
    case 'string':
      return fromText(json, type)
    case 'number':
      return fromNumber(json, type)
    case 'boolean':
      return json
    default:
      return Array.isArray(json) ? fromList(json, type) : fromObject(json as JsonObject, type)
  }
}

function fromNumber(json: number, type: CelType): CelValue {
  if (type.kind === 'double') return json
  return Number.isInteger(json) ? BigInt(json) : json
}

function fromText(json: string, type: CelType): CelValue {
  switch (type.kind) {
    case 'bytes':
      return Buffer.from(json, 'base64')
    case 'timestamp': {
      const time = parseTimestamp(type.format === 'date' ? `${json}T00:00:00Z` : json)
      if (time === null) throw new CelError(`invalid timestamp ${JSON.stringify(json)}`)
      return time
    }
    case 'duration': {
      const duration = parseDuration(json)
      if (duration === null) throw new CelError(`invalid duration ${JSON.stringify(json)}`)
      return duration
    }
    default:
      return json
  }
}

function fromList(json: readonly unknown[], type: CelType): CelValue {
  const item = type.kind === 'list' ? type.item : DYN
  const items = json.map(one => fromJson(one, item))
  return type.kind === 'list' && type.listType !== undefined ? associative(items, type) : items
}

const associative = (items: readonly CelValue[], { listType, mapKeys }: ListType): CelValue =>
  AssociativeList.build(items, listType === 'map' ? (mapKeys ?? []) : null)

function fromObject(json: JsonObject, type: CelType): CelValue {
  if (type.kind === 'object') return new JsonStruct(json, type)
  return new JsonMap(json, type.kind === 'map' ? type.value : DYN)
}

/** A JSON object as a map of strings. */
class JsonMap extends MapValue {
  readonly json: JsonObject
  readonly #value: CelType
  readonly #seen = new Map<string, CelValue>()

  constructor(json: JsonObject, value: CelType) {
    super()
    this.json = json
    this.#value = value
  }

  get size(): number {
    return Object.keys(this.json).length
  }

  get(key: CelValue): CelValue | undefined {
    if (typeof key !== 'string' || !Object.hasOwn(this.json, key)) return undefined
    const seen = this.#seen.get(key)
    if (seen !== undefined) return seen
    const value = fromJson(this.json[key], this.#value)
    this.#seen.set(key, value)
    return value
  }

  keys(): readonly string[] {
    return Object.keys(this.json)
  }
}

/** A JSON object as an object with declared fields. */
export class JsonStruct extends StructValue {
  readonly type: ObjectType
  readonly json: JsonObject
  readonly #seen = new Map<string, CelValue>()

  constructor(json: JsonObject, type: ObjectType) {
    super()
    this.json = json
    this.type = type
  }

  override has(field: string): boolean {
    return Object.hasOwn(this.json, this.type.fields.get(field)?.name ?? field)
  }

  get(field: string): CelValue | undefined {
    const seen = this.#seen.get(field)
    if (seen !== undefined) return seen
    const declared = this.type.fields.get(field)
    const name = declared?.name ?? field
    if (!Object.hasOwn(this.json, name)) return undefined
    const value = fromJson(this.json[name], declared?.type ?? DYN)
    this.#seen.set(field, value)
    return value
  }

  fields(): readonly string[] {
    return [...this.type.fields]
      .filter(([, { name }]) => Object.hasOwn(this.json, name))
      .map(([field]) => field)
  }
}

/** Named values that are made when they are first asked for. */
export class LazyStruct extends StructValue {
  readonly type: ObjectType
  readonly #make: (field: string) => CelValue | undefined
  readonly #made = new Map<string, CelValue | undefined>()

  constructor(type: ObjectType, make: (field: string) => CelValue | undefined) {
    super()
    this.type = type
    this.#make = make
  }

  get(field: string): CelValue | undefined {
    if (!this.#made.has(field)) this.#made.set(field, this.#make(field))
    return this.#made.get(field)
  }

  fields(): readonly string[] {
    return [...this.type.fields.keys()].filter(field => this.get(field) !== undefined)
  }
}

/** The value as JSON; throws CelError for what JSON has no form of. */
export function toJson(value: CelValue): unknown {
  switch (typeof value) {
    case 'bigint':
      return Number(value)
    case 'object':
      return value === null ? null : partsToJson(value)
    default:
      return value
  }
}

function partsToJson(value: object): unknown {
  if (value instanceof JsonMap || value instanceof JsonStruct) return structuredClone(value.json)
  if (isList(value as CelValue)) return (value as readonly CelValue[]).map(toJson)
  if (value instanceof MapValue) {
    return Object.fromEntries([...value.entries()].map(([key, one]) => [jsonKey(key), toJson(one)]))
  }
  if (value instanceof StructValue) {
    const entries = value.fields().map(name => {
      const field = value.get(name)
      return [fieldName(value, name), field === undefined ? null : toJson(field)]
    })
    return Object.fromEntries(entries)
  }
  if (value instanceof Uint) return Number(value.value)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (value instanceof Timestamp || value instanceof Duration)
    throw new CelError('unsupported type conversion to JSON')
  if (value instanceof Optional && value.value !== undefined) return toJson(value.value)
  throw new CelError('unsupported type conversion to JSON')
}

const fieldName = ({ type }: StructValue, name: string): string =>
  type.kind === 'object' ? (type.fields.get(name)?.name ?? name) : name

function jsonKey(key: CelValue): string {
  if (typeof key === 'string') return key
  throw new CelError('map keys must be strings in JSON')
}
