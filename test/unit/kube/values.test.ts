/** Small pure helpers: times, ages, copies, equality and hashes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../src/base/random.ts'
import { cloneJson } from '../../../src/kube/clone.ts'
import { equalJson, semanticEqual } from '../../../src/kube/equality.ts'
import { fnv32a, generateName, safeEncode, templateHash } from '../../../src/kube/hash.ts'
import { formatMicroTime, formatTime, humanDuration, parseTime } from '../../../src/kube/time.ts'

test('ages are shortened as kubectl does', () => {
  const second = 1_000
  const minute = 60 * second
  const hour = 60 * minute
  const day = 24 * hour
  const cases: [number, string][] = [
    [-5 * second, '<invalid>'],
    [-1 * second, '0s'],
    [119 * second, '119s'],
    [120 * second, '2m'],
    [9 * minute + 59 * second, '9m59s'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [7 * hour + 5 * minute, '7h5m'],
    [47 * hour, '47h'],
    [3 * day + 2 * hour, '3d2h'],
    [700 * day, '700d'],
    [3 * 365 * day + 20 * day, '3y20d'],
    [9 * 365 * day, '9y'],
  ]
  for (const [ms, text] of cases) assert.equal(humanDuration(ms), text)
})

test('timestamps have whole seconds or six decimals and parse back', () => {
  assert.equal(formatTime(1_767_225_600_999), '2026-01-01T00:00:00Z')
  assert.equal(formatMicroTime(1_767_225_600_123.5), '2026-01-01T00:00:00.123500Z')
  assert.equal(parseTime('2026-01-01T02:00:00+02:00'), 1_767_225_600_000)
  assert.equal(parseTime('2026-01-01'), null)
  assert.equal(parseTime('yesterday'), null)
})

test('a copy shares nothing and keeps a key named __proto__ as data', () => {
  const from = JSON.parse('{"a":[1,{"b":null}],"__proto__":{"x":1}}')
  const to = cloneJson(from)
  assert.deepEqual(JSON.stringify(to), JSON.stringify(from))
  assert.equal(Object.getPrototypeOf(to), Object.prototype)
  to.a[1].b = 2
  assert.equal(from.a[1].b, null)
})

test('semantic equality takes unset and empty for the same', () => {
  assert.ok(equalJson({ a: 1, b: [1, 2] }, { b: [1, 2], a: 1 }))
  assert.ok(!equalJson({ a: [] }, {}))
  assert.ok(semanticEqual({ a: [], b: {} }, { c: null }))
  assert.ok(!semanticEqual({ a: 0 }, {}))
})

test('hashes and generated names use the safe alphabet', () => {
  assert.equal(fnv32a('a'), 0xe40c292c)
  assert.match(safeEncode('hello'), /^[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.equal(templateHash({ a: 1, b: 2 }), templateHash({ b: 2, a: 1, c: null }))
  assert.notEqual(templateHash({ a: 1 }), templateHash({ a: 1 }, 1))
  assert.match(generateName('web-', seededRandom(1)), /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/)
  assert.equal(generateName('x'.repeat(80), seededRandom(1)).length, 63)
})
