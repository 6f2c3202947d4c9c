/**
 * Validation of a value by its schema, with the paths and words of kube-apiserver. What an update leaves as it was
 * is not looked at again (ratcheting), so that a schema may become stricter than the objects it finds.
 */
import { equalJson } from '../equality.ts'
import { type FieldError, invalid, notSupported, required, tooLong, tooMany } from '../field-error.ts'
import { isMap } from '../json-map.ts'
import { hasFormat } from './formats.ts'
import { compilePattern } from './pattern.ts'
import { fieldOf, parseStructural, type SchemaJson, type Structural } from './structural.ts'

/** Where nothing is to compare with: the object is new. */
const NOTHING = Symbol('nothing')

interface Place {
  readonly path: string
  /** What stood here before. */
  readonly old: unknown
}

/** Problems of a whole object. `old`: the object before the update. */
export function validateValue(schema: Structural, value: unknown, old?: unknown): FieldError[] {
  const errors: FieldError[] = []
  check(schema, value, { path: '', old: old === undefined ? NOTHING : old }, errors)
  return errors
}

function check(schema: Structural, value: unknown, place: Place, errors: FieldError[]): void {
  if (place.old !== NOTHING && equalJson(value, place.old)) return
  if (value === null && schema.nullable) return
  checkType(schema, value, place.path, errors)
  checkComposites(schema, value, place, errors)
  if (typeof value === 'string') checkText(schema.json, value, place.path, errors)
  else if (typeof value === 'number') checkNumber(schema, value, place.path, errors)
  else if (Array.isArray(value)) checkItems(schema, value, place, errors)
  if (schema.json['enum'] !== undefined) checkEnum(schema.json['enum'], value, place.path, errors)
  if (isMap(value)) checkFields(schema, value, place, errors)
}

const INT64_LIMIT = 2 ** 63

/** What Go reads as an integer; greater numbers it reads as floating point. */
const isInt64 = (value: number): boolean =>
  Number.isInteger(value) && value >= -INT64_LIMIT && value < INT64_LIMIT

function typeOf(value: unknown): string {
  if (value === null || value === undefined) return 'null'
  if (Array.isArray(value)) return 'array'
  if (typeof value === 'number') return isInt64(value) ? 'integer' : 'number'
  return typeof value
}

function checkType(schema: Structural, value: unknown, path: string, errors: FieldError[]): void {
  const wanted = schema.isIntOrString ? ['integer', 'string'] : schema.type === '' ? [] : [schema.type]
  if (wanted.length === 0) return
  const found = typeOf(value)
  if (wanted.includes(found) || (found === 'integer' && wanted.includes('number'))) return
  errors.push({
    type: 'FieldValueTypeInvalid',
    field: path,
    message: `Invalid value: ${JSON.stringify(found)}: ${path} in body must be of type ${wanted.join(',')}: ${JSON.stringify(found)}`,
  })
}

const numberOf = (value: unknown): number | null => (typeof value === 'number' ? value : null)

function checkText(json: SchemaJson, value: string, path: string, errors: FieldError[]): void {
  const length = [...value].length
  const most = numberOf(json['maxLength'])
  const least = numberOf(json['minLength'])
  if (most !== null && length > most) errors.push(tooLong(path, most))
  if (least !== null && length < least) {
    errors.push(invalid(path, value, `${path} in body should be at least ${least} chars long`))
  }
  const { pattern, format } = json
  if (typeof pattern === 'string' && pattern !== '' && compilePattern(pattern)?.(value) === false) {
    errors.push(invalid(path, value, `${path} in body should match '${pattern}'`))
  }
  if (typeof format === 'string' && !hasFormat(value, format)) {
    errors.push({
      type: 'FieldValueTypeInvalid',
      field: path,
      message: invalid(path, value, `${path} in body must be of type ${format}: ${JSON.stringify(value)}`)
        .message,
    })
  }
}

const TOLERANCE = 1e-9
const INT32_LIMIT = 2 ** 31

