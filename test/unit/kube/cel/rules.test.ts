import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkRules } from '../../../../src/kube/cel/rules/check.ts'
import { compileRules } from '../../../../src/kube/cel/rules/rules.ts'
import { parseStructural } from '../../../../src/kube/structural-schema/structural.ts'

const integer = { type: 'integer' }
const text = { type: 'string' }

interface Rule {
  readonly rule: string
  readonly [more: string]: unknown
}

const schemaOf = (spec: Record<string, unknown>): Record<string, unknown> => ({
  type: 'object',
  properties: { spec: { type: 'object', ...spec } },
})

function errorsOf(schema: Record<string, unknown>, value: unknown, oldValue?: unknown): readonly string[] {
  const rules = compileRules(parseStructural(schema))
  assert.ok(rules !== null)
  const result = rules.validate({ value, oldValue })
  return result.errors.map(error => `${error.field}: ${error.message}`)
}

const replicas = (...rules: readonly Rule[]) =>
  schemaOf({
    properties: { min: integer, max: integer, name: text, 'a-b': text, namespace: text },
    'x-kubernetes-validations': rules,
  })

const cases: readonly (readonly [string, Record<string, unknown>, unknown, readonly string[]])[] = [
  ['a rule that holds', replicas({ rule: 'self.min <= self.max' }), { min: 1, max: 2 }, []],
  [
    'a rule that does not hold says which it is',
    replicas({ rule: 'self.min <= self.max' }),
    { min: 3, max: 2 },
    ['spec: Invalid value: "object": failed rule: self.min <= self.max'],
  ],
  [
    'a rule has a message of its own',
    replicas({ rule: 'self.min <= self.max', message: 'min must not exceed max' }),
    { min: 3, max: 2 },
    ['spec: Invalid value: "object": min must not exceed max'],
  ],
  [
    'a message is an expression',
    replicas({ rule: 'self.min < 1', messageExpression: '"min is " + string(self.min)' }),
    { min: 3 },
    ['spec: Invalid value: "object": min is 3'],
  ],
  [
    'an absent field is an error of the rule',
    replicas({ rule: 'self.min < 1' }),
    {},
    ['spec: Invalid value: "object": no such key: min evaluating rule: self.min < 1'],
  ],
  [
    'reason and field path are the rule’s',
    replicas({ rule: 'has(self.name)', reason: 'FieldValueRequired', fieldPath: '.name', message: 'needed' }),
    {},
    ['spec.name: Required value: needed'],
  ],
  [
    'names are escaped',
    replicas({ rule: "self.a__dash__b == 'x' && self.__namespace__ == 'y'" }),
    { 'a-b': 'x', namespace: 'y' },
    [],
  ],
]

for (const [name, schema, spec, expected] of cases) {
  test(`validation rules: ${name}`, () => {
    assert.deepEqual(errorsOf(schema, { spec }), expected)
  })
}

test('validation rules: a transition rule runs only when there was a value before', () => {
  const schema = replicas({ rule: 'self.min >= oldSelf.min', message: 'must not shrink' })
  assert.deepEqual(errorsOf(schema, { spec: { min: 1 } }), [])
  assert.deepEqual(errorsOf(schema, { spec: { min: 1 } }, { spec: { min: 2 } }), [
    'spec: Invalid value: "object": must not shrink',
  ])
})

test('validation rules: optionalOldSelf runs at creation too', () => {
  const rule = {
    rule: 'oldSelf.hasValue() || self.min == 1',
    optionalOldSelf: true,
    message: 'begins with 1',
  }
  assert.deepEqual(errorsOf(replicas(rule), { spec: { min: 2 } }), [
    'spec: Invalid value: "object": begins with 1',
  ])
  assert.deepEqual(errorsOf(replicas(rule), { spec: { min: 2 } }, { spec: { min: 1 } }), [])
})

