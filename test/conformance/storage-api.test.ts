/** What sig-storage asks of its kinds in the API: each of them made, read, changed, watched and removed. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Suite, startSuite } from '../support/conformance.ts'
import { until } from '../support/until.ts'

const STORAGE = '/apis/storage.k8s.io/v1'
const CAPACITIES = `${STORAGE}/namespaces/default/csistoragecapacities`
const capacity = { storage: '1Gi' }
const spec = { capacity, accessModes: ['ReadWriteOnce'], storageClassName: 'none' }

interface Kind {
  readonly behaviour: string
  readonly path: string
  readonly object: { readonly kind: string; readonly [field: string]: unknown }
  /** What a merge patch changes, and where that is seen. */
  readonly change?: { readonly patch: object; readonly field: string; readonly value: unknown }
}

const KINDS: readonly Kind[] = [
  {
    behaviour: 'CSIInlineVolumes should run through the lifecycle of a CSIDriver',
    path: `${STORAGE}/csidrivers`,
    object: { kind: 'CSIDriver', spec: { volumeLifecycleModes: ['Ephemeral'] } },
    change: { patch: { spec: { requiresRepublish: true } }, field: 'spec.requiresRepublish', value: true },
  },
  {
    behaviour: 'CSINodes CSI Conformance should run through the lifecycle of a csinode',
    path: `${STORAGE}/csinodes`,
    object: { kind: 'CSINode', spec: { drivers: [{ name: 'd', nodeID: 'n', topologyKeys: [] }] } },
  },
  {
    behaviour: 'CSIStorageCapacity should support CSIStorageCapacities API operations',
    path: CAPACITIES,
    object: { kind: 'CSIStorageCapacity', storageClassName: 'none', capacity: '1Gi' },
    change: { patch: { capacity: '2Gi' }, field: 'capacity', value: '2Gi' },
  },
  {
    behaviour: 'StorageClasses CSI Conformance should run through the lifecycle of a StorageClass',
    path: `${STORAGE}/storageclasses`,
    object: { kind: 'StorageClass', provisioner: 'example.com/none' },
    change: { patch: { allowVolumeExpansion: true }, field: 'allowVolumeExpansion', value: true },
  },
  {
    behaviour: 'VolumeAttachment Conformance should run through the lifecycle of a VolumeAttachment',
    path: `${STORAGE}/volumeattachments`,
    object: {
      kind: 'VolumeAttachment',
      spec: { attacher: 'example.com', nodeName: 'none', source: { persistentVolumeName: 'none' } },
    },
  },
  {
    behaviour: 'VolumeAttributesClass should run through the lifecycle of a VolumeAttributesClass',
    path: `${STORAGE}/volumeattributesclasses`,
    object: { kind: 'VolumeAttributesClass', driverName: 'example.com', parameters: { iops: '1' } },
  },
]

interface Listed {
  readonly items: readonly object[]
}

const fieldOf = (object: unknown, path: string): unknown =>
  path.split('.').reduce((value, name) => (value as Record<string, unknown> | undefined)?.[name], object)

