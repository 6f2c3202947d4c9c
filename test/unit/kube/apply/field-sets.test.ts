/** Field sets: their algebra, their JSON form and their order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { must } from '../../../../src/base/assert.ts'
import {
  difference,
  equalSets,
  type FieldSet,
  intersection,
  isSubset,
  pathsOf,
  recursiveDifference,
  setOf,
  union,
} from '../../../../src/kube/apply/field-set.ts'
import { decodeFields, encodeFields } from '../../../../src/kube/apply/fields-v1.ts'
import {
  compareElements,
  keyElement,
  parseElement,
  pathText,
  valueElement,
} from '../../../../src/kube/apply/path-element.ts'

const element = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'k:{"name":"y"}', 'v:1', 'v:"s"', 'i:0')
const path = fc.array(element, { minLength: 1, maxLength: 4 })
const set = fc.array(path, { maxLength: 8 }).map(paths => setOf(...paths))
const textsOf = (one: FieldSet): string[] =>
  pathsOf(one)
    .map(steps => steps.join(' '))
    .sort()

test('union, intersection and difference are those of the paths', () => {
  fc.assert(
    fc.property(set, set, (a, b) => {
      const [left, right] = [textsOf(a), textsOf(b)]
      assert.deepEqual(textsOf(union(a, b)), [...new Set([...left, ...right])].sort())
      assert.deepEqual(
        textsOf(intersection(a, b)),
        left.filter(one => right.includes(one)),
      )
      assert.deepEqual(
        textsOf(difference(a, b)),
        left.filter(one => !right.includes(one)),
      )
      const isUnder = (one: string) => right.some(other => one === other || one.startsWith(`${other} `))
      assert.deepEqual(
        textsOf(recursiveDifference(a, b)),
        left.filter(one => !isUnder(one)),
      )
      assert.equal(
        isSubset(a, b),
        left.every(one => right.includes(one)),
      )
    }),
  )
})

test('the JSON form gives the same set back', () => {
  fc.assert(
    fc.property(set, one => {
      const text = JSON.stringify(encodeFields(one))
      assert.ok(equalSets(must(decodeFields(JSON.parse(text)), 'a set'), one))
    }),
  )
})

test('the JSON form is upstream`s: a node with paths below says with a dot that it is in the set', () => {
  const one = setOf(['f:spec', 'f:ports'], ['f:spec', 'f:ports', 'k:{"port":80}'], ['f:spec', 'f:a', 'f:b'])
  assert.equal(
    JSON.stringify(encodeFields(one)),
    '{"f:spec":{"f:a":{"f:b":{}},"f:ports":{".":{},"k:{\\"port\\":80}":{}}}}',
  )
})

test('steps are ordered fields, keyed items, values, indexes, and among themselves by value', () => {
  const steps = [
    'i:2',
    'v:"b"',
    'v:10',
    'v:9',
    'k:{"a":10}',
    'k:{"a":9}',
    'k:{"a":"x"}',
    'f:b',
    'f:a',
    'i:10',
    'v:true',
  ]
  assert.deepEqual(steps.sort(compareElements), [
    'f:a',
    'f:b',
    'k:{"a":9}',
    'k:{"a":10}',
    'k:{"a":"x"}',
    'v:9',
    'v:10',
    'v:"b"',
    'v:true',
    'i:2',
    'i:10',
  ])
})

test('steps of others are brought into canonical form, nonsense is refused', () => {
  assert.equal(parseElement('k:{"protocol": "TCP", "port": 80}'), 'k:{"port":80,"protocol":"TCP"}')
  assert.equal(parseElement('v: "a"'), 'v:"a"')
  for (const bad of ['x:1', 'k:[]', 'k:{', 'v:', 'i:x', '']) assert.equal(parseElement(bad), null, bad)
  assert.equal(decodeFields({ 'f:a': { 'z:b': {} } }), null)
  assert.equal(decodeFields([]), null)
})

test('paths read as upstream prints them', () => {
  const item = keyElement([
    ['protocol', 'TCP'],
    ['port', 80],
  ])
  assert.equal(
    pathText(['f:spec', 'f:ports', item, 'f:name', valueElement('x'), 'i:3']),
    '.spec.ports[port=80,protocol="TCP"].name[="x"][3]',
  )
})
