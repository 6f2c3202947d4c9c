import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ControllerRevision } from '../../../../src/kube/types.ts'
import {
  planRevision,
  planTruncation,
  renderRevision,
  revisionData,
  templateOf,
} from '../../../../src/runtime/controllers/shared/revisions.ts'

const template = (image: string) => ({ spec: { containers: [{ name: 'c', image }] } })

const owner = (image: string, name = 'web') => ({
  apiVersion: 'apps/v1',
  kind: 'StatefulSet',
  metadata: { name, namespace: 'default', uid: 'owner' },
  spec: { template: template(image) },
})

const revision = (image: string, number: number): ControllerRevision => ({
  ...renderRevision(owner(image), { hashLabel: 'hash', collisionCount: 0 }),
  revision: number,
})

const HISTORY = [revision('a', 1), revision('b', 2), revision('c', 3)]

test('a new template gets the next number, a known one keeps its own, and an old one that is back becomes the newest', () => {
  assert.deepEqual(planRevision(revisionData(template('a')), []), { kind: 'create', number: 1 })
  assert.deepEqual(planRevision(revisionData(template('d')), HISTORY), { kind: 'create', number: 4 })
  assert.deepEqual(planRevision(revisionData(template('c')), HISTORY), { kind: 'keep', revision: HISTORY[2] })
  assert.deepEqual(planRevision(revisionData(template('a')), HISTORY), {
    kind: 'renumber',
    revision: HISTORY[0],
    number: 4,
  })
})

test('a revision holds a patch that replaces the template, and gives the template back', () => {
  const data = revisionData(template('a'))
  assert.deepEqual(data, { spec: { template: { $patch: 'replace', ...template('a') } } })
  assert.deepEqual(templateOf(revision('a', 1)), template('a'))
})

test('a collision changes the name, and a long name is cut so that the hash fits', () => {
  const render = (collisionCount: number, name = 'web') =>
    renderRevision(owner('a', name), { hashLabel: 'hash', collisionCount }).metadata
  assert.notEqual(render(0).name, render(1).name)
  assert.equal(render(0).name, `web-${render(0).labels?.['hash']}`)
  assert.ok((render(0, 'x'.repeat(253)).name?.length ?? 0) <= 253)
})

test('of what nothing refers to the oldest go, as many as are beyond the limit', () => {
  const excess = (limit: number, live: readonly number[]) =>
    planTruncation(HISTORY, { limit, isLive: one => live.includes(one.revision) }).map(one => one.revision)
  assert.deepEqual(excess(10, [3]), [])
  assert.deepEqual(excess(1, [3]), [1])
  assert.deepEqual(excess(0, [3]), [1, 2])
  assert.deepEqual(excess(0, [1, 3]), [2])
})