/** Numbers that Go's integer of the format does not hold. */
function checkRange(schema: Structural, value: number, path: string, errors: FieldError[]): void {
  if (schema.type !== 'integer' || schema.json['format'] !== 'int32') return
  if (value >= -INT32_LIMIT && value < INT32_LIMIT) return
  errors.push(ofNoField(`Checked value must be of type integer with format int32 in ${path}`))
}

function checkNumber(schema: Structural, value: number, path: string, errors: FieldError[]): void {
  const { json } = schema
  checkRange(schema, value, path, errors)
  const least = numberOf(json['minimum'])
  const most = numberOf(json['maximum'])
  const step = numberOf(json['multipleOf'])
  const fail = (what: string) => errors.push(invalid(path, value, `${path} in body should be ${what}`))
  if (step !== null && step > 0) {
    const times = value / step
    if (Math.abs(times - Math.round(times)) > TOLERANCE) fail(`a multiple of ${step}`)
  }
  if (most !== null) {
    if (json['exclusiveMaximum'] === true) {
      if (value >= most) fail(`less than ${most}`)
    } else if (value > most) fail(`less than or equal to ${most}`)
  }
  if (least === null) return
  if (json['exclusiveMinimum'] === true) {
    if (value <= least) fail(`greater than ${least}`)
  } else if (value < least) fail(`greater than or equal to ${least}`)
}

const enumTexts = new WeakMap<object, ReadonlySet<unknown>>()

/** Long enums of long lists are not searched through from the beginning. */
function textsIn(values: readonly unknown[]): ReadonlySet<unknown> {
  let texts = enumTexts.get(values)
  if (texts === undefined) {
    texts = new Set(values)
    enumTexts.set(values, texts)
  }
  return texts
}

function checkEnum(values: unknown, value: unknown, path: string, errors: FieldError[]): void {
  if (!Array.isArray(values)) return
  if (typeof value === 'string' ? textsIn(values).has(value) : values.some(one => equalJson(one, value)))
    return
  const texts = values.map(one => (typeof one === 'string' ? one : JSON.stringify(one)))
  errors.push(notSupported(path, value, texts))
}

function checkItems(schema: Structural, items: readonly unknown[], place: Place, errors: FieldError[]): void {
  const { path } = place
  const least = numberOf(schema.json['minItems'])
  const most = numberOf(schema.json['maxItems'])
  if (least !== null && items.length < least) {
    errors.push(invalid(path, items.length, `${path} in body should have at least ${least} items`))
  }
  if (most !== null && items.length > most) errors.push(tooMany(path, items.length, most))
  if (schema.json['uniqueItems'] === true && hasTwice(items)) {
    errors.push(invalid(path, '', `${path} in body shouldn't contain duplicates`))
  }
  if (schema.items === null) return
  const oldOf = oldItems(schema, place.old)
  for (const [index, item] of items.entries()) {
    const old = oldOf(item)
    check(schema.items, item, { path: `${path}[${index}]`, old }, errors)
  }
}

const hasTwice = (items: readonly unknown[]): boolean =>
  items.some((item, index) => items.findIndex(other => equalJson(other, item)) < index)

/** Items of a list that is a map are known by their keys; those of others, and those there twice, have no past. */
function oldItems(schema: Structural, old: unknown): (item: unknown) => unknown {
  if (schema.listType !== 'map' || !Array.isArray(old)) return () => NOTHING
  const keyOf = (item: Record<string, unknown>) =>
    JSON.stringify(schema.listMapKeys.map(key => item[key] ?? null))
  const byKey = new Map<string, unknown>()
  for (const item of old) {
    if (!isMap(item)) continue
    const key = keyOf(item)
    byKey.set(key, byKey.has(key) ? NOTHING : item)
  }
  return item => (isMap(item) ? (byKey.get(keyOf(item)) ?? NOTHING) : NOTHING)
}

