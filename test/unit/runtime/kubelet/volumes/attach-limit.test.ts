/** What becomes of a pod whose driver says that the node can attach no more volumes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import type { Pod, VolumeAttachment } from '../../../../../src/kube/types.ts'
import type { PodContext } from '../../../../../src/runtime/kubelet/pod-context.ts'
import { VolumeSetup } from '../../../../../src/runtime/kubelet/volumes/volume-setup.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'

const POD = {
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'd', uid: 'u' } },
  spec: {
    containers: [],
    volumes: [
      { name: 'data', persistentVolumeClaim: { claimName: 'claim' } },
      { name: 'tmp', emptyDir: {} },
    ],
  },
} as unknown as Pod
const OBJECTS: Record<string, object> = {
  persistentvolumeclaims: {
    metadata: {
      name: 'claim',
      namespace: 'd',
      uid: 'c',
      annotations: { 'pv.kubernetes.io/bind-completed': 'yes' },
    },
    spec: { volumeName: 'disk' },
  },
  persistentvolumes: {
    metadata: { name: 'disk' },
    spec: { claimRef: { uid: 'c' }, csi: { driver: 'csi.test', volumeHandle: 'h' } },
  },
  csidrivers: { metadata: { name: 'csi.test' }, spec: {} },
}

function setUp() {
  const asked: string[] = []
  const wishes: number[] = []
  const clock = new ManualClock()
  const attachment = { status: {} } as VolumeAttachment
  const client = {
    get: async ({ resource }: { resource: string }) => OBJECTS[resource] ?? attachment,
  }
  const context = {
    ...{ client, clock, nodeName: 'n', directories: { pods: '/nowhere' }, host: {} },
    objects: { follow: async () => ({}) },
    tokens: { tokensOf: async () => ({ tokens: new Map(), renewAtMs: Number.POSITIVE_INFINITY }) },
    csi: { askLimit: async (driver: string) => void asked.push(driver) },
  } as unknown as PodContext
  const setup = new VolumeSetup({
    ...{ context, pod: POD as Pod & KubeObject, onEvent() {} },
    wakeIn: ms => wishes.push(ms),
  })
  const run = async () => {
    const error = await setup.setUp(POD, {} as never, new AbortController().signal).catch(error => error)
    return `${error.name}: ${error.message}`
  }
  return { run, asked, wishes, clock, attachment }
}

test('a pod waits two minutes for room for its volume, and is then told to go', async () => {
  const { run, asked, wishes, clock, attachment } = setUp()
  attachment.status = { attached: false, attachError: { errorCode: 8, message: 'no slot' } }
  assert.equal(await run(), 'VolumeError: no slot')
  assert.deepEqual(asked, ['csi.test'], 'CSINode is to say the new limit')
  clock.advance(100_000)
  assert.equal(await run(), 'VolumeError: no slot')
  assert.deepEqual(wishes, [123_000, 23_000])
  clock.advance(23_000)
  assert.equal(
    await run(),
    'AttachLimitReached: Node has reached its volume attachment limit, rejecting pod. ' +
      'unmounted volumes=[data tmp], unattached volumes=[data], failed to process volumes=[]: no slot',
  )
})

test('other reasons are waited for as long as it takes', async () => {
  const { run, asked, clock, attachment } = setUp()
  attachment.status = { attached: false, attachError: { errorCode: 13, message: 'broken' } }
  assert.equal(await run(), 'VolumeError: broken')
  clock.advance(1_000_000)
  assert.equal(await run(), 'VolumeError: broken')
  assert.deepEqual(asked, [])
})
