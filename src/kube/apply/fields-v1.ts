/** Field sets as the JSON of `fieldsV1` in metadata.managedFields, with the steps in upstream's order. */
import { childOf, type FieldSet, newFieldSet, sortedBelow } from './field-set.ts'
import { parseElement } from './path-element.ts'

export interface FieldsV1 {
  [element: string]: FieldsV1
}

/** A deeper tree is not one that a server wrote. */
const DEPTH_MAX = 200

export function encodeFields(set: FieldSet): FieldsV1 {
  const fields: FieldsV1 = {}
  for (const [element, child] of sortedBelow(set)) {
    const inner = encodeFields(child)
    fields[element] = child.owned && child.below !== null ? { '.': {}, ...inner } : inner
  }
  return fields
}

/** Null when it is no such tree. */
export function decodeFields(value: unknown, depth = 0): FieldSet | null {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return null
  if (depth > DEPTH_MAX) return null
  const set = newFieldSet()
  for (const [key, inner] of Object.entries(value)) {
    if (key === '.') {
      set.owned = true
      continue
    }
    const element = parseElement(key)
    const child = element === null ? null : decodeFields(inner, depth + 1)
    if (element === null || child === null) return null
    const node = childOf(set, element)
    node.owned = child.owned || child.below === null
    node.below = child.below
  }
  return set
}
