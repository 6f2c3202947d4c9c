/** Adding lists. Those that are sets or maps by keys take each item once, and keep their order. */
import { equal } from '../equality.ts'
import { AssociativeList, CelError, type CelValue, StructValue } from '../values.ts'

/** Lists are copied when they are added, which costs little by upstream's rules, so that they must end somewhere. */
const ITEMS_MAX = 1_000_000

export function addLists(a: readonly CelValue[], b: readonly CelValue[]): readonly CelValue[] {
  if (a.length + b.length > ITEMS_MAX) throw new CelError(`a list may have at most ${ITEMS_MAX} items`)
  if (!(a instanceof AssociativeList)) return [...a, ...b]
  const { mapKeys } = a
  const items: CelValue[] = [...a]
  for (const item of b) {
    const index = items.findIndex(one => (mapKeys === null ? equal(one, item) : sameKeys(one, item, mapKeys)))
    if (index === -1) items.push(item)
    else items[index] = item
  }
  return AssociativeList.build(items, mapKeys)
}

function sameKeys(a: CelValue, b: CelValue, keys: readonly string[]): boolean {
  if (!(a instanceof StructValue) || !(b instanceof StructValue)) return false
  return keys.every(key => {
    const [left, right] = [a.get(key), b.get(key)]
    return left === undefined || right === undefined ? left === right : equal(left, right)
  })
}