describe('the storage API', () => {
  let suite: Suite
  before(async () => {
    suite = await startSuite()
  })
  after(() => suite?.cluster.remove())

  for (const { behaviour, path, object, change } of KINDS) {
    test(behaviour, async () => {
      const { ok, refused, exists } = suite
      const named = (name: string) => ({
        ...{ apiVersion: 'storage.k8s.io/v1', ...object },
        metadata: { name, labels: { of: 'this-test' } },
      })
      await ok('POST', path, named('one'))
      await ok('POST', path, named('two'))
      assert.equal((await refused('POST', path, named('one'))).status, 409)
      const list = (await ok('GET', `${path}?labelSelector=of=this-test`)) as unknown as { items: object[] }
      assert.equal(list.items.length, 2)
      const { labels } = { labels: { of: 'this-test', patched: 'yes' } }
      const patched = await ok('PATCH', `${path}/one`, { metadata: { labels } }, 'merge')
      assert.equal(fieldOf(patched, 'metadata.labels.patched'), 'yes')
      const updated = structuredClone(await ok('GET', `${path}/one`)) as unknown as {
        metadata: { labels: Record<string, string>; resourceVersion: string }
      }
      updated.metadata.labels['updated'] = 'yes'
      await ok('PUT', `${path}/one`, updated)
      assert.equal((await refused('PUT', `${path}/one`, updated)).status, 409, 'of an old version')
      if (change !== undefined) {
        await ok('PATCH', `${path}/one`, change.patch, 'merge')
        assert.equal(fieldOf(await ok('GET', `${path}/one`), change.field), change.value)
      }
      await ok('DELETE', `${path}/one`)
      await until('it is gone', async () => !(await exists(`${path}/one`)))
      await ok('DELETE', `${path}?labelSelector=of=this-test`)
      await until('all are gone', async () => !(await exists(`${path}/two`)))
    })
  }

  test('CSIInlineVolumes should support CSIVolumeSource in Pod API', async () => {
    const path = '/api/v1/namespaces/default/pods'
    const csi = { driver: 'e2e.example.com', volumeAttributes: { size: 'small' } }
    const pod = (name: string) => ({
      ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, labels: { of: 'this-test' } } },
      spec: {
        containers: [{ name: 'c', image: 'localhost/none', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
        volumes: [{ name: 'v', csi }],
      },
    })
    await suite.ok('POST', path, pod('inline'))
    const found = await suite.ok('GET', `${path}/inline`)
    assert.deepEqual(fieldOf(found, 'spec.volumes.0.csi'), csi)
    const { items } = (await suite.ok('GET', `${path}?labelSelector=of=this-test`)) as unknown as Listed
    assert.deepEqual(
      items.map(item => fieldOf(item, 'spec.volumes.0.csi.driver')),
      ['e2e.example.com'],
    )
    const labels = { metadata: { labels: { patched: 'yes' } } }
    const patched = await suite.ok('PATCH', `${path}/inline`, labels, 'strategic')
    assert.deepEqual(fieldOf(patched, 'spec.volumes.0.csi.volumeAttributes'), csi.volumeAttributes)
    await suite.ok('DELETE', `${path}/inline?gracePeriodSeconds=0`)
    await until('it is gone', async () => !(await suite.exists(`${path}/inline`)))
    const other = { ...pod('bad'), spec: { ...pod('bad').spec, volumes: [{ name: 'v', csi: {} }] } }
    const { text } = await suite.refused('POST', path, other)
    assert.match(text, /spec\.volumes\[0\]\.csi\.driver: Required value/)
  })

  test('VolumeAttachment Conformance should apply changes to a volumeattachment status', async () => {
    const path = `${STORAGE}/volumeattachments`
    const made = {
      ...{ apiVersion: 'storage.k8s.io/v1', kind: 'VolumeAttachment', metadata: { name: 'told' } },
      spec: { attacher: 'example.com', nodeName: 'none', source: { persistentVolumeName: 'none' } },
    }
    await suite.ok('POST', path, { ...made, status: { attached: true } })
    assert.equal(fieldOf(await suite.ok('GET', `${path}/told/status`), 'status.attached'), false)
    await suite.ok('PATCH', `${path}/told/status`, { status: { attached: true } }, 'merge')
    assert.equal(fieldOf(await suite.ok('GET', `${path}/told`), 'status.attached'), true)
    await suite.ok('PATCH', `${path}/told`, { status: { attached: false } }, 'merge')
    assert.equal(fieldOf(await suite.ok('GET', `${path}/told`), 'status.attached'), true)
    await suite.ok('DELETE', `${path}/told`)
  })

  test('PersistentVolumes CSI Conformance should apply changes to a pv/pvc status', async () => {
    const claims = '/api/v1/namespaces/default/persistentvolumeclaims'
    const resources = { requests: capacity }
    const claim = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'told' } }
    const { capacity: _capacity, ...wanted } = spec
    await suite.ok('POST', claims, { ...claim, spec: { ...wanted, resources } })
    const csi = { driver: 'example.com', volumeHandle: 'none' }
    const volume = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'told' } }
    await suite.ok('POST', '/api/v1/persistentvolumes', { ...volume, spec: { ...spec, csi } })
    await until('they are bound', async () => {
      return fieldOf(await suite.ok('GET', `${claims}/told`), 'status.phase') === 'Bound'
    })
    const told = { type: 'StatusPatched', status: 'True', reason: 'ByTest', message: 'seen' }
    await suite.ok('PATCH', `${claims}/told/status`, { status: { conditions: [told] } }, 'merge')
    assert.equal(fieldOf(await suite.ok('GET', `${claims}/told`), 'status.conditions.0.reason'), 'ByTest')
    const path = '/api/v1/persistentvolumes/told'
    await suite.ok('PATCH', `${path}/status`, { status: { reason: 'ByTest', message: 'seen' } }, 'merge')
    assert.equal(fieldOf(await suite.ok('GET', path), 'status.reason'), 'ByTest')
    await suite.ok('DELETE', `${claims}/told`)
    await suite.ok('DELETE', path)
    await until('both are gone', async () => !(await suite.exists(path)))
  })
})
