/** What a schema asks of lists that are sets or maps, and of objects inside objects. */
import { duplicate, type FieldError, invalid, required } from '../field-error.ts'
import { isMap } from '../json-map.ts'
import { checkDns1035Label } from '../names.ts'
import { fieldOf, type Structural } from './structural.ts'

type Visitor = (value: unknown, schema: Structural, path: string) => void

function visit(value: unknown, schema: Structural | null, path: string, visitor: Visitor): void {
  if (schema === null || typeof value !== 'object' || value === null) return
  visitor(value, schema, path)
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) visit(item, schema.items, `${path}[${index}]`, visitor)
    return
  }
  const fields = value as Record<string, unknown>
  for (const name of Object.keys(fields)) {
    visit(fields[name], fieldOf(schema, name), path === '' ? name : `${path}.${name}`, visitor)
  }
}

/** Items that stand twice in lists where each may stand once. */
export function validateListTypes(object: unknown, schema: Structural): FieldError[] {
  const errors: FieldError[] = []
  visit(object, schema, '', (value, at, path) => {
    if (!Array.isArray(value)) return
    if (at.listType === 'set') findTwice(value, one => one, path, errors)
    if (at.listType === 'map') findTwice(value, one => keysOf(one, at), path, errors)
  })
  return errors
}

function findTwice(
  items: readonly unknown[],
  identity: (item: unknown) => unknown,
  path: string,
  errors: FieldError[],
): void {
  const seen = new Set<string>()
  for (const [index, item] of items.entries()) {
    const id = identity(item)
    const text = canonical(id)
    if (seen.has(text)) errors.push(duplicate(`${path}[${index}]`, id))
    seen.add(text)
  }
}

function keysOf(item: unknown, schema: Structural): unknown {
  if (!isMap(item)) return item
  const given = schema.listMapKeys.filter(key => item[key] !== undefined)
  return Object.fromEntries(given.map(key => [key, item[key]]))
}

/** JSON whose keys are in order. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isMap(value)) return JSON.stringify(value)
  const names = Object.keys(value).sort()
  return `{${names.map(name => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`
}

/** Objects inside objects say what they are. */
export function validateEmbedded(object: unknown, schema: Structural): FieldError[] {
  const errors: FieldError[] = []
  visit(object, schema, '', (value, at, path) => {
    if (!at.isEmbedded || path === '' || !isMap(value)) return
    const { apiVersion, kind } = value
    if (typeof apiVersion !== 'string' || apiVersion === '') {
      errors.push(required(`${path}.apiVersion`, 'must not be empty'))
    } else if (apiVersion.split('/').length > 2) {
      errors.push(invalid(`${path}.apiVersion`, apiVersion, `unexpected GroupVersion string: ${apiVersion}`))
    }
    if (typeof kind !== 'string' || kind === '') errors.push(required(`${path}.kind`, 'must not be empty'))
    else {
      const problems = checkDns1035Label(kind.toLowerCase())
      if (problems.length > 0) {
        const rule = `may have mixed case, but should otherwise match: ${problems.join(',')}`
        errors.push(invalid(`${path}.kind`, kind, rule))
      }
    }
  })
  return errors
}
