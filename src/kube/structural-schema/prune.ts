/** Pruning: takes away what the schema does not specify, and nulls where none may stand. */
import { isMap } from '../json-map.ts'
import { fieldOf, type Structural } from './structural.ts'

const META_FIELDS: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata'])

/**
 * Changes `object`, the root of a resource. Returns the paths of what was taken away, as upstream writes them:
 * `spec.list[0].other`.
 */
export function prune(object: Record<string, unknown>, schema: Structural): readonly string[] {
  const removed: string[] = []
  pruneValue(object, { ...schema, isEmbedded: true }, '', removed)
  return removed
}

/** As `prune`, of a value inside an object. */
export function pruneInside(value: unknown, schema: Structural): void {
  pruneValue(value, schema, '', [])
}

function pruneValue(value: unknown, schema: Structural | null, path: string, removed: string[]): void {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) {
      if (typeof item === 'object') pruneValue(item, schema?.items ?? null, `${path}[${index}]`, removed)
    }
  } else if (isMap(value)) {
    for (const key of Object.keys(value)) pruneField(value, key, schema, path, removed)
  }
}

function pruneField(
  value: Record<string, unknown>,
  key: string,
  schema: Structural | null,
  path: string,
  removed: string[],
): void {
  if (schema?.isEmbedded && META_FIELDS.has(key)) return
  const at = path === '' ? key : `${path}.${key}`
  const property = schema?.properties.get(key)
  if (schema !== null && property !== undefined) pruneValue(value[key], property, at, removed)
  else if (schema !== null && schema.additional !== null && schema.additional !== false) {
    pruneValue(value[key], typeof schema.additional === 'object' ? schema.additional : null, at, removed)
  } else if (!schema?.preservesUnknown) {
    removed.push(at)
    delete value[key]
  }
}

/** Changes `value`: where null may not stand, it is as if nothing stood there. Defaults come before this. */
export function pruneNulls(value: unknown, schema: Structural | null): void {
  if (schema === null) return
  if (Array.isArray(value)) {
    for (const item of value) pruneNulls(item, schema.items)
  } else if (isMap(value)) {
    for (const key of Object.keys(value)) {
      const field = fieldOf(schema, key)
      if (value[key] === null && field !== null && !field.nullable) delete value[key]
      else pruneNulls(value[key], field)
    }
  }
}
