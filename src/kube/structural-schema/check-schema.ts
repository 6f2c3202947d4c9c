/**
 * Whether the schema of a definition is one that custom resources can be served by: no words that are not supported,
 * every value's type said once (structural), defaults that are themselves valid. Paths and words are upstream's.
 */
import { cloneJson } from '../clone.ts'
import { equalJson } from '../equality.ts'
import { duplicate, type FieldError, forbidden, invalid, notSupported, required } from '../field-error.ts'
import { isMap } from '../json-map.ts'
import { checkNested } from './check-nested.ts'
import { compilePattern } from './pattern.ts'
import { pruneInside, pruneNulls } from './prune.ts'
import { parseStructural, type SchemaJson } from './structural.ts'
import { validateValue } from './validate-value.ts'

type Level = 'root' | 'field' | 'item'

interface Place {
  readonly path: string
  readonly level: Level
}

const TYPES = ['array', 'boolean', 'integer', 'number', 'object', 'string']
const SCALARS = ['boolean', 'integer', 'number', 'string']
/** So deep a schema may be. */
const DEPTH_MAX = 200

const UNSUPPORTED: Readonly<Record<string, string>> = {
  id: 'id is not supported',
  additionalItems: 'additionalItems is not supported',
  patternProperties: 'patternProperties is not supported',
  definitions: 'definitions is not supported',
  dependencies: 'dependencies is not supported',
  $ref: '$ref is not supported',
}

/** `path`: where the schema stands, `spec.validation.openAPIV3Schema`. */
export function checkSchema(json: SchemaJson, path: string): FieldError[] {
  const errors: FieldError[] = []
  if (json['nullable'] === true)
    errors.push(forbidden(`${path}.nullable`, 'nullable cannot be true at the root'))
  checkNode(json, { path, level: 'root' }, errors, 0)
  if (errors.length === 0) checkNested(json, path, errors)
  if (errors.length === 0) checkDefaults(json, path, errors)
  return errors
}

function checkNode(json: SchemaJson, place: Place, errors: FieldError[], depth: number): void {
  const { path } = place
  if (depth > DEPTH_MAX) {
    errors.push(invalid(path, '', `must not be deeper than ${DEPTH_MAX} levels`))
    return
  }
  checkWords(json, path, errors)
  checkType(json, place, errors)
  checkLists(json, path, errors)
  checkExtensions(json, place, errors)
  checkEmbedded(json, place, errors)
  const { properties, items, additionalProperties } = json
  if (isMap(additionalProperties)) {
    const at = { path: `${path}.additionalProperties`, level: 'field' as const }
    checkNode(additionalProperties, at, errors, depth + 1)
  }
  if (isMap(properties)) {
    for (const [name, schema] of Object.entries(properties)) {
      if (!isMap(schema)) continue
      checkNode(schema, { path: `${path}.properties[${name}]`, level: 'field' }, errors, depth + 1)
    }
  }
  if (json['type'] === 'array' && items === undefined)
    errors.push(required(`${path}.items`, 'must be specified'))
  if (isMap(items)) checkNode(items, { path: `${path}.items`, level: 'item' }, errors, depth + 1)
}

function checkWords(json: SchemaJson, path: string, errors: FieldError[]): void {
  for (const [word, detail] of Object.entries(UNSUPPORTED)) {
    if (json[word] !== undefined) errors.push(forbidden(`${path}.${word}`, detail))
  }
  if (json['type'] === 'null') {
    errors.push(forbidden(`${path}.type`, 'type cannot be set to null, use nullable as an alternative'))
  }
  if (Array.isArray(json['items'])) {
    errors.push(forbidden(`${path}.items`, 'items must be a schema object and not an array'))
  }
  if (json['uniqueItems'] === true) {
    const detail = 'uniqueItems cannot be set to true since the runtime complexity becomes quadratic'
    errors.push(forbidden(`${path}.uniqueItems`, detail))
  }
  const { pattern } = json
  if (typeof pattern === 'string' && pattern !== '' && compilePattern(pattern) === null) {
    const detail = "must be a valid regular expression, but isn't: error parsing regexp"
    errors.push(invalid(`${path}.pattern`, pattern, detail))
  }
}

const NOWHERE: Readonly<Record<Level, string>> = {
  root: 'must not be empty at the root',
  item: 'must not be empty for specified array items',
  field: 'must not be empty for specified object fields',
}

