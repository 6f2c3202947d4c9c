/** JSON patch and JSON merge patch. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyJsonPatch } from '../../../../src/kube/patch/json-patch.ts'
import { applyMergePatch } from '../../../../src/kube/patch/merge-patch.ts'
import { StatusError } from '../../../../src/kube/status.ts'

const target = { a: { b: [1, 2, 3] }, 'c/d': 1 }

test('the operations of a JSON patch do what they say', () => {
  const cases: [object, unknown][] = [
    [
      { op: 'add', path: '/a/x', value: 1 },
      { a: { b: [1, 2, 3], x: 1 }, 'c/d': 1 },
    ],
    [
      { op: 'add', path: '/a/b/1', value: 9 },
      { a: { b: [1, 9, 2, 3] }, 'c/d': 1 },
    ],
    [
      { op: 'add', path: '/a/b/-', value: 9 },
      { a: { b: [1, 2, 3, 9] }, 'c/d': 1 },
    ],
    [
      { op: 'remove', path: '/a/b/0' },
      { a: { b: [2, 3] }, 'c/d': 1 },
    ],
    [
      { op: 'replace', path: '/c~1d', value: null },
      { a: { b: [1, 2, 3] }, 'c/d': null },
    ],
    [
      { op: 'move', from: '/c~1d', path: '/e' },
      { a: { b: [1, 2, 3] }, e: 1 },
    ],
    [
      { op: 'copy', from: '/a/b/2', path: '/e' },
      { a: { b: [1, 2, 3] }, 'c/d': 1, e: 3 },
    ],
    [{ op: 'test', path: '/a/b', value: [1, 2, 3] }, target],
    [{ op: 'test', path: '/none', value: null }, target],
    [{ op: 'replace', path: '', value: { z: 1 } }, { z: 1 }],
  ]
  for (const [operation, expected] of cases) assert.deepEqual(applyJsonPatch(target, [operation]), expected)
})

test('a JSON patch that does not apply is a 422 that says why and changes nothing', () => {
  const before = JSON.stringify(target)
  const cases: [object, RegExp][] = [
    [{ op: 'test', path: '/a/b/0', value: 2 }, /^testing value \/a\/b\/0 failed: test failed$/],
    [{ op: 'remove', path: '/x' }, /^error in remove for path: '\/x': Unable to remove nonexistent key: x/],
    [{ op: 'add', path: '/x/y', value: 1 }, /^add operation does not apply: doc is missing path: "\/x\/y"/],
    [{ op: 'add', path: '/a/b/9', value: 1 }, /invalid index referenced$/],
    [
      { op: 'replace', path: '/a/b/9', value: 1 },
      /^replace operation does not apply: doc is missing key: \/a\/b\/9/,
    ],
    [{ op: 'test', path: '/x/y', value: null }, /is missing path: \/x\/y/],
    [{ op: 'replace', path: '/__proto__/x', value: 1 }, /missing/],
    [{ op: 'fly', path: '/x' }, /^Unexpected kind: fly$/],
    [{ op: 'move', from: '/a', path: '/a/b' }, /doc is missing path/],
  ]
  for (const [operation, why] of cases) {
    assert.throws(
      () => applyJsonPatch(target, [{ op: 'add', path: '/a/z', value: 1 }, operation]),
      (error: unknown) => {
        assert.ok(error instanceof StatusError)
        assert.equal(error.code, 422)
        assert.equal(error.message, 'the server rejected our request due to an error in our request')
        assert.match(error.status.details?.causes?.[0]?.message ?? '', why)
        return true
      },
    )
  }
  assert.equal(JSON.stringify(target), before)
  assert.throws(() => applyJsonPatch(target, { op: 'add' }), { code: 400 })
  assert.throws(() => applyJsonPatch(target, [{}]), { code: 400 })
  const many = new Array(10_001).fill({ op: 'test', path: '', value: 1 })
  assert.throws(() => applyJsonPatch(target, many), { code: 413 })
})

test('copies of copies end before they are greater than a body may be', () => {
  const doubling = Array.from({ length: 40 }, (_one, index) => ({ op: 'copy', from: '', path: `/x${index}` }))
  const refusal = (error: unknown) =>
    error instanceof StatusError &&
    /^Unable to complete the copy, .* exceeding the limit 3145728$/.test(
      error.status.details?.causes?.[0]?.message ?? '',
    )
  assert.throws(() => applyJsonPatch({ a: 'b' }, doubling), refusal)
})

test('a merge patch sets, nests and deletes', () => {
  assert.deepEqual(
    applyMergePatch({ a: { b: 1, c: 2 }, d: [1] }, { a: { b: null, e: { f: null } }, d: [2] }),
    {
      a: { c: 2, e: {} },
      d: [2],
    },
  )
  assert.throws(() => applyMergePatch({}, []), { code: 400 })
  const polluted = applyMergePatch({}, JSON.parse('{"__proto__":{"x":1}}')) as Record<string, unknown>
  assert.equal(polluted['x'], undefined)
})
