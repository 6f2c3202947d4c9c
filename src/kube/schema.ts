/**
 * Walks an object along the model: decodes what a client sent (prunes unknown fields, checks types, brings values
 * into canonical form) and fills in the model's defaults. What needs no change is returned as it is.
 */
import { cloneJson, setKey } from './clone.ts'
import { typeError } from './go-types.ts'
import type { FieldInfo, Model, TypeInfo, TypeRef } from './model-types.ts'
import { canonicalQuantity, QuantityError } from './quantity.ts'
import { badRequest, type StatusError } from './status.ts'
import { formatMicroTime, formatTime, parseTime } from './time.ts'

/** `strict` and `warn` list unknown fields, `ignore` drops them silently. */
export type FieldValidation = 'strict' | 'warn' | 'ignore'

export interface DecodeResult {
  /** Same reference as the input when nothing had to change. */
  readonly object: Record<string, unknown>
  /** `unknown field "spec.foo"`. */
  readonly unknownFields: readonly string[]
  /** In the words of Go's decoder; upstream reports the first. */
  readonly typeErrors: readonly string[]
}

type Fields = Record<string, unknown>

const DROP = Symbol('drop')

/** The documents do not say that these fields have schemas in them. */
const SCHEMA = 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps'
const SCHEMA_FIELDS: ReadonlySet<string> = new Set(['items', 'additionalItems', 'additionalProperties'])

/** Decodes a value as the named type of the model. `value` is not changed. */
export function decodeObject(
  model: Model,
  typeName: string,
  value: unknown,
  mode: FieldValidation,
): DecodeResult {
  const decoder = new Decoder(model, mode !== 'ignore')
  const decoded = decoder.decode({ kind: 'object', name: typeName }, value, ROOT)
  const object = typeof decoded === 'object' && decoded !== null ? (decoded as Fields) : {}
  return { object, unknownFields: decoder.unknownFields, typeErrors: decoder.typeErrors }
}

