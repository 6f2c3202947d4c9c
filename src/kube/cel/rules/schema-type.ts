/** The type of what a structural schema describes, with the sizes that a request has room for. */
import type { Structural } from '../../structural-schema/structural.ts'
import { escapeName } from '../escape-names.ts'
import type { CelType, ObjectField, ObjectType } from '../types.ts'
import { BOOL, DOUBLE, INT, STRING } from '../types.ts'

const REQUEST_BYTES_MAX = 3 * 1024 * 1024
const TEXT_MAX = REQUEST_BYTES_MAX - 2
/** The fewest bytes a value takes in JSON. */
const LEAST = { text: 2, number: 1, boolean: 4, collection: 2, date: 22, duration: 4, dyn: 1 }
const SPECIAL_TEXT_MAX: Readonly<Record<string, number>> = { duration: 25, date: 10, 'date-time': 35 }

/** A type with the fewest bytes its JSON takes. */
export interface SchemaType {
  readonly type: CelType
  readonly bytesMin: number
}

/** Null where expressions cannot look. `isRoot`: the object itself, or one embedded in it. */
export function typeOfSchema(schema: Structural, isRoot = false, name = 'object'): SchemaType | null {
  if (schema.isIntOrString) {
    return { type: { kind: 'dyn', maxElements: TEXT_MAX }, bytesMin: LEAST.dyn }
  }
  switch (schema.type) {
    case 'array':
      return listType(schema, name)
    case 'object':
      return objectType(schema, isRoot || schema.isEmbedded, name)
    case 'string':
      return textType(schema)
    case 'boolean':
      return { type: BOOL, bytesMin: LEAST.boolean }
    case 'integer':
      return { type: INT, bytesMin: LEAST.number }
    case 'number':
      return { type: DOUBLE, bytesMin: LEAST.number }
    default:
      return null
  }
}

function limitOf(schema: Structural, key: string): number | undefined {
  const value = schema.json[key]
  return typeof value === 'number' ? Math.max(0, value) : undefined
}

function textType(schema: Structural): SchemaType {
  const format = String(schema.json['format'] ?? '')
  const maxElements = limitOf(schema, 'maxLength')
  switch (format) {
    case 'byte':
      return { type: { kind: 'bytes', maxElements: maxElements ?? TEXT_MAX }, bytesMin: LEAST.text }
    case 'duration':
      return { type: { kind: 'duration' }, bytesMin: LEAST.duration }
    case 'date':
    case 'date-time':
      return { type: { kind: 'timestamp', format }, bytesMin: LEAST.date }
    default:
      return { type: sizedText(maxElements ?? largestText(schema, format)), bytesMin: LEAST.text }
  }
}

const sizedText = (maxElements: number): CelType => ({ kind: 'string', maxElements })

function largestText(schema: Structural, format: string): number {
  const values = schema.json['enum']
  if (Array.isArray(values)) return Math.max(0, ...values.map(value => String(value).length))
  return SPECIAL_TEXT_MAX[format] ?? TEXT_MAX
}

function listType(schema: Structural, name: string): SchemaType | null {
  const item = schema.items === null ? null : typeOfSchema(schema.items, false, `${name}.@idx`)
  if (item === null) return null
  const room = Math.floor((REQUEST_BYTES_MAX - 2) / (item.bytesMin + 1))
  const { listType: kind, listMapKeys } = schema
  const association = kind === 'set' || kind === 'map' ? { listType: kind, mapKeys: listMapKeys } : {}
  return {
    type: {
      kind: 'list',
      item: item.type,
      maxElements: limitOf(schema, 'maxItems') ?? room,
      ...(association as { listType?: 'set' | 'map'; mapKeys?: readonly string[] }),
    },
    bytesMin: LEAST.collection,
  }
}

const ENTRY_BYTES = 6

function objectType(schema: Structural, isRoot: boolean, name: string): SchemaType | null {
  if (typeof schema.additional === 'object' && schema.additional !== null) {
    const value = typeOfSchema(schema.additional, false, `${name}.@elem`)
    if (value === null) return null
    const room = Math.floor((REQUEST_BYTES_MAX - 2) / (value.bytesMin + ENTRY_BYTES))
    const maxElements = limitOf(schema, 'maxProperties') ?? room
    return { type: { kind: 'map', key: STRING, value: value.type, maxElements }, bytesMin: LEAST.collection }
  }
  const fields = new Map<string, ObjectField>()
  let bytesMin = LEAST.collection
  const required = Array.isArray(schema.json['required']) ? (schema.json['required'] as unknown[]) : []
  for (const [property, below] of schema.properties) {
    const found = typeOfSchema(below, false, `${name}.${property}`)
    const escaped = escapeName(property)
    if (found === null) continue
    if (escaped !== null) fields.set(escaped, { name: property, type: found.type })
    if (required.includes(property) && below.defaultValue === undefined) {
      bytesMin += property.length + found.bytesMin + 4
    }
  }
  if (isRoot) addServerFields(fields)
  return { type: { kind: 'object', name, fields }, bytesMin }
}

const NAME_MAX = 253
const TEXT = sizedText(TEXT_MAX)
const NAME = sizedText(NAME_MAX)

/** What every object has, whatever its schema says of them. */
function addServerFields(fields: Map<string, ObjectField>): void {
  const metadata: ObjectType = {
    kind: 'object',
    name: 'object.metadata',
    fields: new Map([
      ['name', { name: 'name', type: NAME }],
      ['generateName', { name: 'generateName', type: NAME }],
    ]),
  }
  fields.set('apiVersion', { name: 'apiVersion', type: TEXT })
  fields.set('kind', { name: 'kind', type: TEXT })
  fields.set('metadata', { name: 'metadata', type: metadata })
}
