/** Lists with a limit and maps with checked keys, in the words of the rules for dynamic resources. */
import { duplicate, tooMany } from '../../../../kube/field-error.ts'
import { at, keyed } from '../support.ts'
import type { Problems } from '../validation/meta.ts'

/** Checks every item, or says only that there are too many. */
export function checkItems<T>(
  out: Problems,
  field: string,
  { items, max }: { readonly items: readonly T[] | undefined; readonly max: number },
  check: (item: T, field: string) => void,
): boolean {
  const given = items ?? []
  if (given.length > max) {
    out.push(tooMany(field, given.length, max))
    return false
  }
  for (const [index, item] of given.entries()) check(item, at(field, index))
  return true
}

/** As `checkItems`, and no key may be there twice. */
export function checkSet<T>(
  out: Problems,
  field: string,
  list: {
    readonly items: readonly T[] | undefined
    readonly max: number
    readonly key: (item: T) => unknown
  },
  check: (item: T, field: string) => void,
): void {
  if (!checkItems(out, field, list, check)) return
  const seen = new Set<string>()
  for (const [index, item] of (list.items ?? []).entries()) {
    const key = list.key(item)
    const text = JSON.stringify(key) ?? ''
    if (seen.has(text)) out.push(duplicate(at(field, index), key))
    seen.add(text)
  }
}

/** Problems of a key stand at the map, those of a value under its key. */
export function checkMap<T>(
  out: Problems,
  field: string,
  { items, max }: { readonly items: Readonly<Record<string, T>> | undefined; readonly max: number },
  check: { key(key: string, field: string): void; value(value: T, field: string): void },
): void {
  const entries = Object.entries(items ?? {})
  if (entries.length > max) {
    out.push(tooMany(field, entries.length, max))
    return
  }
  for (const [key, value] of entries) {
    check.key(key, field)
    check.value(value, keyed(field, key))
  }
}
