import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KubeClient } from '../../../../../src/client/kube-client.ts'
import type { KubeRequest, Transport } from '../../../../../src/client/transport.ts'
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../../../../src/kube/types.ts'
import type { CsiVolume } from '../../../../../src/runtime/kubelet/csi/csi-volume.ts'
import type { ClaimedPlaces } from '../../../../../src/runtime/kubelet/volumes/claim-volumes.ts'
import { UPKEEP_MS, VolumeUpkeep } from '../../../../../src/runtime/kubelet/volumes/volume-upkeep.ts'
import { ManualClock } from '../../../../support/manual-clock.ts'
import { until } from '../../../../support/until.ts'

const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'ns', uid: 'u' } }
const csi = { driver: 'd', handle: 'h', name: 'v', isRepublished: true } as CsiVolume
const places: ClaimedPlaces = new Map([
  [
    'data',
    {
      ...{ volumeName: 'v', path: '', sort: 'csi' as const, type: '', readOnly: false, takesGroup: false },
      ...{ claimName: 'c', csi },
    },
  ],
])

/** A server with one volume and one claim on it. */
class Objects implements Transport {
  volume: PersistentVolume = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'v' } },
    spec: { capacity: { storage: '1Gi' } },
  }
  claim: PersistentVolumeClaim = {
    ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'c', namespace: 'ns' } },
    spec: { volumeName: 'v' },
    status: { capacity: { storage: '1Gi' }, allocatedResources: { storage: '2Gi' } },
  }
  readonly statuses: (string | undefined)[] = []

  async request({ method, path, body }: KubeRequest) {
    if (method === 'PUT') {
      assert.equal(path, '/api/v1/namespaces/ns/persistentvolumeclaims/c/status')
      this.claim = JSON.parse(Buffer.from(body ?? []).toString('utf8'))
      this.statuses.push(this.claim.status?.allocatedResourceStatuses?.['storage'])
    }
    const object = path.includes('persistentvolumeclaims') ? this.claim : this.volume
    return { status: 200, headers: {}, body: Buffer.from(JSON.stringify(object)) }
  }
}

function upkeep(objects: Objects, expand: (bytes: number) => void) {
  const clock = new ManualClock()
  const done: string[] = []
  const kept = new VolumeUpkeep({
    ...{ client: new KubeClient(objects), clock, nodeName: 'n', directory: '/pods/u' },
    csi: {
      expands: () => true,
      expand: async (_volume, _directory, _name, bytes) => {
        expand(bytes)
        return true
      },
      republish: async () => void done.push('republished'),
    },
    onEvent: (_type, reason) => done.push(reason),
  })
  return { kept, clock, done }
}

test('a volume that grew while the pod has it is made use of within a minute, and the driver is told again', async () => {
  const objects = new Objects()
  const sizes: number[] = []
  const { kept, clock, done } = upkeep(objects, bytes => sizes.push(bytes))
  assert.equal(await kept.after(pod, places), UPKEEP_MS)
  objects.volume = { ...objects.volume, spec: { capacity: { storage: '2Gi' } } }
  clock.advance(UPKEEP_MS - 1)
  assert.equal(await kept.after(pod, places), 1)
  assert.deepEqual(done, [])
  clock.advance(1)
  await kept.after(pod, places)
  await until('both is done', () => done.length === 2)
  assert.deepEqual(done, ['FileSystemResizeSuccessful', 'republished'])
  assert.deepEqual(sizes, [2 * 1024 ** 3])
  assert.deepEqual(objects.statuses, ['NodeResizeInProgress', undefined])
  assert.deepEqual(objects.claim.status?.capacity, { storage: '2Gi' })
})

test('a growth that fails keeps a pod from starting, and says why on the claim', async () => {
  const objects = new Objects()
  objects.volume = { ...objects.volume, spec: { capacity: { storage: '2Gi' } } }
  const { kept } = upkeep(objects, () => {
    throw new Error('the disk is on fire')
  })
  await assert.rejects(
    kept.after(pod, places),
    /NodeExpandVolume failed for volume "v" : the disk is on fire/,
  )
  const [condition] = objects.claim.status?.conditions ?? []
  assert.equal(condition?.type, 'NodeResizeError')
  assert.equal(condition?.message, 'the disk is on fire')
  assert.deepEqual(objects.claim.status?.capacity, { storage: '1Gi' })
})
