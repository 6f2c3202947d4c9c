import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OrderedMap } from '../../../../../src/runtime/store/mvcc/ordered-map.ts'

const key = fc.integer({ min: 0, max: 3000 }).map(n => `/k/${n}`)
const change = fc.record({ key, remove: fc.boolean() })

test('an ordered map is what a sorted list of entries is', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 2000, size: 'max' }), key, key, (changes, a, b) => {
      const map = new OrderedMap<string>()
      const model = new Map<string, string>()
      for (const [n, { key, remove }] of changes.entries()) {
        if (remove) {
          map.delete(key)
          model.delete(key)
        } else {
          map.set(key, `${key}=${n}`)
          model.set(key, `${key}=${n}`)
        }
      }
      const inRange = [...model].filter(([key]) => key >= a && key < b).sort(([x], [y]) => (x < y ? -1 : 1))
      const values = inRange.map(([, value]) => value)
      assert.equal(map.size, model.size)
      assert.equal(map.count(a, b), values.length)
      assert.deepEqual([...map.values(a, b)], values)
      assert.deepEqual(map.slice(a, b, 3), values.slice(0, 3))
      assert.equal(map.get(a), model.get(a))
    }),
    { numRuns: 100 },
  )
})

test('a hundred thousand keys in any order are no trouble', () => {
  const map = new OrderedMap<number>()
  for (let n = 0; n < 100_000; n++) map.set(`/registry/pods/${(n * 7919) % 100_000}`, n)
  assert.equal(map.size, 100_000)
  assert.equal(map.count('/', '0'), 100_000)
  for (let n = 0; n < 100_000; n += 2) map.delete(`/registry/pods/${n}`)
  assert.equal(map.count('/registry/pods/', '/registry/pods0'), 50_000)
})
