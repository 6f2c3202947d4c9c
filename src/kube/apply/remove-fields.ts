/** Takes the fields of a set out of an object. */
import { setKey } from '../clone.ts'
import { isMap } from '../json-map.ts'
import { type ApplySchema, fieldSchema, type ListSchema, type MapSchema, resolved } from './apply-schema.ts'
import { type FieldSet, isEmptySet } from './field-set.ts'
import { fieldElement } from './path-element.ts'
import { type Fields, knownElement } from './values.ts'

/** The value without the fields of `set`; maps and lists that lose everything stay, empty. Not changed itself. */
export function removeFields(schema: ApplySchema, value: unknown, set: FieldSet): unknown {
  if (isEmptySet(set) || set.below === null) return value
  const shape = resolved(schema, value)
  if (shape.kind === 'list' && Array.isArray(value)) return removeItems(shape, value, set)
  return shape.kind === 'map' && isMap(value) ? removeKeys(shape, value, set) : value
}

function removeItems(list: ListSchema, value: readonly unknown[], set: FieldSet): unknown[] {
  if (list.relation === 'atomic') return [...value]
  const kept: unknown[] = []
  for (const item of value) {
    const element = knownElement(list, item)
    const below = element === undefined ? undefined : set.below?.get(element)
    if (below?.owned === true) continue
    kept.push(below === undefined ? item : removeFields(list.items, item, below))
  }
  return kept
}

function removeKeys(map: MapSchema, value: Fields, set: FieldSet): Fields {
  if (map.atomic) return value
  const kept: Fields = {}
  for (const name of Object.keys(value)) {
    const below = set.below?.get(fieldElement(name))
    if (below?.owned === true) continue
    const schema = fieldSchema(map, name)
    const inner = value[name]
    setKey(kept, name, below === undefined || schema === null ? inner : removeFields(schema, inner, below))
  }
  return kept
}
