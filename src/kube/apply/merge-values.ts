/** Lays a configuration over the present object: leaves replace, maps and lists of items grow together. */
import { setKey } from '../clone.ts'
import { isMap } from '../json-map.ts'
import { type ApplySchema, fieldSchema, type ListSchema, type MapSchema, resolved } from './apply-schema.ts'
import type { PathElement } from './path-element.ts'
import { type Fields, knownElement, lacksFields, lacksItems, own } from './values.ts'

/** Undefined is absent. Neither argument is changed; the result shares parts with both. */
export function mergeValues(schema: ApplySchema, live: unknown, config: unknown): unknown {
  if (config === undefined) return live
  if (live === undefined) return config
  const shape = resolved(schema, config)
  if (shape.kind === 'leaf') return config
  if (shape.kind === 'list') {
    const isLeaf = shape.relation === 'atomic' || (lacksItems(live) && lacksItems(config))
    return isLeaf ? config : mergeLists(shape, live, config)
  }
  const isLeaf = shape.atomic || (lacksFields(live) && lacksFields(config))
  return isLeaf ? config : mergeMaps(shape, live, config)
}

function mergeMaps(map: MapSchema, live: unknown, config: unknown): unknown {
  if (!isMap(live)) return config
  if (!isMap(config)) return live
  const merged: Fields = { ...live }
  for (const name of Object.keys(config)) {
    const schema = fieldSchema(map, name)
    const value = schema === null ? config[name] : mergeValues(schema, own(live, name), config[name])
    setKey(merged, name, value)
  }
  return merged
}

interface LiveItem {
  /** Undefined where the item has no identity. */
  readonly element: PathElement | undefined
  readonly item: unknown
}

/**
 * Items of both lists are in the configuration's order; those of the live list alone stay where they were among
 * their neighbours.
 */
function mergeLists(list: ListSchema, live: unknown, config: unknown): unknown {
  if (!Array.isArray(live)) return config
  if (!Array.isArray(config)) return live
  const left = live.map((item): LiveItem => ({ element: knownElement(list, item), item }))
  const right = config.map((item): LiveItem => ({ element: knownElement(list, item), item }))
  const wanted = new Set(right.map(one => one.element))
  const known = itemsOf(left)
  const shared = right.map(one => one.element).filter(one => one !== undefined && known.has(one))
  const merged: unknown[] = []
  let at = 0
  let next = 0
  for (let to = 0; at < left.length || to < right.length; ) {
    const mine = left[at]
    if (mine !== undefined && (mine.element === undefined || !wanted.has(mine.element))) {
      merged.push(mine.item)
      at++
    } else if (mine !== undefined && mine.element !== shared[next]) {
      at++
    } else {
      const theirs = right[to++]
      if (theirs === undefined) break
      merged.push(mergeItem(list, known, theirs))
      if (next < shared.length && theirs.element === shared[next]) next++
    }
  }
  return merged
}

/** The live items by identity; null where several have the same, which are replaced rather than merged. */
function itemsOf(items: readonly LiveItem[]): Map<PathElement, LiveItem | null> {
  const known = new Map<PathElement, LiveItem | null>()
  for (const one of items) {
    if (one.element !== undefined) known.set(one.element, known.has(one.element) ? null : one)
  }
  return known
}

function mergeItem(
  list: ListSchema,
  known: ReadonlyMap<PathElement, LiveItem | null>,
  theirs: LiveItem,
): unknown {
  const mine = theirs.element === undefined ? undefined : known.get(theirs.element)
  return mergeValues(list.items, mine?.item, theirs.item)
}
