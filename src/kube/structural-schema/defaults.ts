/** Defaulting: what the schema gives to fields that are left out, or null where null may not stand. */
import { cloneJson, setKey } from '../clone.ts'
import { isMap } from '../json-map.ts'
import { fieldOf, type Structural } from './structural.ts'

/** Fills in defaults; changes `value`. True when something was filled in. */
export function applyDefaults(value: unknown, schema: Structural | null): boolean {
  if (!schema?.hasDefaults) return false
  if (Array.isArray(value)) return defaultItems(value, schema)
  return isMap(value) && defaultFields(value, schema)
}

function defaultFields(value: Record<string, unknown>, schema: Structural): boolean {
  let changed = false
  for (const [name, property] of schema.properties) {
    if (property.defaultValue === undefined || !isMissing(value, name, property)) continue
    setKey(value, name, cloneJson(property.defaultValue))
    changed = true
  }
  for (const key of Object.keys(value)) {
    const field = fieldOf(schema, key)
    if (field === null) continue
    if (value[key] === null && !field.nullable && field.defaultValue !== undefined) {
      setKey(value, key, cloneJson(field.defaultValue))
      changed = true
    }
    if (applyDefaults(value[key], field)) changed = true
  }
  return changed
}

function isMissing(value: Record<string, unknown>, name: string, schema: Structural): boolean {
  if (!Object.hasOwn(value, name) || value[name] === undefined) return true
  return value[name] === null && !schema.nullable
}

function defaultItems(value: unknown[], schema: Structural): boolean {
  const { items } = schema
  if (items === null) return false
  let changed = false
  for (const [index, item] of value.entries()) {
    if (item === null && !items.nullable && items.defaultValue !== undefined) {
      value[index] = cloneJson(items.defaultValue)
      changed = true
    }
    if (applyDefaults(value[index], items)) changed = true
  }
  return changed
}
