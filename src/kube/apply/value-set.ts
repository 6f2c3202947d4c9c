/** Which fields a configuration sets: its leaves, the items of its lists and the keys of its maps. */
import { isMap } from '../json-map.ts'
import { type ApplySchema, fieldSchema, type ListSchema, type MapSchema, resolved } from './apply-schema.ts'
import { childOf, type FieldSet, newFieldSet } from './field-set.ts'
import { fieldElement } from './path-element.ts'
import { type Fields, isEmptyMap, knownElement } from './values.ts'

/** Structs are in the set only where they are empty; items and free keys always are. */
export function valueSet(schema: ApplySchema, value: unknown): FieldSet {
  const set = newFieldSet()
  addValue(set, schema, value)
  prune(set)
  return set
}

function addValue(set: FieldSet, schema: ApplySchema, value: unknown): void {
  const shape = resolved(schema, value)
  if (shape.kind === 'leaf') set.owned = true
  else if (shape.kind === 'list') addList(set, shape, value)
  else addMap(set, shape, value)
}

function addList(set: FieldSet, list: ListSchema, value: unknown): void {
  if (list.relation === 'atomic') {
    set.owned = true
    return
  }
  if (!Array.isArray(value)) return
  for (const item of value) {
    const element = knownElement(list, item)
    if (element === undefined) continue
    const child = childOf(set, element)
    addValue(child, list.items, item)
    child.owned = true
  }
}

function addMap(set: FieldSet, map: MapSchema, value: unknown): void {
  if (map.atomic) {
    set.owned = true
    return
  }
  if (isMap(value)) addFields(set, map, value)
}

function addFields(set: FieldSet, map: MapSchema, value: Fields): void {
  for (const name of Object.keys(value)) {
    const inner = value[name]
    const schema = fieldSchema(map, name)
    if (inner === undefined || schema === null) continue
    const child = childOf(set, fieldElement(name))
    addValue(child, schema, inner)
    const isEmpty = inner === null || (isMap(inner) && isEmptyMap(inner))
    if (isEmpty || !map.fields.has(name)) child.owned = true
  }
}

/** Takes out nodes that nothing was put into. */
function prune(set: FieldSet): boolean {
  if (set.below !== null) {
    for (const [element, child] of set.below) if (prune(child)) set.below.delete(element)
    if (set.below.size === 0) set.below = null
  }
  return !set.owned && set.below === null
}

/** The set and every declared field on the way to its paths: what goes when the set's fields are taken away. */
export function withNamedFields(schema: ApplySchema | null, set: FieldSet): FieldSet {
  if (set.below === null) return set
  const below = new Map<string, FieldSet>()
  for (const [element, child] of set.below) {
    const isField = element.startsWith('f:')
    const name = element.slice(2)
    const inner = innerSchema(schema, isField, name)
    const node = withNamedFields(inner, child)
    const isNamed = isField && schema?.kind === 'map' && schema.fields.has(name)
    below.set(element, isNamed && !node.owned ? { owned: true, below: node.below } : node)
  }
  return { owned: set.owned, below }
}

function innerSchema(schema: ApplySchema | null, isField: boolean, name: string): ApplySchema | null {
  if (schema === null || schema.kind === 'leaf') return null
  if (schema.kind === 'deduced') return schema
  if (schema.kind === 'list') return isField ? null : schema.items
  return isField ? fieldSchema(schema, name) : null
}