/** The 400 of a body that cannot be decoded. */
export function decodeFailure(kind: string, version: string, message: string): StatusError {
  return badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: ${message}`)
}

/** Where a value stands; its text is made only when something is wrong with it. */
interface Place {
  readonly parent: Place | null
  /** Field or map key; a number in a list. */
  readonly key: string | number
  /** The struct that has the field, for messages. */
  readonly owner: string
}

const ROOT: Place = { parent: null, key: '', owner: '' }

function pathOf(place: Place, options: { readonly indexes: boolean }): string {
  if (place.parent === null) return ''
  const before = pathOf(place.parent, options)
  if (typeof place.key === 'number') return options.indexes ? `${before}[${place.key}]` : before
  return before === '' ? place.key : `${before}.${place.key}`
}

class Decoder {
  readonly unknownFields: string[] = []
  readonly typeErrors: string[] = []
  readonly #model: Model
  readonly #collect: boolean

  constructor(model: Model, collect: boolean) {
    this.#model = model
    this.#collect = collect
  }

  decode(type: TypeRef, value: unknown, place: Place): unknown {
    switch (type.kind) {
      case 'object':
        return this.#object(type, value, place)
      case 'array':
        return this.#array(type, value, place)
      case 'map':
        return this.#map(type, value, place)
      case 'string':
        return typeof value === 'string' ? value : this.#wrong(type, value, place)
      case 'boolean':
        return typeof value === 'boolean' ? value : this.#wrong(type, value, place)
      case 'integer':
        return this.#integer(type, value, place)
      case 'number':
        return typeof value === 'number' ? value : this.#wrong(type, value, place)
      case 'int-or-string':
        return this.#intOrString(value)
      case 'quantity':
        return this.#quantity(value)
      case 'time':
      case 'micro-time':
        return this.#time(type.kind, value, place)
      case 'bytes':
        return this.#bytes(type, value, place)
      default:
        return value
    }
  }

  #wrong(type: TypeRef, value: unknown, place: Place): typeof DROP {
    const owner = ownerOf(place)
    this.typeErrors.push(typeError(type, value, { owner, path: pathOf(place, { indexes: false }) }))
    return DROP
  }

  #fail(message: string): typeof DROP {
    this.typeErrors.push(message)
    return DROP
  }

  #object(type: TypeRef & { kind: 'object' }, value: unknown, place: Place): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.#wrong(type, value, place)
    }
    const info = this.#model.types.get(type.name)
    if (info === undefined) return value
    const from = value as Fields
    let to: Fields | null = null
    for (const key of Object.keys(from)) {
      const found = from[key]
      const field = info.fields.get(key)
      if (field === undefined) this.#noteUnknown(key, place)
      else if (typeof found === 'string' && found !== '' && field.type.kind === 'string') continue
      const inside = { parent: place, key, owner: info.name }
      const decoded =
        field === undefined || found === null || found === undefined
          ? DROP
          : withoutEmpty(info, field, this.#field(info, field, found, inside))
      if (decoded === found) continue
      to ??= { ...from }
      if (decoded === DROP) delete to[key]
      else to[key] = decoded
    }
    return to ?? from
  }

  #field(info: TypeInfo, { name, type }: FieldInfo, value: unknown, place: Place): unknown {
    if (type.kind === 'any' && info.name === SCHEMA && SCHEMA_FIELDS.has(name)) {
      return this.#schemas(value, place)
    }
    return this.decode(type, value, place)
  }

  /** A schema, or something else that the model has no name for: a boolean, a list of schemas. */
  #schemas(value: unknown, place: Place): unknown {
    const type: TypeRef = { kind: 'object', name: SCHEMA }
    if (Array.isArray(value)) return this.#array({ kind: 'array', items: type }, value, place)
    return typeof value === 'object' ? this.#object(type, value, place) : value
  }

  #noteUnknown(key: string, place: Place): void {
    if (!this.#collect) return
    const path = pathOf({ parent: place, key, owner: '' }, { indexes: true })
    this.unknownFields.push(`unknown field ${JSON.stringify(path)}`)
  }

  #array(type: TypeRef & { kind: 'array' }, value: unknown, place: Place): unknown {
    if (!Array.isArray(value)) return this.#wrong(type, value, place)
    let to: unknown[] | null = null
    for (let i = 0; i < value.length; i++) {
      const inside = { parent: place, key: i, owner: place.owner }
      const item = value[i]
      const decoded = item === null ? zeroOf(type.items) : this.decode(type.items, item, inside)
      if (decoded === item) continue
      to ??= value.slice()
      to[i] = decoded === DROP ? zeroOf(type.items) : decoded
    }
    return to ?? value
  }

  #map(type: TypeRef & { kind: 'map' }, value: unknown, place: Place): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.#wrong(type, value, place)
    }
    const from = value as Fields
    let to: Fields | null = null
    for (const key of Object.keys(from)) {
      const found = from[key]
      const inside = { parent: place, key, owner: place.owner }
      const decoded = found === null ? zeroOf(type.values) : this.decode(type.values, found, inside)
      if (decoded === found) continue
      to ??= { ...from }
      setKey(to, key, decoded === DROP ? zeroOf(type.values) : decoded)
    }
    return to ?? from
  }

  #integer(type: TypeRef & { kind: 'integer' }, value: unknown, place: Place): unknown {
    if (!Number.isInteger(value)) return this.#wrong(type, value, place)
    const limit = type.bits === 32 ? 2 ** 31 : 2 ** 63
    const number = value as number
    if (number < -limit || number >= limit) return this.#wrong(type, value, place)
    return Object.is(number, -0) ? 0 : number
  }

  #intOrString(value: unknown): unknown {
    if (typeof value === 'string') return value
    const ok = Number.isInteger(value) && Math.abs(value as number) < 2 ** 31
    return ok ? value : this.#fail(typeError({ kind: 'integer', bits: 32 }, value, { owner: '', path: '' }))
  }

  #quantity(value: unknown): unknown {
    const text = typeof value === 'number' ? String(value) : value
    try {
      if (typeof text === 'string') return canonicalQuantity(text)
      return this.#fail(QUANTITY_RULE)
    } catch (error) {
      if (!(error instanceof QuantityError)) throw error
      return this.#fail(error.message)
    }
  }

  #time(kind: 'time' | 'micro-time', value: unknown, place: Place): unknown {
    if (typeof value !== 'string') return this.#wrong({ kind: 'string' }, value, place)
    if ((kind === 'time' ? WHOLE_SECONDS : MICRO_SECONDS).test(value) && parseTime(value) !== null)
      return value
    const ms = parseTime(value)
    const layout = kind === 'time' ? TIME_LAYOUT : MICRO_TIME_LAYOUT
    if (ms === null) {
      return this.#fail(`parsing time "${value}" as "${layout}": cannot parse "${value}" as "2006"`)
    }
    return kind === 'time' ? formatTime(ms) : formatMicroTime(ms)
  }

  #bytes(type: TypeRef, value: unknown, place: Place): unknown {
    if (typeof value !== 'string') return this.#wrong(type, value, place)
    const plain = /[\r\n]/.test(value) ? value.replace(/[\r\n]/g, '') : value
    if (plain.length % 4 === 0 && BASE64.test(plain)) return plain
    const bad = plain.search(/[^A-Za-z0-9+/]/)
    return this.#fail(
      `illegal base64 data at input byte ${bad === -1 ? plain.length - (plain.length % 4) : bad}`,
    )
  }
}

/** Lists that are written even when they are empty, because empty is not the same as absent. */
const KEPT_WHEN_EMPTY = new Set(['EndpointSlice.ports', 'Role.rules', 'ClusterRole.rules'])

/** What is empty in an optional field is left out, as Go's `omitempty` does. */
function withoutEmpty(info: TypeInfo, field: FieldInfo, value: unknown): unknown {
  const { kind } = field.type
  if (value === '' || value === 0 || value === false) return field.omitsZero === true ? DROP : value
  if (field.required || (kind !== 'array' && kind !== 'map')) return value
  if (typeof value !== 'object' || value === null || Object.keys(value).length > 0) return value
  const name = `${info.name.slice(info.name.lastIndexOf('.') + 1)}.${field.name}`
  return KEPT_WHEN_EMPTY.has(name) ? value : DROP
}

const WHOLE_SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/
const MICRO_SECONDS = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/
const TIME_LAYOUT = '2006-01-02T15:04:05Z07:00'
const MICRO_TIME_LAYOUT = '2006-01-02T15:04:05.000000Z07:00'
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/
const QUANTITY_RULE =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"

const ownerOf = (place: Place): string => place.owner.split('.').at(-1) ?? ''

/** What Go has where JSON says null inside a list or map. */
function zeroOf(type: TypeRef): unknown {
  switch (type.kind) {
    case 'object':
    case 'map':
      return {}
    case 'array':
      return []
    case 'string':
    case 'bytes':
      return ''
    case 'boolean':
      return false
    case 'quantity':
      return '0'
    case 'integer':
    case 'number':
    case 'int-or-string':
      return 0
    default:
      return null
  }
}

/** Fills in the model's defaults; changes `object`. */
export function applyModelDefaults(model: Model, typeName: string, object: Record<string, unknown>): void {
  const info = model.types.get(typeName)
  if (info !== undefined) defaultObject(model, info, object)
}

function defaultObject(model: Model, info: TypeInfo, object: Fields): void {
  for (const field of info.defaulted) {
    if (isOmitted(field, object[field.name])) object[field.name] = copyDefault(field.defaultValue)
  }
  for (const key in object) {
    const field = info.fields.get(key)
    if (field !== undefined) defaultValue(model, field.type, object[key])
  }
}

const copyDefault = (value: unknown): unknown => (typeof value === 'object' ? cloneJson(value) : value)

function isOmitted(field: FieldInfo, value: unknown): boolean {
  if (value === undefined || value === null) return true
  // Upstream's strings are no pointers: the empty string is the same as none.
  if (value === '') return field.defaultValue !== ''
  return value === 0 && field.zeroMeansOmitted === true
}

function defaultValue(model: Model, type: TypeRef, value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  switch (type.kind) {
    case 'object': {
      const info = model.types.get(type.name)
      if (info !== undefined) defaultObject(model, info, value as Fields)
      return
    }
    case 'array':
      if (isNested(type.items)) for (const item of value as unknown[]) defaultValue(model, type.items, item)
      return
    case 'map':
      if (!isNested(type.values)) return
      for (const item of Object.values(value)) defaultValue(model, type.values, item)
      return
    default:
  }
}

const isNested = (type: TypeRef): boolean =>
  type.kind === 'object' || type.kind === 'array' || type.kind === 'map'
