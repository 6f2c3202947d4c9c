/** The types of the model as expressions see them; made field by field, because kinds may contain themselves. */
import { escapeName } from '../cel/escape-names.ts'
import type { CelType, ObjectField } from '../cel/types.ts'
import { BOOL, BYTES, DOUBLE, DYN, INT, listOf, mapOf, STRING, TIMESTAMP } from '../cel/types.ts'
import type { Model, TypeRef } from '../model-types.ts'

const known = new WeakMap<Model, Map<string, CelType>>()

/** The type of a kind's body; dyn when the model does not know it. */
export function typeOfModel(model: Model, typeName: string): CelType {
  const types = known.get(model) ?? new Map<string, CelType>()
  known.set(model, types)
  return objectType(model, typeName, types)
}

function objectType(model: Model, typeName: string, types: Map<string, CelType>): CelType {
  const made = types.get(typeName)
  if (made !== undefined) return made
  const info = model.types.get(typeName)
  if (info === undefined) return DYN
  const fields = new Map<string, ObjectField>()
  const type: CelType = { kind: 'object', name: typeName, fields }
  types.set(typeName, type)
  for (const field of info.fields.values()) {
    const escaped = escapeName(field.name)
    if (escaped !== null) fields.set(escaped, { name: field.name, type: refType(model, field.type, types) })
  }
  return type
}

function refType(model: Model, ref: TypeRef, types: Map<string, CelType>): CelType {
  switch (ref.kind) {
    case 'object':
      return objectType(model, ref.name, types)
    case 'array':
      return listOf(refType(model, ref.items, types))
    case 'map':
      return mapOf(STRING, refType(model, ref.values, types))
    case 'integer':
      return INT
    case 'number':
      return DOUBLE
    case 'boolean':
      return BOOL
    case 'bytes':
      return BYTES
    case 'string':
      return STRING
    case 'time':
    case 'micro-time':
      return TIMESTAMP
    default:
      return DYN
  }
}
