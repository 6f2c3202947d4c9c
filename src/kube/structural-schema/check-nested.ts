/**
 * What stands inside allOf, anyOf, oneOf and not only restricts values: types and the like are said outside, and
 * whatever is restricted there is specified outside, too.
 */
import { type FieldError, forbidden, required } from '../field-error.ts'
import { isMap } from '../json-map.ts'
import type { SchemaJson } from './structural.ts'

const EMPTY = ['type', 'title', 'description']
const UNDEFINED = ['additionalProperties', 'default']
const FALSE = [
  'nullable',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-embedded-resource',
  'x-kubernetes-int-or-string',
]

export function checkNested(json: SchemaJson, path: string, errors: FieldError[]): void {
  for (const [at, inner] of compositesOf(json, path)) checkInner(inner, json, at, { path, errors })
  const { properties, items, additionalProperties } = json
  if (isMap(properties)) {
    for (const [name, one] of Object.entries(properties)) {
      if (isMap(one)) checkNested(one, `${path}.properties[${name}]`, errors)
    }
  }
  if (isMap(items)) checkNested(items, `${path}.items`, errors)
  if (isMap(additionalProperties)) checkNested(additionalProperties, `${path}.additionalProperties`, errors)
}

function compositesOf(json: SchemaJson, path: string): (readonly [string, SchemaJson])[] {
  const found: [string, SchemaJson][] = []
  for (const word of ['allOf', 'anyOf', 'oneOf']) {
    const list = json[word]
    if (!Array.isArray(list)) continue
    for (const [index, one] of list.entries()) if (isMap(one)) found.push([`${path}.${word}[${index}]`, one])
  }
  if (isMap(json['not'])) found.push([`${path}.not`, json['not']])
  return found
}

interface Outside {
  /** Of the schema outside. */
  readonly path: string
  readonly errors: FieldError[]
}

function checkInner(inner: SchemaJson, outer: SchemaJson, at: string, outside: Outside): void {
  const { path, errors } = outside
  if (!isIntOrStringPattern(inner, outer, at)) {
    for (const word of EMPTY)
      if (inner[word]) errors.push(forbidden(`${at}.${word}`, 'must be empty to be structural'))
  }
  for (const word of UNDEFINED) {
    if (inner[word] !== undefined)
      errors.push(forbidden(`${at}.${word}`, 'must be undefined to be structural'))
  }
  for (const word of FALSE) {
    if (inner[word] === true) errors.push(forbidden(`${at}.${word}`, 'must be false to be structural'))
  }
  const known = isMap(outer['properties']) ? outer['properties'] : {}
  const properties = isMap(inner['properties']) ? inner['properties'] : {}
  for (const [name, one] of Object.entries(properties)) {
    if (!isMap(one)) continue
    const place = `${path}.properties[${name}]`
    const inside = `${at}.properties[${name}]`
    const specified = isMap(known[name]) ? known[name] : mapOrNull(outer['additionalProperties'])
    if (specified !== null) checkInner(one, specified, inside, { ...outside, path: place })
    else if (outer['x-kubernetes-preserve-unknown-fields'] !== true) {
      errors.push(required(place, `because it is defined in ${inside}`))
    }
  }
  if (isMap(inner['items'])) {
    const specified = mapOrNull(outer['items'])
    if (specified !== null) {
      checkInner(inner['items'], specified, `${at}.items`, { ...outside, path: `${path}.items` })
    } else errors.push(required(`${path}.items`, `because it is defined in ${at}.items`))
  }
  for (const [below, one] of compositesOf(inner, at)) checkInner(one, outer, below, { ...outside })
}

const mapOrNull = (value: unknown): SchemaJson | null => (isMap(value) ? value : null)

/** `anyOf: [{type: integer}, {type: string}]` beside int-or-string, there or in the first of allOf. */
function isIntOrStringPattern(inner: SchemaJson, outer: SchemaJson, at: string): boolean {
  if (outer['x-kubernetes-int-or-string'] !== true || !/\.anyOf\[[01]\]$/.test(at)) return false
  const wanted = at.endsWith('[0]') ? 'integer' : 'string'
  return Object.keys(inner).length === 1 && inner['type'] === wanted
}
