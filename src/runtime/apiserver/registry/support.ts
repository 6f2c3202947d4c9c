/** Small helpers that strategies share: typed views of objects, equality as upstream sees it, safe access. */
import type { KubeObject } from '../../../kube/object.ts'

/** The object under the type of its kind. The decoder has checked the wire types of its fields. */
export function asKind<T>(object: KubeObject): T {
  return object as unknown as T
}

/** Sets a default: gives `object[field]` the value when it is absent or null. */
export function setDefault<T extends object, K extends keyof T>(
  object: T,
  field: K,
  value: NonNullable<T[K]>,
): void {
  if (object[field] === undefined || object[field] === null) object[field] = value
}

/** Deep equality in which an absent field, null and an empty list are the same. */
export function semanticallyEqual(left: unknown, right: unknown): boolean {
  if (left === right) return true
  if (isAbsent(left) || isAbsent(right)) return isAbsent(left) && isAbsent(right)
  if (Array.isArray(left) || Array.isArray(right)) return equalLists(left, right)
  if (typeof left !== 'object' || typeof right !== 'object') return false
  const a = left as Record<string, unknown>
  const b = right as Record<string, unknown>
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (!semanticallyEqual(a[key], b[key])) return false
  }
  return true
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null || (Array.isArray(value) && value.length === 0)
}

function equalLists(left: unknown, right: unknown): boolean {
  if (!Array.isArray(left) || !Array.isArray(right) || left.length !== right.length) return false
  return left.every((item, index) => semanticallyEqual(item, right[index]))
}

/** `path[3]`. */
export const at = (path: string, index: number): string => `${path}[${index}]`
/** `path[name]`. */
export const keyed = (path: string, key: string): string => `${path}[${key}]`

/** The first value `key` yields twice, and where. */
export function eachDuplicate<T>(
  items: readonly T[],
  key: (item: T) => string | undefined,
  found: (item: T, index: number) => void,
): void {
  const seen = new Set<string>()
  items.forEach((item, index) => {
    const value = key(item)
    if (value === undefined || value === '') return
    if (seen.has(value)) found(item, index)
    seen.add(value)
  })
}