function checkType(json: SchemaJson, { path, level }: Place, errors: FieldError[]): void {
  const type = typeof json['type'] === 'string' ? json['type'] : ''
  const isIntOrString = json['x-kubernetes-int-or-string'] === true
  const isOpen = json['x-kubernetes-preserve-unknown-fields'] === true
  const isEmbedded = json['x-kubernetes-embedded-resource'] === true
  const at = `${path}.type`
  if (type !== '' && type !== 'null' && !TYPES.includes(type)) errors.push(notSupported(at, type, TYPES))
  if (isEmbedded && type !== 'object') {
    const detail = 'must be object if x-kubernetes-embedded-resource is true'
    errors.push(type === '' ? required(at, detail) : invalid(at, type, detail))
  } else if (type === '' && !isIntOrString && !isOpen) errors.push(required(at, NOWHERE[level]))
  if (level === 'root' && type !== '' && type !== 'object') {
    errors.push(invalid(at, type, 'must be object at the root'))
  }
}

function checkExtensions(json: SchemaJson, { path, level }: Place, errors: FieldError[]): void {
  const open = json['x-kubernetes-preserve-unknown-fields']
  const at = `${path}.x-kubernetes-preserve-unknown-fields`
  if (open === false) errors.push(invalid(at, false, 'must be true or undefined'))
  if (json['x-kubernetes-int-or-string'] === true) {
    if (open === true) {
      errors.push(invalid(at, true, 'must be false if x-kubernetes-int-or-string is true'))
    }
    if (json['x-kubernetes-embedded-resource'] === true) {
      const detail = 'must be false if x-kubernetes-int-or-string is true'
      errors.push(invalid(`${path}.x-kubernetes-embedded-resource`, true, detail))
    }
  }
  const { properties, additionalProperties } = json
  const hasProperties = isMap(properties) && Object.keys(properties).length > 0
  if (hasProperties && (additionalProperties === false || isMap(additionalProperties))) {
    const detail = 'additionalProperties and properties are mutual exclusive'
    errors.push(forbidden(`${path}.additionalProperties`, detail))
  }
  if (level === 'root' && additionalProperties !== undefined) {
    errors.push(forbidden(`${path}.additionalProperties`, 'must not be used at the root'))
  }
  if (json['x-kubernetes-embedded-resource'] === true && !hasProperties && open !== true) {
    const detail =
      'must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields'
    errors.push(required(`${path}.properties`, detail))
  }
}

function checkEmbedded(json: SchemaJson, { path, level }: Place, errors: FieldError[]): void {
  if (level !== 'root' && json['x-kubernetes-embedded-resource'] !== true) return
  if (level !== 'root' && json['additionalProperties'] !== undefined) {
    const detail = 'must not be used if x-kubernetes-embedded-resource is set'
    errors.push(forbidden(`${path}.additionalProperties`, detail))
  }
  const properties = isMap(json['properties']) ? json['properties'] : {}
  for (const name of ['kind', 'apiVersion']) {
    const schema = properties[name]
    if (!isMap(schema) || schema['type'] === 'string') continue
    errors.push(invalid(`${path}.properties[${name}].type`, schema['type'] ?? '', 'must be string'))
  }
  const { metadata } = properties
  if (!isMap(metadata)) return
  const at = `${path}.properties[metadata]`
  if (metadata['type'] !== 'object')
    errors.push(invalid(`${at}.type`, metadata['type'] ?? '', 'must be object'))
  if (level !== 'root') return
  const { type: _type, properties: inside, description: _text, ...rest } = metadata
  const named = isMap(inside) ? Object.keys(inside) : []
  if (named.every(name => ['name', 'generateName'].includes(name)) && Object.keys(rest).length === 0) return
  const detail =
    'must not specify anything other than name and generateName, but metadata is implicitly specified'
  errors.push(forbidden(at, detail))
}

function checkLists(json: SchemaJson, path: string, errors: FieldError[]): void {
  const mapType = json['x-kubernetes-map-type']
  const listType = json['x-kubernetes-list-type']
  const keys = json['x-kubernetes-list-map-keys']
  checkKind(
    json,
    { path, word: 'x-kubernetes-map-type', type: 'object', values: ['atomic', 'granular'] },
    errors,
  )
  checkKind(
    json,
    { path, word: 'x-kubernetes-list-type', type: 'array', values: ['atomic', 'set', 'map'] },
    errors,
  )
  if (mapType === undefined && listType === undefined && keys === undefined) return
  const names = Array.isArray(keys) ? (keys as string[]) : []
  if (names.length > 0 && listType !== 'map') {
    const at = `${path}.x-kubernetes-list-type`
    const detail = 'must be map if x-kubernetes-list-map-keys is non-empty'
    errors.push(listType === undefined ? required(at, detail) : invalid(at, listType, detail))
  }
  if (listType === 'map') checkMapList(json, names, path, errors)
  if (listType === 'set') checkSet(json, path, errors)
}