const ports = (listType: string, rule: string) =>
  schemaOf({
    properties: {
      ports: {
        type: 'array',
        maxItems: 10,
        'x-kubernetes-list-type': listType,
        ...(listType === 'map' ? { 'x-kubernetes-list-map-keys': ['name'] } : {}),
        items: {
          type: 'object',
          properties: { name: { ...text, maxLength: 10 }, port: integer },
          'x-kubernetes-validations': [{ rule, message: 'port is immutable' }],
        },
      },
    },
  })

test('validation rules: items of a list map are found by their keys', () => {
  const schema = ports('map', 'self.port == oldSelf.port')
  const old = {
    spec: {
      ports: [
        { name: 'a', port: 1 },
        { name: 'b', port: 2 },
      ],
    },
  }
  assert.deepEqual(
    errorsOf(
      schema,
      {
        spec: {
          ports: [
            { name: 'b', port: 2 },
            { name: 'c', port: 3 },
          ],
        },
      },
      old,
    ),
    [],
  )
  assert.deepEqual(errorsOf(schema, { spec: { ports: [{ name: 'b', port: 3 }] } }, old), [
    'spec.ports[0]: Invalid value: "object": port is immutable',
  ])
})

test('validation rules: what did not change is let through with a warning', () => {
  const rules = compileRules(parseStructural(replicas({ rule: 'self.min <= self.max' })))
  const value = { spec: { min: 3, max: 2 } }
  const result = rules?.validate({ value, oldValue: structuredClone(value) })
  assert.deepEqual(result?.errors, [])
  assert.equal(result?.warnings.length, 1)
})

const checks: readonly (readonly [string, Record<string, unknown>, RegExp | null])[] = [
  ['a good rule', replicas({ rule: 'self.min <= self.max' }), null],
  [
    'an undeclared reference',
    replicas({ rule: 'self.min <= other' }),
    /^spec\.properties\[spec\]\.x-kubernetes-validations\[0\]\.rule: Invalid value: .*compilation failed: ERROR: <input>:1:13: undeclared reference to 'other' \(in container ''\)/,
  ],
  ['an undefined field', replicas({ rule: 'self.mim == 1' }), /undefined field 'mim'/],
  [
    'a type error',
    replicas({ rule: "self.min == 'a'" }),
    /found no matching overload for '_==_' applied to '\(int, string\)'/,
  ],
  ['a rule that is no condition', replicas({ rule: 'self.min' }), /cel expression must evaluate to a bool/],
  ['an empty rule', replicas({ rule: '' }), /rule: Required value: rule is not specified/],
  [
    'a message that is no text',
    replicas({ rule: 'true', messageExpression: '1' }),
    /messageExpression must evaluate to a string/,
  ],
  ['an unknown reason', replicas({ rule: 'true', reason: 'Bad' }), /reason: Unsupported value: "Bad"/],
  [
    'a field path to nowhere',
    replicas({ rule: 'true', fieldPath: '.nope' }),
    /fieldPath must be a valid path/,
  ],
  [
    'optionalOldSelf without oldSelf',
    replicas({ rule: 'true', optionalOldSelf: true }),
    /may not be set to true if oldSelf is not used/,
  ],
  [
    'a transition rule in a set',
    ports('set', 'self.port == oldSelf.port'),
    /oldSelf cannot be used on the uncorrelatable portion of the schema within spec\.properties\[spec\]\.properties\[ports\]/,
  ],
  [
    'a rule without bound',
    schemaOf({
      properties: { names: { type: 'array', items: text } },
      'x-kubernetes-validations': [{ rule: 'self.names.all(a, self.names.all(b, a != b))' }],
    }),
    /Forbidden: estimated rule cost exceeds budget by factor of more than 100x/,
  ],
]

for (const [name, schema, expected] of checks) {
  test(`validation rules at creation: ${name}`, () => {
    const shown = checkRules(parseStructural(schema), 'spec')
      .map(error => `${error.field}: ${error.message}`)
      .join('\n')
    if (expected === null) assert.equal(shown, '')
    else assert.match(shown, expected)
  })
}