function checkFields(
  schema: Structural,
  value: Record<string, unknown>,
  place: Place,
  errors: FieldError[],
): void {
  const { path } = place
  const count = Object.keys(value).length
  const least = numberOf(schema.json['minProperties'])
  const most = numberOf(schema.json['maxProperties'])
  if (least !== null && count < least) {
    errors.push(invalid(path, count, `${path} in body should have at least ${least} properties`))
  }
  if (most !== null && count > most) errors.push(tooMany(path, count, most))
  const inside = (name: string): string => (path === '' ? name : `${path}.${name}`)
  for (const name of requiredOf(schema.json)) {
    if (!Object.hasOwn(value, name)) errors.push(required(inside(name)))
  }
  for (const name of Object.keys(value)) {
    const field = fieldOf(schema, name)
    if (field !== null)
      check(field, value[name], { path: inside(name), old: oldField(place.old, name) }, errors)
    else if (schema.additional === false) {
      errors.push(invalid(path, '', `${inside(name)} in body is a forbidden property`))
    }
  }
}

const requiredOf = (json: SchemaJson): readonly string[] =>
  Array.isArray(json['required']) ? (json['required'] as string[]) : []

const oldField = (old: unknown, name: string): unknown =>
  isMap(old) && Object.hasOwn(old, name) ? old[name] : NOTHING

const parsed = new WeakMap<object, Structural>()

/** The schemas inside a composite, each read once. */
function schemasOf(value: unknown): readonly Structural[] {
  const list = Array.isArray(value) ? value : []
  return list.map(json => {
    const known = parsed.get(json)
    if (known !== undefined) return known
    const made = parseStructural(json)
    parsed.set(json, made)
    return made
  })
}

function problemsIn(schema: Structural, value: unknown, place: Place): FieldError[] {
  const errors: FieldError[] = []
  check(schema, value, place, errors)
  return errors
}

/** Problems of composites have no place of their own in upstream's answer. */
const ofNoField = (detail: string): FieldError => invalid('<nil>', '', detail)

/**
 * Where more may only pass when less is judged (allOf, anyOf), what stays as it was is not judged again; where that
 * could make a value fail (oneOf, not), all of it is.
 */
function checkComposites(schema: Structural, value: unknown, place: Place, errors: FieldError[]): void {
  const { path } = place
  const anew = { path, old: NOTHING }
  const { allOf, anyOf, oneOf, not } = schema.json
  const quoted = JSON.stringify(path)
  if (anyOf !== undefined) {
    const results = schemasOf(anyOf).map(one => problemsIn(one, value, place))
    if (results.length > 0 && results.every(one => one.length > 0)) {
      errors.push(ofNoField(`${quoted} must validate at least one schema (anyOf)`), ...fewest(results))
    }
  }
  if (oneOf !== undefined) {
    const results = schemasOf(oneOf).map(one => problemsIn(one, value, anew))
    const valid = results.filter(one => one.length === 0).length
    if (results.length > 0 && valid !== 1) {
      const found = valid === 0 ? 'Found none valid' : `Found ${valid} valid alternatives`
      errors.push(ofNoField(`${quoted} must validate one and only one schema (oneOf). ${found}`))
      if (valid === 0) errors.push(...fewest(results))
    }
  }
  if (allOf !== undefined) {
    const results = schemasOf(allOf).map(one => problemsIn(one, value, place))
    const failed = results.filter(one => one.length > 0)
    errors.push(...failed.flat())
    if (failed.length > 0) {
      const none = failed.length === results.length ? '. None validated' : ''
      errors.push(ofNoField(`${quoted} must validate all the schemas (allOf)${none}`))
    }
  }
  if (not !== undefined) {
    const [inner] = schemasOf([not])
    if (inner !== undefined && problemsIn(inner, value, anew).length === 0) {
      errors.push(ofNoField(`${quoted} must not validate the schema (not)`))
    }
  }
}

/** Of several attempts, the problems of the one that came closest. */
function fewest(results: readonly FieldError[][]): readonly FieldError[] {
  let best: readonly FieldError[] = results[0] ?? []
  for (const one of results) if (one.length < best.length) best = one
  return best
}
