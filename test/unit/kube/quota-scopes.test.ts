import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../src/kube/object.ts'
import { formatQuantity } from '../../../src/kube/quantity.ts'
import { usageIn } from '../../../src/kube/quota-scopes.ts'
import { resourceCountedBy, usageOf } from '../../../src/kube/quota-usage.ts'
import type { ResourceQuota } from '../../../src/kube/types.ts'

const CLAIMS = { group: '', resource: 'persistentvolumeclaims' }
const PODS = { group: '', resource: 'pods' }

const quota = (scopeName: string, operator: string, values?: string[]): ResourceQuota => ({
  apiVersion: 'v1',
  kind: 'ResourceQuota',
  metadata: { name: 'q' },
  spec: {
    scopeSelector: {
      matchExpressions: [{ scopeName, operator, ...(values === undefined ? {} : { values }) }],
    },
  },
})
const claim = (wanted?: string, present?: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name: 'c' },
  spec: {
    resources: { requests: { storage: '1Gi' } },
    ...(wanted ? { volumeAttributesClassName: wanted } : {}),
  },
  status: present ? { currentVolumeAttributesClassName: present } : {},
})
const counts = (of: ResourceQuota, object: KubeObject, resource = CLAIMS) =>
  usageIn(of, resource, object).size > 0

test('claims are counted by the classes of their volume attributes', () => {
  const gold = quota('VolumeAttributesClass', 'In', ['gold'])
  assert.equal(counts(gold, claim('gold')), true)
  assert.equal(counts(gold, claim('silver')), false)
  assert.equal(counts(gold, claim('silver', 'gold')), true, 'until the change is done, both count')
  assert.equal(counts(gold, claim()), false)
  assert.equal(counts(quota('VolumeAttributesClass', 'NotIn', ['gold']), claim()), true)
  assert.equal(counts(quota('VolumeAttributesClass', 'Exists'), claim('gold')), true)
  assert.equal(counts(quota('VolumeAttributesClass', 'Exists'), claim()), false)
  assert.equal(counts(quota('VolumeAttributesClass', 'DoesNotExist'), claim()), true)
})

test('scopes of pods count no claims, and that of claims counts no pods', () => {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p' },
    spec: { containers: [{ name: 'c' }] },
  }
  assert.equal(counts(quota('BestEffort', 'Exists'), claim('gold')), false)
  assert.equal(counts(quota('BestEffort', 'Exists'), pod, PODS), true)
  assert.equal(counts(quota('VolumeAttributesClass', 'Exists'), pod, PODS), false)
})

test('a claim on devices counts by class: as many as it names, 32 for all, of alternatives the most', () => {
  const requests = [
    { name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 } },
    { name: 'b', exactly: { deviceClassName: 'nic', allocationMode: 'All' } },
    {
      name: 'c',
      firstAvailable: [
        { name: 'x', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
        { name: 'y', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 3 },
        { name: 'z', deviceClassName: 'tpu' },
      ],
    },
  ]
  const object = {
    ...{ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name: 'c' } },
    spec: { devices: { requests } },
  }
  const claims = { group: 'resource.k8s.io', resource: 'resourceclaims' }
  const counted = [...usageOf(claims, object)].map(([name, amount]) => [name, formatQuantity(amount)])
  assert.deepEqual(Object.fromEntries(counted), {
    'count/resourceclaims.resource.k8s.io': '1',
    'gpu.deviceclass.resource.k8s.io/devices': '5',
    'nic.deviceclass.resource.k8s.io/devices': '32',
    'tpu.deviceclass.resource.k8s.io/devices': '1',
  })
  assert.deepEqual(resourceCountedBy('gpu.deviceclass.resource.k8s.io/devices'), claims)
})
