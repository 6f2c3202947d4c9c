/** What the controller of resource claims makes of pods and claims. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Pod, ResourceClaim, ResourceClaimTemplate } from '../../../../src/kube/types.ts'
import {
  claimStatuses,
  planClaim,
  planPodClaims,
  renderPodClaim,
} from '../../../../src/runtime/controllers/resource-claim/plan.ts'

const FINALIZER = 'resource.kubernetes.io/delete-protection'
const pod = (over: { name?: string; spec?: object; status?: object; metadata?: object } = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: over.name ?? 'p', namespace: 'n', uid: 'p-uid', ...over.metadata },
  spec: {
    containers: [{ name: 'c' }],
    resourceClaims: [{ name: 'gpu', resourceClaimTemplateName: 't' }],
    ...over.spec,
  },
  status: { phase: 'Pending', ...over.status },
})
const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'p-uid', controller: true }
const allocation = { devices: { results: [] } }
const claim = (status: ResourceClaim['status'] = {}, metadata: object = {}): ResourceClaim => ({
  apiVersion: 'resource.k8s.io/v1',
  kind: 'ResourceClaim',
  metadata: { name: 'c', namespace: 'n', uid: 'c-uid', ...metadata },
  spec: {},
  status,
})
const made = claim(
  {},
  { ownerReferences: [owner], annotations: { 'resource.kubernetes.io/pod-claim-name': 'gpu' } },
)
const consumer = (name: string) => ({ resource: 'pods', name, uid: `${name}-uid` })

describe('the claims of a pod', () => {
  test('are made from their templates once', () => {
    assert.deepEqual(planPodClaims(pod(), [], () => undefined).create, [{ podClaim: 'gpu', template: 't' }])
    const again = planPodClaims(pod(), [made], () => made)
    assert.deepEqual([again.create, [...again.found]], [[], [['gpu', 'c']]])
    const told = pod({ status: { resourceClaimStatuses: [{ name: 'gpu', resourceClaimName: 'c' }] } })
    const settled = planPodClaims(told, [made], () => made)
    assert.deepEqual([settled.create, settled.found.size], [[], 0])
  })

  test('are made anew when they are gone before their time', () => {
    const told = pod({ status: { resourceClaimStatuses: [{ name: 'gpu', resourceClaimName: 'c' }] } })
    assert.equal(planPodClaims(told, [], () => undefined).create.length, 1)
    assert.deepEqual(claimStatuses(told, new Map([['gpu', 'd']])), [{ name: 'gpu', resourceClaimName: 'd' }])
  })

  test('are not made for a pod that is over or being deleted', () => {
    const over = pod({ status: { phase: 'Succeeded' } })
    const leaving = pod({ metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } })
    for (const each of [over, leaving]) assert.deepEqual(planPodClaims(each, [], () => undefined).create, [])
  })

  test('are reserved where the pod got its node from somebody else', () => {
    const spec = { nodeName: 'x', resourceClaims: [{ name: 'gpu', resourceClaimName: 'c' }] }
    const reserveOf = (each: ResourceClaim) => planPodClaims(pod({ spec }), [], () => each).reserve.length
    assert.deepEqual(
      [claim(), claim({ allocation }), claim({ allocation, reservedFor: [consumer('p')] })].map(reserveOf),
      [0, 1, 0],
    )
  })

  test('bear the names of pod and claim, both shortened when they are long', () => {
    const template = {
      apiVersion: 'resource.k8s.io/v1',
      kind: 'ResourceClaimTemplate',
      metadata: { name: 't' },
      spec: { metadata: { labels: { a: 'b' }, annotations: { x: 'y' } }, spec: { devices: {} } },
    } as ResourceClaimTemplate
    const { metadata, spec } = renderPodClaim(pod(), 'gpu', template)
    assert.equal(metadata.generateName, 'p-gpu-')
    assert.deepEqual(metadata.labels, { a: 'b' })
    const annotations = { x: 'y', 'resource.kubernetes.io/pod-claim-name': 'gpu' }
    assert.deepEqual([metadata.annotations, spec], [annotations, { devices: {} }])
    assert.equal(metadata.ownerReferences?.[0]?.uid, 'p-uid')
    const long = renderPodClaim(pod({ name: 'p'.repeat(60) }), 'g'.repeat(60), template)
    assert.equal(long.metadata.generateName, `${'p'.repeat(28)}-${'g'.repeat(28)}`)
  })
})

describe('a claim', () => {
  const finalizers = [FINALIZER]
  const states = (name: string) => (name === 'live' ? 'runs' : name === 'new' ? 'unknown' : 'done')

  test('loses the reservations of pods that are done, and with the last one its devices', () => {
    const shared = claim({ allocation, reservedFor: [consumer('live'), consumer('gone')] }, { finalizers })
    const kept = planClaim(shared, states, undefined)
    assert.deepEqual(kept.status, { allocation, reservedFor: [consumer('live')] })
    assert.equal(kept.removesFinalizer, false)
    const left = planClaim(
      claim({ allocation, reservedFor: [consumer('gone')] }, { finalizers }),
      states,
      undefined,
    )
    assert.deepEqual([left.status, left.removesFinalizer, left.deletes], [{}, true, false])
  })

  test('keeps the reservation of a pod that nobody has heard of until the API server was asked', () => {
    const plan = planClaim(
      claim({ allocation, reservedFor: [consumer('new')] }, { finalizers }),
      states,
      undefined,
    )
    assert.deepEqual([plan.ask, plan.status, plan.deletes], [['new'], undefined, false])
  })

  test('that is allocated and was never used keeps its devices until it is deleted', () => {
    const unused = claim({ allocation }, { finalizers })
    assert.deepEqual(planClaim(unused, states, undefined).status, undefined)
    const deleted = claim({ allocation }, { finalizers, deletionTimestamp: '2026-01-01T00:00:00Z' })
    const plan = planClaim(deleted, states, undefined)
    assert.deepEqual([plan.status, plan.removesFinalizer, plan.deletes], [{}, true, false])
  })

  test('that was made for a pod goes when the pod is over', () => {
    assert.equal(planClaim(made, states, pod()).deletes, false)
    assert.equal(planClaim(made, states, pod({ status: { phase: 'Failed' } })).deletes, true)
    assert.equal(planClaim(made, states, pod({ metadata: { uid: 'another' } })).deletes, true)
    assert.equal(planClaim(claim(), states, pod({ status: { phase: 'Failed' } })).deletes, false)
  })
})
