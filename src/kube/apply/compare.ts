/** What differs between two states of an object, as sets of the fields that came, went and changed. */
import { equalJson } from '../equality.ts'
import { type ApplySchema, fieldSchema, type ListSchema, type MapSchema, resolved } from './apply-schema.ts'
import { type FieldSet, isEmptySet, markPath, newFieldSet, recursiveDifference, union } from './field-set.ts'
import { fieldElement, type PathElement } from './path-element.ts'
import { type Fields, isMap, knownElement, lacksFields, lacksItems } from './values.ts'

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** Undefined is absent; a null is a value. */
export function compareValues(schema: ApplySchema, before: unknown, after: unknown): Comparison {
  const comparison = { added: newFieldSet(), modified: newFieldSet(), removed: newFieldSet() }
  new Comparer(comparison).compare(schema, before, after, [])
  return comparison
}

export const isSame = ({ added, modified, removed }: Comparison): boolean =>
  isEmptySet(added) && isEmptySet(modified) && isEmptySet(removed)

/** What the new state sets differently. */
export const changedFields = ({ added, modified }: Comparison): FieldSet => union(modified, added)

export function withoutIgnored(comparison: Comparison, ignored: FieldSet): Comparison {
  if (isEmptySet(ignored)) return comparison
  return {
    added: recursiveDifference(comparison.added, ignored),
    modified: recursiveDifference(comparison.modified, ignored),
    removed: recursiveDifference(comparison.removed, ignored),
  }
}

type Path = readonly PathElement[]

class Comparer {
  readonly #to: Comparison

  constructor(to: Comparison) {
    this.#to = to
  }

  compare(schema: ApplySchema, before: unknown, after: unknown, path: Path): void {
    if (before === after) return
    const shape = resolved(schema, after ?? before)
    if (shape.kind === 'leaf' || (schema.kind === 'deduced' && isOtherShape(before, after))) {
      this.#leaf(before, after, path)
    } else if (shape.kind === 'list') {
      const isLeaf = shape.relation === 'atomic' || (lacksItems(before) && lacksItems(after))
      if (isLeaf) this.#leaf(before, after, path)
      else this.#inside(before, after, path, () => this.#list(shape, before, after, path))
    } else {
      const isLeaf = shape.atomic || (lacksFields(before) && lacksFields(after))
      if (isLeaf) this.#leaf(before, after, path)
      else this.#inside(before, after, path, () => this.#map(shape, before, after, path))
    }
  }

  #leaf(before: unknown, after: unknown, path: Path): void {
    if (before === undefined) markPath(this.#to.added, path)
    else if (after === undefined) markPath(this.#to.removed, path)
    else if (!equalJson(before, after)) markPath(this.#to.modified, path)
  }

  /** A list or map that came or went counts itself, not only what is in it. */
  #inside(before: unknown, after: unknown, path: Path, walk: () => void): void {
    walk()
    if (before === undefined) markPath(this.#to.added, path)
    else if (after === undefined) markPath(this.#to.removed, path)
  }

  #map(map: MapSchema, before: unknown, after: unknown, path: Path): void {
    const left = isMap(before) ? before : null
    const right = isMap(after) ? after : null
    for (const name in right) {
      this.#field(map, name, left === null ? undefined : valueOrZero(map, left, name), right[name], path)
    }
    for (const name in left) {
      if (right !== null && Object.hasOwn(right, name)) continue
      this.#field(map, name, left[name], right === null ? undefined : valueOrZero(map, right, name), path)
    }
  }

  #field(map: MapSchema, name: string, before: unknown, after: unknown, path: Path): void {
    if (before === after) return
    const schema = fieldSchema(map, name)
    if (schema !== null) this.compare(schema, before, after, [...path, fieldElement(name)])
  }

  #list(list: ListSchema, before: unknown, after: unknown, path: Path): void {
    const left = itemsByElement(list, before)
    const right = itemsByElement(list, after)
    for (const [element, items] of left) {
      this.#items(list, items, right.get(element) ?? [], [...path, element])
    }
    for (const [element, items] of right) {
      if (!left.has(element)) this.#items(list, [], items, [...path, element])
    }
  }

  /** Items of one identity; where there are several, they are one leaf. */
  #items(list: ListSchema, left: readonly unknown[], right: readonly unknown[], path: Path): void {
    if (left.length <= 1 && right.length <= 1) {
      this.compare(list.items, left[0], right[0], path)
    } else if (left.length >= 2 && right.length >= 2) {
      if (!equalJson(left, right)) markPath(this.#to.modified, path)
    } else if (left.length >= 2) {
      if (right.length > 0) this.compare(list.items, undefined, right[0], path)
      markPath(this.#to.removed, path)
    } else {
      if (left.length > 0) this.compare(list.items, left[0], undefined, path)
      markPath(this.#to.added, path)
    }
  }
}

function valueOrZero(map: MapSchema, value: Fields, name: string): unknown {
  const found = Object.hasOwn(value, name) ? value[name] : undefined
  return found === undefined ? map.fields.get(name)?.zero : found
}

const isOtherShape = (a: unknown, b: unknown): boolean =>
  a !== undefined && b !== undefined && (isMap(a) !== isMap(b) || Array.isArray(a) !== Array.isArray(b))

function itemsByElement(list: ListSchema, value: unknown): Map<PathElement, unknown[]> {
  const items = new Map<PathElement, unknown[]>()
  if (!Array.isArray(value)) return items
  for (const item of value) {
    const element = knownElement(list, item)
    if (element === undefined) continue
    const known = items.get(element)
    if (known === undefined) items.set(element, [item])
    else known.push(item)
  }
  return items
}
