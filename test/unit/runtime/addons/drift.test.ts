/** Changes that somebody makes to an add-on's objects: seen, put back, and not fought over. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { KubeObject } from '../../../../src/kube/object.ts'
import {
  hasLostReplicas,
  heldFields,
  isChanged,
  isContested,
  lastWriter,
  nextCount,
  pauseMs,
  withCorrections,
  withoutReplicas,
} from '../../../../src/runtime/addons/drift.ts'

const own = (fieldsV1: object) => ({
  manager: 'mk8s-addons',
  operation: 'Apply',
  time: '2026-01-01T00:00:00Z',
  fieldsV1,
})
const object = (...managedFields: object[]): KubeObject =>
  ({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', uid: 'u', managedFields },
  }) as KubeObject
const fields = { 'f:spec': { 'f:replicas': {}, 'f:paused': {} } }

test('an object is changed once a field of the add-on is somebody else’s, not while others have fields of their own', () => {
  const applied = object(own(fields))
  const kept = { uid: 'u', held: heldFields(applied), count: 0, lastMs: 0 }
  const annotated = { manager: 'kubectl-edit', operation: 'Update', fieldsV1: { 'f:metadata': {} } }
  assert.equal(isChanged(applied, kept), false)
  assert.equal(isChanged(object(annotated, own(fields)), kept), false)
  assert.equal(isChanged(object(own({ 'f:spec': { 'f:replicas': {} } })), kept), true)
  assert.equal(isChanged(object(), kept), true)
  assert.equal(isChanged(applied, { ...kept, uid: 'of another' }), true)
})

test('who wrote last is told, not who keeps the status', () => {
  const by = (manager: string, time: string, subresource?: string) => ({
    manager,
    operation: 'Update',
    time,
    subresource,
  })
  const live = object(
    own(fields),
    by('early', '2026-01-01T00:00:01Z'),
    by('late', '2026-01-01T00:00:02Z'),
    by('controller', '2026-01-01T00:00:03Z', 'status'),
  )
  assert.equal(lastWriter(live), 'late')
})

test('three changes are put back at once, more of them after longer and longer pauses, until it was calm', () => {
  const kept = (count: number) => ({ uid: 'u', held: '', count, lastMs: 1_000 })
  assert.deepEqual(
    [0, 2, 3, 5, 60].map(count => pauseMs(kept(count), 1_000)),
    [0, 0, 1_000, 4_000, 300_000],
  )
  assert.equal(pauseMs(kept(3), 2_000), 0)
  assert.equal(nextCount(kept(5), 2_000), 6)
  assert.equal(nextCount(kept(5), 700_000), 1)
  const told = { object: 'ConfigMap web/new', by: 'x', count: 4, time: '' }
  assert.equal(isContested(told, 1_000), true)
  assert.equal(isContested(told, 700_000), false)
  assert.equal(isContested({ ...told, count: 3 }, 1_000), false)
})

test('replicas that are somebody else’s can be left out', () => {
  const wanted = { ...object(), spec: { replicas: 1, paused: false } }
  assert.equal(hasLostReplicas(wanted, object(own(fields))), false)
  assert.equal(hasLostReplicas(wanted, object(own({ 'f:spec': { 'f:paused': {} } }))), true)
  assert.equal(hasLostReplicas(object(), object()), false)
  assert.deepEqual((withoutReplicas(wanted) as typeof wanted).spec, { paused: false })
})

test('each object that was put back is told of once, the newest first, ten of them', () => {
  const one = (name: string, count = 1) => ({ object: name, by: 'x', count, time: '' })
  const many = Array.from({ length: 10 }, (_, at) => one(`o${at}`))
  const told = withCorrections(many, [one('o3', 2), one('new')])
  assert.deepEqual([told.length, told[0]?.object, told[1]], [10, 'new', one('o3', 2)])
})
