/** Lists in a strategic merge patch: merging by key or by value, and the order of the result. */
import { goText } from '../go-types.ts'
import { isMap, type JsonMap } from '../json-map.ts'
import { plainFailure } from '../status.ts'

export type Fields = JsonMap

/** The key that says what is to be done with the map in which it stands. */
export const DIRECTIVE = '$patch'

export interface ListRules {
  /** An item with what a patch says of it; both are ours to change. */
  readonly mergeItem: (original: Fields, patch: Fields) => Fields
  /** Absent for lists of primitives. */
  readonly mergeKey: string | undefined
}

/** Items keep the server's order; patched ones go before those that the patch does not name. */
export function mergeLists(rules: ListRules, original: unknown[], patch: unknown[]): unknown[] {
  if (original.length === 0 && patch.length === 0) return original
  const { merged, rest } = mergeItems(rules, original, patch)
  return arrange(rules, merged, { patchOrder: rest, serverOrder: original })
}

/** As `mergeLists`, in the order that the patch demands. Null when there is nothing on either side. */
export function orderLists(
  rules: ListRules,
  lists: { original: unknown[] | undefined; patch: unknown[] | undefined; order: unknown[] },
): unknown[] | null {
  const { original, patch, order } = lists
  if (patch !== undefined) checkOrder(rules, patch, order)
  if (original === undefined && patch === undefined) return null
  const server = original ?? []
  const merged =
    original === undefined
      ? (withoutDirectives(patch) as unknown[])
      : patch === undefined
        ? original
        : mergeItems(rules, original, patch).merged
  return arrange(rules, merged, { patchOrder: order, serverOrder: server })
}

/** What the patch names must stand in the order list, in the same order. */
function checkOrder(rules: ListRules, patch: readonly unknown[], order: readonly unknown[]): void {
  let last = -1
  for (const item of patch) {
    if (isMap(item) && item[DIRECTIVE] !== undefined) continue
    const position = findItem(rules, order, item)
    if (position < last || position === -1) {
      const lists = [patch, order].map(goText)
      throw plainFailure(
        `The order in patch list:\n${lists[0]}\n doesn't match $setElementOrder list:\n${lists[1]}\n`,
      )
    }
    last = position
  }
}

/** The merged items, and the patch's items without those that only carry a directive. */
function mergeItems(
  rules: ListRules,
  original: readonly unknown[],
  patch: readonly unknown[],
): { merged: unknown[]; rest: unknown[] } {
  const allObjects = [...original, ...patch].every(isMap)
  if (!allObjects) {
    if ([...original, ...patch].some(item => typeof item === 'object' && item !== null)) {
      throw plainFailure('list element types are not identical')
    }
    return { merged: [...new Set([...original, ...patch])], rest: [...patch] }
  }
  if (rules.mergeKey === undefined) {
    throw plainFailure('cannot merge lists without merge key for type map[string]interface {}')
  }
  return mergeKeyed(rules, original as Fields[], patch as Fields[])
}

function mergeKeyed(
  rules: ListRules,
  original: Fields[],
  patch: Fields[],
): { merged: unknown[]; rest: unknown[] } {
  const plain: Fields[] = []
  let merged: unknown[] = [...original]
  let replace = false
  for (const item of patch) {
    switch (item[DIRECTIVE]) {
      case undefined:
        plain.push(item)
        break
      case 'delete':
        keyOf(rules, item)
        merged = merged.filter(found => !sameItem(rules, found, item))
        break
      case 'replace':
        replace = true
        break
      case 'merge':
        throw plainFailure('merging lists cannot yet be specified in the patch')
      default:
        throw plainFailure(`unknown patch type: ${String(item[DIRECTIVE])} in map: ${goText(item)}`)
    }
  }
  if (replace) return { merged: plain.map(withoutDirectives), rest: plain }
  for (const item of plain) {
    keyOf(rules, item)
    const index = findItem(rules, merged, item)
    if (index === -1) merged.push(withoutDirectives(item))
    else merged[index] = rules.mergeItem(merged[index] as Fields, { ...item })
  }
  return { merged, rest: plain }
}

function keyOf({ mergeKey }: ListRules, item: Fields): unknown {
  const key = mergeKey ?? ''
  if (item[key] === undefined || item[key] === null) {
    throw plainFailure(`map: ${goText(item)} does not contain declared merge key: ${key}`)
  }
  return item[key]
}

/** Keys are compared as text: a port 80 and a port "80" are one. */
function sameItem({ mergeKey }: ListRules, a: unknown, b: unknown): boolean {
  if (mergeKey === undefined || !isMap(a) || !isMap(b)) return a === b
  return String(a[mergeKey]) === String(b[mergeKey])
}

const findItem = (rules: ListRules, list: readonly unknown[], item: unknown): number =>
  list.findIndex(found => sameItem(rules, found, item))

/** Patched items in the patch's order, the others in the server's, interleaved as the server had them. */
function arrange(
  rules: ListRules,
  merged: readonly unknown[],
  orders: { patchOrder: readonly unknown[]; serverOrder: readonly unknown[] },
): unknown[] {
  const { patchOrder, serverOrder } = orders
  const inPatch = merged.filter(item => findItem(rules, patchOrder, item) !== -1)
  const serverOnly = merged.filter(item => findItem(rules, patchOrder, item) === -1)
  const left = sortBy(rules, serverOnly, serverOrder)
  const right = sortBy(rules, inPatch, patchOrder)
  const result: unknown[] = []
  let i = 0
  let j = 0
  while (i < left.length || j < right.length) {
    if (j >= right.length) result.push(left[i++])
    else if (i >= left.length) result.push(right[j++])
    else {
      const leftAt = findItem(rules, serverOrder, left[i])
      const rightAt = findItem(rules, serverOrder, right[j])
      const leftFirst = leftAt !== -1 && rightAt !== -1 && leftAt < rightAt
      result.push(leftFirst ? left[i++] : right[j++])
    }
  }
  return result
}

function sortBy(rules: ListRules, items: readonly unknown[], order: readonly unknown[]): unknown[] {
  return items
    .map(item => ({ item, position: findItem(rules, order, item) }))
    .sort((a, b) => a.position - b.position)
    .map(({ item }) => item)
}

/** The value as it is when there was none before: without directives and without nulls in objects. */
export function withoutDirectives(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .filter(item => !(isMap(item) && item[DIRECTIVE] !== undefined && item[DIRECTIVE] !== 'merge'))
      .map(withoutDirectives)
  }
  if (!isMap(value)) return value
  const to: Fields = {}
  for (const [key, inner] of Object.entries(value)) {
    const isDirective =
      key === DIRECTIVE ||
      key === '$retainKeys' ||
      key.startsWith('$deleteFromPrimitiveList/') ||
      key.startsWith('$setElementOrder/')
    if (!isDirective && inner !== null) to[key] = withoutDirectives(inner)
  }
  return to
}
