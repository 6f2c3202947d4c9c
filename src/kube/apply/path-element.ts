/**
 * One step of a field path, as text in the form of FieldsV1: `f:replicas` a field, `k:{"name":"web"}` the item of a
 * list that has these keys, `v:"x"` the item of a set, `i:0` an index. The text is canonical: equal steps, equal texts.
 */
import { compareTexts } from '../../base/compare-texts.ts'
import { isMap } from '../json-map.ts'

export type PathElement = string

export const fieldElement = (name: string): PathElement => `f:${name}`

/** `keys` may be in any order. */
export function keyElement(keys: readonly (readonly [name: string, value: unknown])[]): PathElement {
  const [only] = keys
  if (keys.length === 1 && only !== undefined) {
    return `k:{${JSON.stringify(only[0])}:${canonicalJson(only[1])}}`
  }
  const sorted = [...keys].sort(([a], [b]) => (a < b ? -1 : 1))
  return `k:{${sorted.map(([name, value]) => `${JSON.stringify(name)}:${canonicalJson(value)}`).join(',')}}`
}

export const valueElement = (value: unknown): PathElement => `v:${canonicalJson(value)}`

/** JSON with the keys of every object in order. */
function canonicalJson(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null'
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const fields = value as Record<string, unknown>
  const names = Object.keys(fields).sort()
  return `{${names.map(name => `${JSON.stringify(name)}:${canonicalJson(fields[name])}`).join(',')}}`
}

/** The canonical form of a step that somebody else wrote; null when it is none. */
export function parseElement(text: string): PathElement | null {
  const rest = text.slice(2)
  if (text.startsWith('f:')) return text
  if (text.startsWith('i:')) return /^-?\d+$/.test(rest) ? `i:${Number(rest)}` : null
  if (!text.startsWith('k:') && !text.startsWith('v:')) return null
  const value = parsed(rest)
  if (value === undefined) return null
  if (text.startsWith('v:')) return valueElement(value)
  return isMap(value) ? keyElement(Object.entries(value)) : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const RANKS: Readonly<Record<string, number>> = { f: 0, k: 1, v: 2, i: 3 }

/** Fields first, then keyed items, items of sets and indexes; each among themselves by value. */
export function compareElements(a: PathElement, b: PathElement): number {
  if (a === b) return 0
  const kind = a.charAt(0)
  const rank = (RANKS[kind] ?? 0) - (RANKS[b.charAt(0)] ?? 0)
  if (rank !== 0) return rank
  if (kind === 'f') return a < b ? -1 : 1
  const left: unknown = JSON.parse(a.slice(2))
  const right: unknown = JSON.parse(b.slice(2))
  return kind === 'k' ? compareKeys(left as object, right as object) : compareValues(left, right)
}

function compareKeys(a: object, b: object): number {
  const left = Object.entries(a).sort(byName)
  const right = Object.entries(b).sort(byName)
  for (const [index, [name, value]] of left.entries()) {
    const other = right[index]
    if (other === undefined) return 1
    if (name !== other[0]) return name < other[0] ? -1 : 1
    const order = compareValues(value, other[1])
    if (order !== 0) return order
  }
  return left.length - right.length
}

const byName = ([a]: [string, unknown], [b]: [string, unknown]): number => compareTexts(a, b)

/** Numbers, texts, booleans, lists, maps, null. */
function kindOf(value: unknown): number {
  if (typeof value === 'number') return 0
  if (typeof value === 'string') return 1
  if (typeof value === 'boolean') return 2
  if (Array.isArray(value)) return 3
  return value === null ? 5 : 4
}

function compareValues(a: unknown, b: unknown): number {
  const kind = kindOf(a) - kindOf(b)
  if (kind !== 0) return kind
  if (typeof a === 'object' || typeof b === 'object') {
    return compareTexts(canonicalJson(a), canonicalJson(b))
  }
  const left = a as string | number | boolean
  const right = b as string | number | boolean
  return left < right ? -1 : left > right ? 1 : 0
}

/** A path as messages show it: `.spec.containers[name="web"].image`. */
export const pathText = (path: readonly PathElement[]): string => path.map(elementText).join('')

export function elementText(element: PathElement): string {
  const rest = element.slice(2)
  switch (element.charAt(0)) {
    case 'f':
      return `.${rest}`
    case 'k': {
      const keys = Object.entries(JSON.parse(rest) as object)
      return `[${keys.map(([name, value]) => `${name}=${valueText(value)}`).join(',')}]`
    }
    case 'v':
      return `[=${valueText(JSON.parse(rest))}]`
    default:
      return `[${rest}]`
  }
}

function valueText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(valueText).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const fields = Object.entries(value).sort(byName)
  return `{${fields.map(([name, inner]) => `${name}=${valueText(inner)}`).join(';')}}`
}
