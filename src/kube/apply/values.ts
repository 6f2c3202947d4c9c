/** Small questions about JSON values that all walkers of this folder ask. */
import { isMap, type JsonMap } from '../json-map.ts'
import type { ListSchema } from './apply-schema.ts'
import { keyElement, type PathElement, valueElement } from './path-element.ts'

export type Fields = JsonMap

export function isEmptyMap(value: Fields): boolean {
  for (const key in value) if (value[key] !== undefined) return false
  return true
}

/** A map with nothing in it, or none. */
export const lacksFields = (value: unknown): boolean => !isMap(value) || isEmptyMap(value)

export const lacksItems = (value: unknown): boolean => !Array.isArray(value) || value.length === 0

/** An own field, whatever it is called. */
export const own = (value: Fields, name: string): unknown =>
  Object.hasOwn(value, name) ? value[name] : undefined

/** Why an item cannot be told from others. */
export class ItemProblem extends Error {}

/**
 * The step to an item of a list that is a set or a map; keys that are left out have their default.
 * Throws ItemProblem when the item has no identity.
 */
export function itemElement(list: ListSchema, item: unknown): PathElement {
  return list.relation === 'map' ? keyedElement(list, item) : scalarElement(item)
}

function scalarElement(item: unknown): PathElement {
  if (Array.isArray(item)) throw new ItemProblem('not supported: associative list with lists as elements')
  if (isMap(item)) throw new ItemProblem("associative list without keys has an element that's a map type")
  return valueElement(item)
}

function keyedElement(list: ListSchema, item: unknown): PathElement {
  if (item === null) throw new ItemProblem('associative list with keys may not have a null element')
  if (!isMap(item)) throw new ItemProblem('associative list with keys may not have non-map elements')
  const keys: [string, unknown][] = []
  for (const name of list.keys) {
    let value = own(item, name)
    if (value === undefined && list.items.kind === 'map') value = list.items.fields.get(name)?.defaultValue
    if (value === undefined) {
      throw new ItemProblem(
        `associative list with keys has an element that omits key field ${JSON.stringify(name)} ` +
          "(and doesn't have default value)",
      )
    }
    keys.push([name, value])
  }
  return keyElement(keys)
}

/** As `itemElement` for objects that are stored already; undefined where the item has no identity. */
export function knownElement(list: ListSchema, item: unknown): PathElement | undefined {
  try {
    return itemElement(list, item)
  } catch (error) {
    if (error instanceof ItemProblem) return undefined
    throw error
  }
}
