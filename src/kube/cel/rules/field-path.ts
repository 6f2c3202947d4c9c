/** The `fieldPath` of a rule: `.spec.foo`, `.spec['a-b']`; names only. */
import { fieldOf, type Structural } from '../../structural-schema/structural.ts'

const PART = /\.([A-Za-z_][A-Za-z0-9_-]*)|\['((?:[^'\\]|\\.)*)'\]/y

/** The names; null when the text is no such path. */
function namesOf(path: string): readonly string[] | null {
  const names: string[] = []
  PART.lastIndex = 0
  for (let at = 0; at < path.length; at = PART.lastIndex) {
    const match = PART.exec(path)
    if (match === null) return null
    names.push(match[1] ?? (match[2] ?? '').replace(/\\(.)/g, '$1'))
  }
  return names.length === 0 ? null : names
}

/** Whether the path leads through declared fields. */
export function isFieldPath(path: string, schema: Structural): boolean {
  let node: Structural | null = schema
  for (const name of namesOf(path) ?? ['']) {
    node = node === null ? null : fieldOf(node, name)
    if (node === null) return false
  }
  return true
}

export function appendFieldPath(base: string, path: string | undefined): string {
  if (path === undefined || path === '') return base
  const names = namesOf(path) ?? []
  return names.reduce((text, name) => (text === '' ? name : `${text}.${name}`), base)
}
