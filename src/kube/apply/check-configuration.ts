/** What is wrong with a configuration that is to be applied, in upstream's words: unknown fields, types, items. */
import { isMap } from '../json-map.ts'
import {
  type ApplySchema,
  type LeafSchema,
  type ListSchema,
  type MapSchema,
  resolved,
} from './apply-schema.ts'
import { elementText, fieldElement, type PathElement } from './path-element.ts'
import { type Fields, ItemProblem, itemElement } from './values.ts'

/** One line per problem: `.spec.foo: field not declared in schema`. */
export function configurationProblems(schema: ApplySchema, value: unknown): string[] {
  const problems: string[] = []
  check(schema, value, '', problems)
  return problems
}

/** The problems in one message. */
export const problemsText = (problems: readonly string[]): string =>
  problems.length === 1 ? (problems[0] ?? '') : ['errors:', ...problems.map(one => `  ${one}`)].join('\n')

function check(schema: ApplySchema, value: unknown, path: string, problems: string[]): void {
  if (value === null || value === undefined) return
  const shape = resolved(schema, value)
  if (shape.kind === 'leaf') {
    const problem = scalarProblem(shape, value)
    if (problem !== null) problems.push(`${path}: ${problem}`)
  } else if (shape.kind === 'list') {
    if (Array.isArray(value)) checkItems(shape, value, path, problems)
    else problems.push(`${path}: expected list, got &{${goText(value)}}`)
  } else if (isMap(value)) {
    checkFields(shape, value, path, problems)
  } else {
    problems.push(`${path}: expected map, got &{${goText(value)}}`)
  }
}

function checkItems(list: ListSchema, items: readonly unknown[], path: string, problems: string[]): void {
  const seen = new Set<PathElement>()
  for (const [index, item] of items.entries()) {
    const element = list.relation === 'atomic' ? `i:${index}` : identity(list, item, index, path, problems)
    if (element === null) continue
    if (seen.has(element)) problems.push(`${path}: duplicate entries for key ${elementText(element)}`)
    seen.add(element)
    check(list.items, item, path + elementText(element), problems)
  }
}

function identity(
  list: ListSchema,
  item: unknown,
  index: number,
  path: string,
  problems: string[],
): PathElement | null {
  try {
    return itemElement(list, item)
  } catch (error) {
    if (!(error instanceof ItemProblem)) throw error
    problems.push(`${path}: element ${index}: ${error.message}`)
    return null
  }
}

function checkFields(map: MapSchema, value: Fields, path: string, problems: string[]): void {
  for (const name of Object.keys(value)) {
    const schema = map.fields.get(name)?.schema ?? map.values
    const at = path + elementText(fieldElement(name))
    if (schema === null) problems.push(`${at}: field not declared in schema`)
    else check(schema, value[name], at, problems)
  }
}

function scalarProblem(leaf: LeafSchema, value: unknown): string | null {
  const isScalar = typeof value !== 'object'
  switch (leaf.scalar) {
    case 'string':
      return typeof value === 'string'
        ? null
        : `expected string, got &value.valueUnstructured{Value:${goSyntax(value)}}`
    case 'number':
      return typeof value === 'number' ? null : `expected numeric (int or float), got ${goType(value)}`
    case 'boolean':
      return typeof value === 'boolean' ? null : `expected boolean, got ${goType(value)}`
    default:
      return isScalar ? null : `expected any scalar, got &{${goText(value)}}`
  }
}

function goType(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) ? 'int64' : 'float64'
  if (typeof value === 'boolean') return 'bool'
  if (Array.isArray(value)) return '[]interface {}'
  return typeof value === 'string' ? 'string' : 'map[string]interface {}'
}

/** A value as Go prints it with `%v`. */
function goText(value: unknown): string {
  if (value === null) return '<nil>'
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`
  if (!isMap(value)) return String(value)
  const names = Object.keys(value).sort()
  return `map[${names.map(name => `${name}:${goText(value[name])}`).join(' ')}]`
}

/** A value as Go prints it with `%#v`. */
function goSyntax(value: unknown): string {
  if (value === null) return 'interface {}(nil)'
  if (Array.isArray(value)) return `[]interface {}{${value.map(goSyntax).join(', ')}}`
  if (!isMap(value)) return JSON.stringify(value)
  const fields = Object.keys(value).map(name => `${JSON.stringify(name)}:${goSyntax(value[name])}`)
  return `map[string]interface {}{${fields.join(', ')}}`
}
