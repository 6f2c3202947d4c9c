/**
 * How server-side apply sees the model: which values are one leaf, which lists are sets or maps by key, which maps
 * and structs are owned field by field. Made of the model once per type.
 */
import type { FieldInfo, Model, TypeInfo, TypeRef } from '../model-types.ts'

export interface LeafSchema {
  readonly kind: 'leaf'
  readonly scalar: 'string' | 'number' | 'boolean' | 'any-scalar'
}

/** Anything: maps are owned field by field, lists as a whole. */
export interface DeducedSchema {
  readonly kind: 'deduced'
}

export interface ListSchema {
  readonly kind: 'list'
  readonly relation: 'atomic' | 'set' | 'map'
  readonly keys: readonly string[]
  readonly items: ApplySchema
}

export interface MapSchema {
  readonly kind: 'map'
  readonly atomic: boolean
  /** Declared fields; empty for a map with free keys. */
  readonly fields: ReadonlyMap<string, ApplyField>
  /** Of free keys; null when only declared fields may occur. */
  readonly values: ApplySchema | null
}

export type ApplySchema = LeafSchema | DeducedSchema | ListSchema | MapSchema

export interface ApplyField {
  readonly schema: ApplySchema
  /** What Go's struct has where the field is not set; undefined when it is left out. */
  readonly zero: unknown
  /** The default of a key of a list that is a map. */
  readonly defaultValue: unknown
}

const leaf = (scalar: LeafSchema['scalar']): LeafSchema => ({ kind: 'leaf', scalar })
const leaves: Partial<Record<TypeRef['kind'], LeafSchema>> = {
  string: leaf('string'),
  bytes: leaf('string'),
  time: leaf('string'),
  'micro-time': leaf('string'),
  integer: leaf('number'),
  number: leaf('number'),
  boolean: leaf('boolean'),
  quantity: leaf('any-scalar'),
  'int-or-string': leaf('any-scalar'),
}
const deduced: DeducedSchema = { kind: 'deduced' }
const noFields: ReadonlyMap<string, ApplyField> = new Map()

const schemasOfModel = new WeakMap<Model, Map<string, MapSchema>>()

/** The schema of a type of the model, which must know it. */
export function applySchema(model: Model, typeName: string): ApplySchema {
  let cache = schemasOfModel.get(model)
  if (cache === undefined) {
    cache = new Map()
    schemasOfModel.set(model, cache)
  }
  return structSchema({ model, cache }, typeName)
}

interface Maker {
  readonly model: Model
  readonly cache: Map<string, MapSchema>
}

function structSchema(maker: Maker, typeName: string, override?: 'atomic' | 'granular'): ApplySchema {
  const info = maker.model.types.get(typeName)
  if (info === undefined) return deduced
  const atomic = (override ?? info.mapType) === 'atomic'
  const key = override === undefined ? typeName : `${typeName} ${override}`
  const known = maker.cache.get(key)
  if (known !== undefined) return known
  const fields = new Map<string, ApplyField>()
  const schema: MapSchema = { kind: 'map', atomic, fields, values: null }
  // Types may hold themselves, so the schema is known before its fields are.
  maker.cache.set(key, schema)
  addFields(maker, info, fields)
  return schema
}

function addFields(maker: Maker, info: TypeInfo, fields: Map<string, ApplyField>): void {
  for (const field of info.fields.values()) {
    fields.set(field.name, {
      schema: schemaOf(maker, field.type, field),
      zero: zeroOf(field),
      defaultValue: field.defaultValue,
    })
  }
}

function schemaOf(maker: Maker, type: TypeRef, field?: FieldInfo): ApplySchema {
  switch (type.kind) {
    case 'object':
      return structSchema(maker, type.name, field?.mapType)
    case 'map':
      return {
        kind: 'map',
        atomic: field?.mapType === 'atomic',
        fields: noFields,
        values: schemaOf(maker, type.values),
      }
    case 'array':
      return { kind: 'list', ...relationOf(field), items: schemaOf(maker, type.items) }
    default:
      return leaves[type.kind] ?? deduced
  }
}

/** Lists say it themselves, or by how strategic merge patches treat them; all others are one leaf. */
function relationOf(field: FieldInfo | undefined): Pick<ListSchema, 'relation' | 'keys'> {
  if (field?.listType !== undefined) return { relation: field.listType, keys: field.listMapKeys ?? [] }
  if (field?.patchStrategy?.includes('merge') !== true) return { relation: 'atomic', keys: [] }
  const key = field.patchMergeKey
  return key === undefined ? { relation: 'set', keys: [] } : { relation: 'map', keys: [key] }
}

/**
 * Go's structs always have their fields that are no pointers. Those are the published defaults that are zero;
 * required lists and maps are nil.
 */
function zeroOf(field: FieldInfo): unknown {
  const value = field.defaultValue
  if (value !== undefined && field.defaultUnpublished !== true && isZero(value)) return value
  const isCollection = field.type.kind === 'array' || field.type.kind === 'map'
  return field.required && isCollection ? null : undefined
}

function isZero(value: unknown): boolean {
  if (value === '' || value === 0 || value === false) return true
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0
}

/** How a free or declared field of a map is seen; null when it may not occur. */
export function fieldSchema(map: MapSchema, name: string): ApplySchema | null {
  return map.fields.get(name)?.schema ?? map.values
}

const deducedMap: MapSchema = { kind: 'map', atomic: false, fields: noFields, values: deduced }
const deducedList: ListSchema = { kind: 'list', relation: 'atomic', keys: [], items: deduced }
const anyScalar = leaf('any-scalar')

/** What a value of unknown shape is. */
export function resolved(schema: ApplySchema, value: unknown): Exclude<ApplySchema, DeducedSchema> {
  if (schema.kind !== 'deduced') return schema
  if (Array.isArray(value)) return deducedList
  return typeof value === 'object' && value !== null ? deducedMap : anyScalar
}
