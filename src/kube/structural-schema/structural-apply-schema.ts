/** How server-side apply sees a structural schema: list types, map types and what is unknown. */
import type { ApplyField, ApplySchema, LeafSchema, MapSchema } from '../apply/apply-schema.ts'
import type { Structural } from './structural.ts'

const deduced: ApplySchema = { kind: 'deduced' }
const leaf = (scalar: LeafSchema['scalar']): LeafSchema => ({ kind: 'leaf', scalar })
const noFields: ReadonlyMap<string, ApplyField> = new Map()

const scalars: Readonly<Record<string, LeafSchema>> = {
  string: leaf('string'),
  integer: leaf('number'),
  number: leaf('number'),
  boolean: leaf('boolean'),
}

/** The schema of a whole custom resource; `metadata` is the schema of ObjectMeta. */
export function structuralApplySchema(schema: Structural, metadata: ApplySchema): ApplySchema {
  return objectSchema({ ...schema, isEmbedded: true, type: 'object' }, metadata)
}

function schemaOf(schema: Structural, metadata: ApplySchema): ApplySchema {
  if (schema.isIntOrString) return leaf('any-scalar')
  if (schema.type === 'array') {
    return {
      kind: 'list',
      relation: schema.listType === 'set' || schema.listType === 'map' ? schema.listType : 'atomic',
      keys: schema.listMapKeys,
      items: schema.items === null ? deduced : schemaOf(schema.items, metadata),
    }
  }
  if (schema.type === 'object') return objectSchema(schema, metadata)
  return scalars[schema.type] ?? deduced
}

function objectSchema(schema: Structural, metadata: ApplySchema): MapSchema {
  const fields = new Map<string, ApplyField>()
  for (const [name, property] of schema.properties) {
    fields.set(name, fieldOf(schemaOf(property, metadata), property.defaultValue))
  }
  if (schema.isEmbedded) {
    fields.set('apiVersion', fieldOf(leaf('string')))
    fields.set('kind', fieldOf(leaf('string')))
    fields.set('metadata', fieldOf(metadata))
  }
  const atomic = schema.mapType === 'atomic'
  return {
    kind: 'map',
    atomic,
    fields: fields.size === 0 ? noFields : fields,
    values: valuesOf(schema, metadata),
  }
}

const fieldOf = (schema: ApplySchema, defaultValue?: unknown): ApplyField => ({
  schema,
  zero: undefined,
  defaultValue,
})

/** Of keys that are not declared. */
function valuesOf(schema: Structural, metadata: ApplySchema): ApplySchema | null {
  if (typeof schema.additional === 'object' && schema.additional !== null) {
    return schemaOf(schema.additional, metadata)
  }
  return schema.preservesUnknown || schema.additional === true ? deduced : null
}
