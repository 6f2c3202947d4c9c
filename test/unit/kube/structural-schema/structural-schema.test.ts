/** Pruning, defaults, validation and paths, each by itself. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyDefaults } from '../../../../src/kube/structural-schema/defaults.ts'
import { compileJsonPath, JsonPathError } from '../../../../src/kube/structural-schema/json-path.ts'
import { prune, pruneNulls } from '../../../../src/kube/structural-schema/prune.ts'
import { parseStructural } from '../../../../src/kube/structural-schema/structural.ts'
import { validateListTypes } from '../../../../src/kube/structural-schema/validate-structure.ts'
import { validateValue } from '../../../../src/kube/structural-schema/validate-value.ts'

const object = (properties: object, more: object = {}) =>
  parseStructural({ type: 'object', properties, ...more })
const text = { type: 'string' }

test('pruning goes into lists and maps, and stops where unknown fields are preserved', () => {
  const schema = object({
    list: { type: 'array', items: { type: 'object', properties: { a: text } } },
    map: { type: 'object', additionalProperties: { type: 'object', properties: { a: text } } },
    open: {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
      properties: { known: { type: 'object', properties: { a: text } } },
    },
  })
  const value = {
    apiVersion: 'x/v1',
    kind: 'X',
    metadata: { anything: 1 },
    list: [{ a: '1', b: '2' }],
    map: { k: { a: '1', b: '2' } },
    open: { other: { b: 1 }, known: { a: '1', b: '2' } },
    extra: true,
  }
  assert.deepEqual(prune(value, schema), ['list[0].b', 'map.k.b', 'open.known.b', 'extra'])
  assert.deepEqual(value.open, { other: { b: 1 }, known: { a: '1' } } as unknown)
  assert.deepEqual(value.metadata, { anything: 1 })
})

test('defaults fill in what is omitted, and null where none may stand', () => {
  const schema = object({
    a: { ...text, default: 'A' },
    b: { ...text, default: 'B', nullable: true },
    deep: { type: 'object', default: {}, properties: { c: { type: 'integer', default: 3 } } },
    plain: text,
  })
  const value: Record<string, unknown> = { a: null, b: null, plain: null }
  assert.equal(applyDefaults(value, schema), true)
  pruneNulls(value, schema)
  assert.deepEqual(value, { a: 'A', b: null, deep: { c: 3 } })
})

const problems = (schema: ReturnType<typeof object>, value: unknown, old?: unknown): string[] =>
  validateValue(schema, value, old).map(({ field, message }) => `${field}: ${message}`)

test('values are judged in the words of kube-apiserver', () => {
  const schema = object(
    {
      n: { type: 'number', multipleOf: 0.5, exclusiveMinimum: true, minimum: 0 },
      s: { ...text, minLength: 2, maxLength: 3, enum: ['ab', 'abc'] },
      f: { ...text, format: 'date' },
      l: { type: 'array', minItems: 2, items: text },
      p: { 'x-kubernetes-int-or-string': true },
    },
    { required: ['must'] },
  )
  assert.deepEqual(problems(schema, { n: 0, s: 'abcd', f: 'now', l: [1], p: true }), [
    'must: Required value',
    'n: Invalid value: 0: n in body should be greater than 0',
    's: Too long: may not be more than 3 bytes',
    's: Unsupported value: "abcd": supported values: "ab", "abc"',
    'f: Invalid value: "now": f in body must be of type date: "now"',
    'l: Invalid value: 1: l in body should have at least 2 items',
    'l[0]: Invalid value: "integer": l[0] in body must be of type string: "integer"',
    'p: Invalid value: "boolean": p in body must be of type integer,string: "boolean"',
  ])
})

test('of composites the sentence has no place, as upstream has it', () => {
  const schema = object({ a: { type: 'object', oneOf: [{ required: ['x'] }, { required: ['y'] }] } })
  assert.deepEqual(problems(schema, { a: { x: 1, y: 2 } }), [
    '<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives',
  ])
})

test('what stays as it was is not judged again, also inside lists that are maps', () => {
  const schema = object({
    l: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', properties: { k: text, v: { type: 'integer', maximum: 5 } } },
    },
  })
  const old = { l: [{ k: 'a', v: 9 }] }
  assert.deepEqual(
    problems(
      schema,
      {
        l: [
          { k: 'b', v: 1 },
          { k: 'a', v: 9 },
        ],
      },
      old,
    ),
    [],
  )
  assert.deepEqual(problems(schema, { l: [{ k: 'a', v: 8 }] }, old), [
    'l[0].v: Invalid value: 8: l[0].v in body should be less than or equal to 5',
  ])
})

test('below allOf and anyOf what stays as it was is not judged again, below oneOf and not it is', () => {
  const small = { properties: { kept: { maximum: 5 } } }
  const none = { properties: { kept: { maximum: 1 } } }
  const of = (composite: object) => object({ kept: { type: 'integer' }, new: text }, composite)
  const update = (composite: object) => problems(of(composite), { kept: 9, new: 'b' }, { kept: 9, new: 'a' })
  assert.deepEqual(update({ allOf: [small] }), [])
  assert.deepEqual(update({ anyOf: [small, none] }), [])
  assert.match(update({ oneOf: [small, none] }).join(), /Found none valid/)
  assert.deepEqual(update({ not: small }), [])
})

test('long lists are judged in a time that grows with them', () => {
  const count = 20_000
  const values = Array.from({ length: count }, (_one, index) => `value-${index}`)
  const keys = { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'] }
  const properties = { k: text, v: { type: 'string', enum: values }, n: { type: 'integer' } }
  const schema = object({ list: { type: 'array', items: { type: 'object', properties }, ...keys } })
  const listOf = (n: number) => ({
    list: values.map((_one, index) => ({ k: `${index}`, v: values.at(-1), n })),
  })
  const started = performance.now()
  assert.deepEqual(validateValue(schema, listOf(1)), [])
  assert.deepEqual(validateValue(schema, listOf(2), listOf(1)), [])
  // Each pair of items compared takes many times as long.
  assert.ok(performance.now() - started < 2_000)
})

test('lists that are sets or maps hold each item once', () => {
  const schema = object({
    s: { type: 'array', 'x-kubernetes-list-type': 'set', items: text },
    m: {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['k'],
      items: { type: 'object', properties: { k: text } },
    },
  })
  const value = { s: ['a', 'b', 'a'], m: [{ k: 'x' }, { k: 'x', other: 1 }] }
  assert.deepEqual(
    validateListTypes(value, schema).map(({ field, message }) => `${field}: ${message}`),
    ['s[2]: Duplicate value: "a"', 'm[1]: Duplicate value: {"k":"x"}'],
  )
})

test('JSONPath finds fields, items, filters and descendants', () => {
  const root = {
    spec: {
      list: [
        { type: 'A', n: 1 },
        { type: 'B', n: 2 },
      ],
      'dotted.key': 'x',
    },
  }
  const find = (path: string) => [...compileJsonPath(path)(root)]
  assert.deepEqual(find('.spec.list[?(@.type=="B")].n'), [2])
  assert.deepEqual(find('.spec.list[-1].type'), ['B'])
  assert.deepEqual(find('.spec.list[*].n'), [1, 2])
  assert.deepEqual(find('.spec.dotted\\.key'), ['x'])
  assert.deepEqual(find("$.spec['dotted.key']"), ['x'])
  assert.deepEqual(find('..n'), [1, 2])
  assert.deepEqual(find('.spec.missing.more'), [])
  assert.throws(() => compileJsonPath('.spec['), JsonPathError)
})
