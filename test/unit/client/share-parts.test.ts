/** What a new object has in common with one that is kept is kept once, and nothing else changes. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { seededRandom } from '../../../src/base/random.ts'
import { shareParts } from '../../../src/client/share-parts.ts'

const pod = (name: string, image = 'registry.example/main:1.0') => ({
  metadata: { name, labels: { app: 'load' } },
  spec: {
    containers: [{ name: 'main', image, resources: { requests: { cpu: '10m' } } }],
    tolerations: [{ key: 'node.kubernetes.io/not-ready', tolerationSeconds: 300 }],
  },
})

test('equal parts of two objects are one, others stay their own', () => {
  const first = pod('a')
  const second = shareParts(pod('b'), first)
  assert.deepEqual(second, pod('b'))
  assert.equal(second.spec, first.spec)
  assert.equal(second.metadata.labels, first.metadata.labels)
  assert.notEqual(second.metadata, first.metadata)
  const third = shareParts(pod('c', 'registry.example/main:2.0'), second)
  assert.deepEqual(third, pod('c', 'registry.example/main:2.0'))
  assert.equal(third.spec.tolerations, first.spec.tolerations)
  assert.equal(third.spec.containers[0]?.resources, first.spec.containers[0]?.resources)
  assert.deepEqual(first, pod('a'))
})

test('a list that is a part of the other one, missing keys and other types share nothing wrong', () => {
  assert.deepEqual(shareParts([1, 2], [1, 2, 3]), [1, 2])
  assert.deepEqual(shareParts({ a: {} }, { a: [] }), { a: {} })
  assert.deepEqual(shareParts({ a: null }, { a: {} }), { a: null })
  assert.deepEqual(shareParts({ a: 0 }, { a: '0', b: 1 }), { a: 0 })
  const dangerous = '{"__proto__":{"x":1},"constructor":"y"}'
  const shared = shareParts(JSON.parse(dangerous), JSON.parse(dangerous))
  assert.equal(JSON.stringify(shared), dangerous)
  assert.equal((shared as { x?: number }).x, undefined)
})

test('whatever it shares, the object keeps its JSON, and the model too', () => {
  const random = seededRandom(7)
  const value = (depth: number): unknown => {
    const kind = Math.floor(random.float() * (depth > 3 ? 3 : 5))
    if (kind === 0) return Math.floor(random.float() * 3)
    if (kind === 1) return ['x', 'y', ''][Math.floor(random.float() * 3)]
    if (kind === 2) return null
    const count = Math.floor(random.float() * 4)
    if (kind === 3) return Array.from({ length: count }, () => value(depth + 1))
    return Object.fromEntries(
      Array.from({ length: count }, () => ['abcd'[Math.floor(random.float() * 4)], value(depth + 1)]),
    )
  }
  for (let round = 0; round < 2_000; round++) {
    const [next, model] = [value(0), value(0)]
    const [nextText, modelText] = [JSON.stringify(next), JSON.stringify(model)]
    assert.equal(JSON.stringify(shareParts(next, model)), nextText)
    assert.equal(JSON.stringify(model), modelText)
  }
})