interface KindWord {
  readonly path: string
  readonly word: string
  readonly type: string
  readonly values: readonly string[]
}

function checkKind(json: SchemaJson, { path, word, type, values }: KindWord, errors: FieldError[]): void {
  const value = json[word]
  if (value === undefined) return
  const own = typeof json['type'] === 'string' ? json['type'] : ''
  if (own !== type) {
    const detail = `must be ${type} if ${word} is ${type === 'array' ? 'set' : 'specified'}`
    errors.push(own === '' ? required(`${path}.type`, detail) : invalid(`${path}.type`, own, detail))
  }
  if (!values.includes(String(value))) errors.push(notSupported(`${path}.${word}`, value, values))
}

function checkMapList(json: SchemaJson, keys: readonly string[], path: string, errors: FieldError[]): void {
  const at = `${path}.x-kubernetes-list-map-keys`
  if (keys.length === 0) errors.push(required(at, 'must not be empty if x-kubernetes-list-type is map'))
  const { items } = json
  if (!isMap(items)) {
    errors.push(required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is map'))
    return
  }
  if (items['type'] !== 'object') {
    const detail = "must be object if parent array's x-kubernetes-list-type is map"
    const typeAt = `${path}.items.type`
    errors.push(items['type'] ? invalid(typeAt, items['type'], detail) : required(typeAt, detail))
  }
  const properties = isMap(items['properties']) ? items['properties'] : {}
  const needed = Array.isArray(items['required']) ? (items['required'] as string[]) : []
  for (const [index, key] of keys.entries()) {
    if (keys.indexOf(key) < index) errors.push(duplicate(`${at}[${index}]`, key))
    const property = properties[key]
    if (!isMap(property)) {
      errors.push(invalid(at, keys, 'entries must all be names of item properties'))
      continue
    }
    const propertyAt = `${path}.items.properties[${key}]`
    if (
      !SCALARS.includes(String(property['type'] ?? '')) &&
      property['x-kubernetes-int-or-string'] !== true
    ) {
      const detail = "must be a scalar type if parent array's x-kubernetes-list-type is map"
      errors.push(invalid(`${propertyAt}.type`, property['type'] ?? '', detail))
    }
    if (property['default'] === undefined && !needed.includes(key)) {
      const detail =
        'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property'
      errors.push(required(`${propertyAt}.default`, detail))
    }
    if (property['nullable'] === true) {
      const detail = 'this property is in x-kubernetes-list-map-keys, so it cannot be nullable'
      errors.push(forbidden(`${propertyAt}.nullable`, detail))
    }
  }
}

function checkSet(json: SchemaJson, path: string, errors: FieldError[]): void {
  const { items } = json
  if (!isMap(items)) {
    errors.push(required(`${path}.items`, 'must have a schema if x-kubernetes-list-type is set'))
    return
  }
  if (items['nullable'] === true) {
    const detail = 'cannot be nullable when x-kubernetes-list-type is set'
    errors.push(forbidden(`${path}.items.nullable`, detail))
  }
  const word = items['type'] === 'object' ? 'x-kubernetes-map-type' : 'x-kubernetes-list-type'
  const isNested = items['type'] === 'object' || items['type'] === 'array'
  const value = items[word]
  if (!isNested || value === 'atomic' || (word === 'x-kubernetes-list-type' && value === undefined)) return
  const detail = 'must be atomic as item of a list with x-kubernetes-list-type=set'
  errors.push(
    value === undefined
      ? required(`${path}.items.${word}`, detail)
      : invalid(`${path}.items.${word}`, value, detail),
  )
}

/** Each default is what its schema specifies and allows. */
function checkDefaults(json: SchemaJson, path: string, errors: FieldError[]): void {
  const { default: value, properties, items, additionalProperties } = json
  if (value !== undefined && value !== null) {
    const schema = parseStructural(json)
    const at = `${path}.default`
    const copy = cloneJson(value)
    pruneInside(copy, schema)
    pruneNulls(copy, schema)
    if (!equalJson(copy, value)) errors.push(invalid(at, value, 'must not have unknown fields'))
    for (const error of validateValue(schema, value)) {
      const inside = error.field === '' || error.field === '<nil>' ? at : `${at}.${error.field}`
      errors.push({ ...error, field: inside.replaceAll('.[', '[') })
    }
  }
  if (isMap(properties)) {
    for (const [name, one] of Object.entries(properties)) {
      if (isMap(one)) checkDefaults(one, `${path}.properties[${name}]`, errors)
    }
  }
  if (isMap(items)) checkDefaults(items, `${path}.items`, errors)
  if (isMap(additionalProperties)) checkDefaults(additionalProperties, `${path}.additionalProperties`, errors)
}
