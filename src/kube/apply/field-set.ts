/**
 * A set of field paths as a tree: a node says whether its own path is in the set and what lies below it. Sets are
 * never changed once they are built (`markPath` is for building), so that results share parts with their arguments.
 */
import { must } from '../../base/assert.ts'
import { compareElements, type PathElement } from './path-element.ts'

export interface FieldSet {
  /** The path that ends here is in the set. */
  owned: boolean
  /** Null when nothing is below. No node below is empty. */
  below: Map<PathElement, FieldSet> | null
}

export const newFieldSet = (owned = false): FieldSet => ({ owned, below: null })

/** A path with nothing below it. Shared, so never built upon. */
export const ownedLeaf: FieldSet = Object.freeze({ owned: true, below: null })

export const isEmptySet = (set: FieldSet): boolean => !set.owned && set.below === null

/** The node below, made when it is missing; the caller puts something into it. */
export function childOf(set: FieldSet, element: PathElement): FieldSet {
  set.below ??= new Map()
  let child = set.below.get(element)
  if (child === undefined) {
    child = newFieldSet()
    set.below.set(element, child)
  }
  return child
}

/** Puts a path into a set that is being built. */
export function markPath(set: FieldSet, path: readonly PathElement[]): void {
  let node = set
  for (const element of path) node = childOf(node, element)
  node.owned = true
}

export function setOf(...paths: readonly (readonly PathElement[])[]): FieldSet {
  const set = newFieldSet()
  for (const path of paths) markPath(set, path)
  return set
}

/** A node out of its parts, null when it would be empty. */
function nodeOf(owned: boolean, below: Map<PathElement, FieldSet>): FieldSet | null {
  if (below.size === 0) return owned ? newFieldSet(true) : null
  return { owned, below }
}

export function union(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmptySet(b)) return a
  if (isEmptySet(a)) return b
  const owned = a.owned || b.owned
  if (a.below === null || b.below === null) return { owned, below: a.below ?? b.below }
  const below = new Map(a.below)
  for (const [element, other] of b.below) {
    const mine = below.get(element)
    below.set(element, mine === undefined ? other : union(mine, other))
  }
  return { owned, below }
}

export const intersection = (a: FieldSet, b: FieldSet): FieldSet => intersect(a, b) ?? newFieldSet()

function intersect(a: FieldSet, b: FieldSet): FieldSet | null {
  const below = new Map<PathElement, FieldSet>()
  if (a.below !== null && b.below !== null) {
    for (const [element, mine] of a.below) {
      const other = b.below.get(element)
      const both = other === undefined ? null : intersect(mine, other)
      if (both !== null) below.set(element, both)
    }
  }
  return nodeOf(a.owned && b.owned, below)
}

/** Paths of `a` that are not in `b`; what lies below a path of `b` stays. */
export const difference = (a: FieldSet, b: FieldSet): FieldSet => subtract(a, b, false) ?? newFieldSet()

/** As `difference`, but everything below a path of `b` goes too. */
export const recursiveDifference = (a: FieldSet, b: FieldSet): FieldSet =>
  subtract(a, b, true) ?? newFieldSet()

function subtract(a: FieldSet, b: FieldSet, deep: boolean): FieldSet | null {
  if (deep && b.owned) return null
  const owned = a.owned && !b.owned
  if (a.below === null) return owned ? a : null
  if (b.below === null) return owned === a.owned ? a : { owned, below: a.below }
  let below: Map<PathElement, FieldSet> | null = null
  for (const [element, other] of b.below) {
    const mine = a.below.get(element)
    const left = mine === undefined ? null : subtract(mine, other, deep)
    if (mine === undefined || left === mine) continue
    below ??= new Map(a.below)
    if (left === null) below.delete(element)
    else below.set(element, left)
  }
  if (below !== null) return nodeOf(owned, below)
  return owned === a.owned ? a : { owned, below: a.below }
}

export function isSubset(a: FieldSet, b: FieldSet): boolean {
  if (a.owned && !b.owned) return false
  if (a.below === null) return true
  for (const [element, mine] of a.below) {
    const other = b.below?.get(element)
    if (other === undefined || !isSubset(mine, other)) return false
  }
  return true
}

export const equalSets = (a: FieldSet, b: FieldSet): boolean => a === b || (isSubset(a, b) && isSubset(b, a))

/** The steps below a node in upstream's order. */
export function sortedBelow(set: FieldSet): (readonly [PathElement, FieldSet])[] {
  const { below } = set
  if (below === null) return []
  return sortedElements([...below.keys()]).map(element => [element, must(below.get(element), 'a node')])
}

/** Sorts in place; fields alone, which is the rule, are compared as texts. */
export function sortedElements(elements: PathElement[]): PathElement[] {
  if (elements.length < 2) return elements
  const areFields = elements.every(one => one.charCodeAt(0) === FIELD)
  return areFields ? elements.sort() : elements.sort(compareElements)
}

const FIELD = 0x66

/** Every path of the set, in order. */
export function pathsOf(set: FieldSet): PathElement[][] {
  const paths: PathElement[][] = []
  const walk = (node: FieldSet, path: readonly PathElement[]) => {
    const inner = sortedBelow(node)
    // The members of a node come before what lies below them.
    for (const [element, child] of inner) if (child.owned) paths.push([...path, element])
    for (const [element, child] of inner) walk(child, [...path, element])
  }
  walk(set, [])
  return paths
}
