/** Field sets as the JSON of `fieldsV1` in metadata.managedFields, with the steps in upstream's order. */
import { childOf, type FieldSet, newFieldSet, sortedElements } from './field-set.ts'
import { parseElement } from './path-element.ts'

export interface FieldsV1 {
  [element: string]: FieldsV1
}

/** A deeper tree is not one that a server wrote. */
const DEPTH_MAX = 200

const NOTHING_BELOW: FieldsV1 = Object.freeze({})

export function encodeFields(set: FieldSet): FieldsV1 {
  return set.below === null ? {} : encodeBelow(set.below, {})
}

function encodeBelow(below: ReadonlyMap<string, FieldSet>, fields: FieldsV1): FieldsV1 {
  for (const element of sortedElements([...below.keys()])) {
    const child = below.get(element)
    const inner = child?.below ?? null
    if (inner === null) fields[element] = NOTHING_BELOW
    else fields[element] = encodeBelow(inner, child?.owned === true ? { '.': NOTHING_BELOW } : {})
  }
  return fields
}

/** Whether one of the paths is in an encoded set, whose steps are canonical. */
export function touches(fields: FieldsV1, paths: FieldSet): boolean {
  if (paths.below === null) return false
  for (const [element, child] of paths.below) {
    const inner = fields[element]
    if (inner === undefined) continue
    if (child.owned && (inner['.'] !== undefined || isLeaf(inner))) return true
    if (touches(inner, child)) return true
  }
  return false
}

function isLeaf(fields: FieldsV1): boolean {
  for (const _element in fields) return false
  return true
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
