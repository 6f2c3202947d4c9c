/** What differs between two states of an object, as sets of the fields that came, went and changed. */
import { equalJson } from '../equality.ts'
import { isMap } from '../json-map.ts'
import { type ApplySchema, fieldSchema, type ListSchema, type MapSchema, resolved } from './apply-schema.ts'
import {
  childOf,
  type FieldSet,
  isEmptySet,
  newFieldSet,
  ownedLeaf,
  recursiveDifference,
  union,
} from './field-set.ts'
import { fieldElement, type PathElement } from './path-element.ts'
import { type Fields, knownElement, lacksFields, lacksItems } from './values.ts'

export interface Comparison {
  readonly added: FieldSet
  readonly modified: FieldSet
  readonly removed: FieldSet
}

/** Undefined is absent; a null is a value. */
export function compareValues(schema: ApplySchema, before: unknown, after: unknown): Comparison {
  const comparison = { added: newFieldSet(), modified: newFieldSet(), removed: newFieldSet() }
  new Comparer(comparison).compare(schema, before, after, null)
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

/** Steps from the inside out, so that going one deeper is cheap. */
interface Path {
  readonly parent: Path | null
  readonly element: PathElement
}

class Comparer {
  readonly #to: Comparison

  constructor(to: Comparison) {
    this.#to = to
  }

  compare(schema: ApplySchema, before: unknown, after: unknown, path: Path | null): void {
    if (before === after) return
    if (before === undefined) place(this.#to.added, path, wholeSet(schema, after))
    else if (after === undefined) place(this.#to.removed, path, wholeSet(schema, before))
    else this.#both(schema, before, after, path)
  }

  #both(schema: ApplySchema, before: unknown, after: unknown, path: Path | null): void {
    const shape = resolved(schema, after)
    const isOther = schema.kind === 'deduced' && isOtherShape(before, after)
    if (shape.kind === 'list' && !isOther && !isLeafList(shape, before, after)) {
      this.#list(shape, before, after, path)
    } else if (shape.kind === 'map' && !isOther && !isLeafMap(shape, before, after)) {
      this.#map(shape, before, after, path)
    } else if (!equalJson(before, after)) {
      place(this.#to.modified, path, ownedLeaf)
    }
  }

  #map(map: MapSchema, before: unknown, after: unknown, path: Path | null): void {
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

  #field(map: MapSchema, name: string, before: unknown, after: unknown, path: Path | null): void {
    if (before === after) return
    // Most writes leave whole parts of an object alone, which is seen fastest without walking along the schema.
    if (path === null && equalJson(before, after)) return
    const schema = fieldSchema(map, name)
    if (schema !== null) this.compare(schema, before, after, { parent: path, element: fieldElement(name) })
  }

  #list(list: ListSchema, before: unknown, after: unknown, path: Path | null): void {
    const left = itemsByElement(list, before)
    const right = itemsByElement(list, after)
    for (const [element, items] of left) {
      this.#items(list, items, right.get(element) ?? [], { parent: path, element })
    }
    for (const [element, items] of right) {
      if (!left.has(element)) this.#items(list, [], items, { parent: path, element })
    }
  }

  /** Items of one identity; where there are several, they are one leaf. */
  #items(list: ListSchema, left: readonly unknown[], right: readonly unknown[], path: Path): void {
    if (left.length <= 1 && right.length <= 1) {
      this.compare(list.items, left[0], right[0], path)
    } else if (left.length >= 2 && right.length >= 2) {
      if (!equalJson(left, right)) place(this.#to.modified, path, ownedLeaf)
    } else if (left.length >= 2) {
      if (right.length > 0) this.compare(list.items, undefined, right[0], path)
      place(this.#to.removed, path, ownedLeaf)
    } else {
      if (left.length > 0) this.compare(list.items, left[0], undefined, path)
      place(this.#to.added, path, ownedLeaf)
    }
  }
}

/** Puts what is at the end of a path into a set that is being built. */
function place(set: FieldSet, path: Path | null, end: FieldSet): void {
  if (path === null) return
  const parent = nodeAt(set, path.parent)
  const known = parent.below?.get(path.element)
  parent.below ??= new Map()
  parent.below.set(path.element, known === undefined ? end : union(known, end))
}

const nodeAt = (set: FieldSet, path: Path | null): FieldSet =>
  path === null ? set : childOf(nodeAt(set, path.parent), path.element)

const isLeafList = (list: ListSchema, before: unknown, after: unknown): boolean =>
  list.relation === 'atomic' || (lacksItems(before) && lacksItems(after))

const isLeafMap = (map: MapSchema, before: unknown, after: unknown): boolean =>
  map.atomic || (lacksFields(before) && lacksFields(after))

/** A value that came or went: it and everything in it. */
function wholeSet(schema: ApplySchema, value: unknown): FieldSet {
  const shape = resolved(schema, value)
  if (shape.kind === 'map' && !shape.atomic && isMap(value)) return wholeMap(shape, value)
  if (shape.kind !== 'list' || shape.relation === 'atomic') return ownedLeaf
  const set = newFieldSet(true)
  for (const [element, items] of itemsByElement(shape, value)) {
    putBelow(set, element, items.length > 1 ? ownedLeaf : wholeSet(shape.items, items[0]))
  }
  return set
}

function wholeMap(map: MapSchema, value: Fields): FieldSet {
  const set = newFieldSet(true)
  for (const name in value) {
    const inner = value[name]
    const schema = inner === undefined ? null : fieldSchema(map, name)
    if (schema !== null) putBelow(set, fieldElement(name), wholeSet(schema, inner))
  }
  return set
}

function putBelow(set: FieldSet, element: PathElement, child: FieldSet): void {
  set.below ??= new Map()
  set.below.set(element, child)
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
