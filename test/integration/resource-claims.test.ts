/** Claims on devices with the real API server, controllers and scheduler in this process; the test plays driver and kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isNotFound, type KubeClient } from '../../src/client/kube-client.ts'
import {
  DEVICE_CLASSES,
  PODS,
  RESOURCE_CLAIM_TEMPLATES,
  RESOURCE_CLAIMS,
  RESOURCE_SLICES,
} from '../../src/client/resources.ts'
import type { KubeObject } from '../../src/kube/object.ts'
import type { Pod, ResourceClaim, ResourceSlice } from '../../src/kube/types.ts'
import { addNode, type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const API = 'resource.k8s.io/v1'
const DRIVER = 'gpu.example.com'
const namespace = 'default'
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
  await addNode(client, 'node-1')
  await addNode(client, 'node-2')
  const selectors = [{ cel: { expression: `device.driver == "${DRIVER}"` } }]
  await client.create(DEVICE_CLASSES, object('DeviceClass', 'gpu', { selectors }))
  for (const nodeName of ['node-1', 'node-2']) {
    await client.create(
      RESOURCE_SLICES,
      object('ResourceSlice', `gpus-of-${nodeName}`, {
        ...{ driver: DRIVER, nodeName, devices: [{ name: 'gpu-0' }] },
        pool: { name: nodeName, generation: 1, resourceSliceCount: 1 },
      }),
    )
  }
})
after(() => cluster.stop())

const object = (kind: string, name: string, spec: object, place: object = {}): KubeObject => ({
  ...{ apiVersion: API, kind, metadata: { name, ...place }, spec },
})
const gpu = { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu' } }] } }

const makePod = (name: string, claim: object, more: object = {}): Promise<Pod> =>
  client.create<Pod>(PODS, {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace } },
    spec: {
      containers: [{ name: 'c', image: 'i', resources: { claims: [{ name: 'gpu' }] } }],
      resourceClaims: [{ name: 'gpu', ...claim }],
      ...more,
    },
  })
const podOf = (name: string) => client.get<Pod>(PODS, { namespace, name })
const claimOf = (name: string) => client.get<ResourceClaim>(RESOURCE_CLAIMS, { namespace, name })
const nodeOf = (name: string) =>
  until(`a node for ${name}`, async () => (await podOf(name)).spec?.nodeName, WAIT_MS)
const waits = (name: string, pattern: RegExp) =>
  until(
    `${name} to wait`,
    async () => {
      const { status } = await podOf(name)
      const told = status?.conditions?.find(({ type }) => type === 'PodScheduled')
      return told?.status === 'False' && pattern.test(told.message ?? '')
    },
    WAIT_MS,
  )
async function end(name: string): Promise<void> {
  await client.delete(PODS, { namespace, name, gracePeriodSeconds: 0 })
}
const isGone = async (name: string) => {
  try {
    await claimOf(name)
    return false
  } catch (error) {
    if (isNotFound(error)) return true
    throw error
  }
}

test('pods get claims from a template, and devices with them, until there are none left', async () => {
  await client.create(
    RESOURCE_CLAIM_TEMPLATES,
    object('ResourceClaimTemplate', 'one', { spec: gpu }, { namespace }),
  )
  const fromTemplate = { resourceClaimTemplateName: 'one' }
  await makePod('first', fromTemplate)
  await makePod('second', fromTemplate)
  const nodes = [await nodeOf('first'), await nodeOf('second')]
  assert.deepEqual(nodes.toSorted(), ['node-1', 'node-2'])
  const [told] = (await podOf('first')).status?.resourceClaimStatuses ?? []
  assert.match(told?.resourceClaimName ?? '', /^first-gpu-.{5}$/)
  const claim = await claimOf(told?.resourceClaimName ?? '')
  const { uid } = (await podOf('first')).metadata
  assert.deepEqual(claim.metadata.finalizers, ['resource.kubernetes.io/delete-protection'])
  assert.deepEqual(claim.status?.reservedFor, [{ resource: 'pods', name: 'first', uid }])
  assert.deepEqual(claim.status?.allocation?.devices?.results, [
    { request: 'gpu', driver: DRIVER, pool: nodes[0], device: 'gpu-0' },
  ])
  await makePod('third', fromTemplate)
  const message =
    /^0\/2 nodes are available: 2 cannot allocate all claims\. still not schedulable, preemption: /
  await waits('third', message)
  await end('first')
  assert.equal(await nodeOf('third'), nodes[0])
  await until('the claim to go', () => isGone(told?.resourceClaimName ?? ''), WAIT_MS)
  await end('second')
  await end('third')
})

test('pods share a claim on the node of its device, and the last one frees it', async () => {
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'shared', gpu, { namespace }))
  const shared = { resourceClaimName: 'shared' }
  await makePod('one', shared)
  const node = await nodeOf('one')
  await makePod('other', shared)
  assert.equal(await nodeOf('other'), node)
  const elsewhere = node === 'node-1' ? 'node-2' : 'node-1'
  await makePod('elsewhere', shared, { nodeSelector: { 'kubernetes.io/hostname': elsewhere } })
  await waits('elsewhere', /1 resourceclaim not available on the node|didn't match Pod's node affinity/)
  await end('elsewhere')
  await end('one')
  await until(
    'one reservation',
    async () => (await claimOf('shared')).status?.reservedFor?.length === 1,
    WAIT_MS,
  )
  await end('other')
  await until('the devices to be free', async () => !(await claimOf('shared')).status?.allocation, WAIT_MS)
  assert.deepEqual((await claimOf('shared')).metadata.finalizers ?? [], [])
})

test('a claim that was allocated elsewhere and that nobody uses is allocated anew', async () => {
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'stuck', gpu, { namespace }))
  const claim = await claimOf('stuck')
  const results = [{ request: 'gpu', driver: DRIVER, pool: 'node-1', device: 'gpu-0' }]
  const nodeSelector = {
    nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-1'] }] }],
  }
  const status = { allocation: { devices: { results }, nodeSelector } }
  await client.update(RESOURCE_CLAIMS, { ...claim, status }, { subresource: 'status' })
  await makePod(
    'mover',
    { resourceClaimName: 'stuck' },
    { nodeSelector: { 'kubernetes.io/hostname': 'node-2' } },
  )
  assert.equal(await nodeOf('mover'), 'node-2')
  const [result] = (await claimOf('stuck')).status?.allocation?.devices?.results ?? []
  assert.equal(result?.pool, 'node-2')
  await end('mover')
})

test('a pod waits for its claim and its class', async () => {
  await makePod('early', { resourceClaimName: 'late' })
  const late = { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'later' } }] } }
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'late', late, { namespace }))
  await waits('early', /^0\/2 nodes are available: request r: device class later does not exist\. /)
  await client.create(DEVICE_CLASSES, object('DeviceClass', 'later', {}))
  await nodeOf('early')
  await end('early')
})

test('a deleted claim stays as long as a pod uses it', async () => {
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'kept', gpu, { namespace }))
  await makePod('user', { resourceClaimName: 'kept' })
  await nodeOf('user')
  await client.delete(RESOURCE_CLAIMS, { namespace, name: 'kept' })
  assert.notEqual((await claimOf('kept')).metadata.deletionTimestamp, undefined)
  await end('user')
  await until('the claim to go', () => isGone('kept'), WAIT_MS)
})

test('a pod is bound once its driver says that the device is ready', async () => {
  const devices = [{ name: 'slow', bindingConditions: ['ready'], bindingFailureConditions: ['failed'] }]
  await client.create(
    RESOURCE_SLICES,
    object('ResourceSlice', 'fabric', {
      ...{ driver: 'fabric.example.com', allNodes: true, devices },
      pool: { name: 'fabric', generation: 1, resourceSliceCount: 1 },
    }),
  )
  const selectors = [{ cel: { expression: 'device.driver == "fabric.example.com"' } }]
  await client.create(DEVICE_CLASSES, object('DeviceClass', 'fabric', { selectors }))
  const spec = { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'fabric' } }] } }
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'fabric', spec, { namespace }))
  await makePod('patient', { resourceClaimName: 'fabric' })
  const say = async (type: string) => {
    const claim = await until(
      'the allocation',
      async () => {
        const found = await claimOf('fabric')
        return found.status?.allocation !== undefined && found
      },
      WAIT_MS,
    )
    const condition = {
      type,
      status: 'True',
      reason: 'R',
      message: '',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    const device = { driver: 'fabric.example.com', pool: 'fabric', device: 'slow', conditions: [condition] }
    await client.update(
      RESOURCE_CLAIMS,
      { ...claim, status: { ...claim.status, devices: [device] } } as ResourceClaim,
      { subresource: 'status' },
    )
  }
  await say('failed')
  await until(
    'another try',
    async () => {
      const { status } = await claimOf('fabric')
      return status?.allocation !== undefined && status.devices === undefined
    },
    WAIT_MS,
  )
  assert.equal((await podOf('patient')).spec?.nodeName, undefined)
  await say('ready')
  await nodeOf('patient')
  await end('patient')
})

test('devices stand for an extended resource that a class names', async () => {
  const limits = { 'example.com/gpu': '1' }
  const containers = [{ name: 'c', image: 'i', resources: { limits } }]
  await client.create<Pod>(PODS, {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'plain', namespace } },
    spec: { containers },
  })
  await waits('plain', /2 Insufficient example\.com\/gpu/)
  const selectors = [{ cel: { expression: `device.driver == "${DRIVER}"` } }]
  const spec = { selectors, extendedResourceName: 'example.com/gpu' }
  await client.create(DEVICE_CLASSES, object('DeviceClass', 'standing', spec))
  await nodeOf('plain')
  const { requestMappings, resourceClaimName = '' } =
    (await podOf('plain')).status?.extendedResourceClaimStatus ?? {}
  const requestName = 'container-0-request-0'
  assert.deepEqual(requestMappings, [{ containerName: 'c', resourceName: 'example.com/gpu', requestName }])
  const claim = await claimOf(resourceClaimName)
  assert.equal(claim.metadata.annotations?.['resource.kubernetes.io/extended-resource-claim'], 'true')
  assert.equal(claim.status?.allocation?.devices?.results?.[0]?.request, requestName)
  assert.equal(claim.status?.reservedFor?.[0]?.name, 'plain')
  await end('plain')
  await until('the claim to go', () => isGone(resourceClaimName), WAIT_MS)
})

test('a pod leaves a device that is tainted with NoExecute, unless its claim tolerates that', async () => {
  const name = 'gpus-of-node-1'
  const tolerations = [{ key: 'unhealthy', operator: 'Exists', effect: 'NoExecute' }]
  const exactly = { deviceClassName: 'gpu', tolerations }
  const stoic = { devices: { requests: [{ name: 'gpu', exactly }] } }
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'stoic', stoic, { namespace }))
  await client.create(RESOURCE_CLAIMS, object('ResourceClaim', 'timid', gpu, { namespace }))
  const devices = [{ name: 'gpu-0' }, { name: 'gpu-1' }]
  const slice = await client.get<ResourceSlice>(RESOURCE_SLICES, { name })
  const spec = { ...slice.spec, devices }
  const wider = await client.update(RESOURCE_SLICES, { ...slice, spec } as ResourceSlice)
  const onNode1 = { nodeSelector: { 'kubernetes.io/hostname': 'node-1' } }
  await makePod('stoic', { resourceClaimName: 'stoic' }, onNode1)
  await makePod('timid', { resourceClaimName: 'timid' }, onNode1)
  await Promise.all([nodeOf('stoic'), nodeOf('timid')])
  const taints = [{ key: 'unhealthy', effect: 'NoExecute' }]
  const tainted = { ...wider, spec: { ...spec, devices: devices.map(each => ({ ...each, taints })) } }
  await client.update(RESOURCE_SLICES, tainted as ResourceSlice)
  const leaving = await until(
    'the eviction',
    async () => {
      const pod = await podOf('timid')
      return pod.metadata.deletionTimestamp !== undefined && pod
    },
    WAIT_MS,
  )
  const condition = leaving.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
  assert.equal(condition?.reason, 'DeletionByDeviceTaintManager')
  assert.equal((await podOf('stoic')).metadata.deletionTimestamp, undefined)
  await end('timid')
  await end('stoic')
})
