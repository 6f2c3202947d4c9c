/** What is next for a server while a key that all servers share is being replaced. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { systemRandom } from '../../../../src/base/random.ts'
import { KEY_RINGS, type KeyRotation } from '../../../../src/runtime/rotation/key-rings.ts'
import { type KeyFacts, planKeys } from '../../../../src/runtime/rotation/plan-keys.ts'

const trusting: KeyRotation = {
  ...{ stage: 'trust', earlier: 'a', next: 'b', beganBy: 1, beganAt: '2026-01-01T00:00:00Z' },
  ...{ usedMs: null, dropAsked: false, isOver: false },
}
const plan = (over: Partial<KeyFacts>) =>
  planKeys({ has: ['a'], got: [], rotation: trusting, coming: null, needed: new Set(), ...over })
const set = (...names: string[]) => ({ type: 'set', names })
const NONE = { type: 'none' }

test('a server gets the next key, then knows both, then uses the next one, then forgets', () => {
  assert.deepEqual(plan({}), { type: 'fetch', names: ['b'] })
  assert.deepEqual(plan({ got: ['b'] }), set('a', 'b'))
  assert.deepEqual(plan({ has: ['a', 'b'] }), NONE)
  const sign: KeyRotation = { ...trusting, stage: 'sign' }
  assert.deepEqual(plan({ has: ['a', 'b'], rotation: sign }), set('b', 'a'))
  assert.deepEqual(plan({ has: ['b', 'a'], rotation: sign }), NONE)
  const drop: KeyRotation = { ...trusting, stage: 'drop' }
  assert.deepEqual(plan({ has: ['b', 'a'], rotation: drop }), set('b'))
  assert.deepEqual(plan({ has: ['b'], rotation: { ...drop, isOver: true } }), NONE)
})

test('a key that something stored needs is not forgotten', () => {
  const drop: KeyRotation = { ...trusting, stage: 'drop' }
  const needed = new Set(['a'])
  assert.deepEqual(plan({ has: ['b', 'a'], rotation: drop, needed }), { type: 'free' })
  assert.deepEqual(plan({ has: ['a', 'b'], rotation: drop, needed }), set('b', 'a'))
})

test('a server that missed all of it gets the key that is in use, and what is read late takes none back', () => {
  const over: KeyRotation = { ...trusting, stage: 'drop', isOver: true }
  assert.deepEqual(plan({ rotation: over }), { type: 'fetch', names: ['b'] })
  assert.deepEqual(plan({ rotation: over, got: ['b'] }), set('b'))
  assert.deepEqual(plan({ has: ['b', 'a'] }), NONE)
  assert.deepEqual(plan({ has: ['b'], rotation: { ...trusting, stage: 'sign' } }), {
    type: 'fetch',
    names: ['a'],
  })
})

test('one that is made here is in the file before its record is in the store', () => {
  assert.deepEqual(plan({ rotation: null }), NONE)
  assert.deepEqual(plan({ rotation: null, got: ['b'], coming: 'b' }), set('a', 'b'))
  assert.deepEqual(plan({ rotation: null, has: ['a', 'b'], coming: 'b' }), NONE)
  const over: KeyRotation = { ...trusting, next: 'a', stage: 'drop', isOver: true }
  assert.deepEqual(plan({ rotation: over, has: ['a', 'b'], coming: 'b' }), NONE)
  assert.deepEqual(plan({ rotation: over, has: ['a', 'b'] }), set('a'))
})

test('the files of each ring have its keys in order, private ones for their owner only', () => {
  for (const ring of KEY_RINGS) {
    const keys = [ring.make(systemRandom), ring.make(systemRandom)]
    const names = keys.map(key => ring.nameOf(key))
    const [file, ...others] = ring.files('/pki', keys)
    assert.deepEqual([file?.path, file?.mode], [`/pki/${ring.file}`, 0o600])
    for (const { text } of [file, ...others].flatMap(one => one ?? []))
      assert.deepEqual(
        ring.split(text).map(key => ring.nameOf(key)),
        names,
      )
  }
})
