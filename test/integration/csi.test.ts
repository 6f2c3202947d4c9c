/** A CSI driver that the test runs, on a real node: registered, attached, staged, published, and all of it undone. */
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import { startCsiDriver, type TestDriver } from '../support/csi-driver.ts'
import { until } from '../support/until.ts'

const NAME = 'csi.test'
const isRoot = process.platform === 'linux' && process.geteuid?.() === 0

const podWith = (name: string, volume: object, script: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0 },
    volumes: [{ name: 'v', ...volume }],
    containers: [
      {
        ...{ name: 'c', image: 'localhost/shell', command: ['/bin/sh', '-ec', script] },
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
      },
    ],
  },
})

describe('a CSI driver', { skip: isRoot ? false : 'mounting needs root on Linux' }, () => {
  let cluster: TestCluster
  let driver: TestDriver
  let directory = ''
  before(async () => {
    cluster = await installCluster()
    directory = join(cluster.dataDir, 'plugins', NAME)
    driver = await startCsiDriver({
      ...{ name: NAME, directory, registry: join(cluster.dataDir, 'plugins_registry') },
    })
  })
  after(async () => {
    driver.stop()
    const mounts = readFileSync('/proc/self/mounts', 'utf8')
    assert.equal(mounts.includes(directory), false, 'nothing stays mounted')
    await cluster.remove()
  })

  const apply = (...items: object[]) =>
    cluster.kubectl.ok(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
  const read = (path: string, ...what: string[]) =>
    cluster.kubectl.ok(['get', ...what, '-o', `jsonpath={${path}}`])
  const ends = (pod: string) =>
    until(`${pod} ends`, async () => (await read('.status.phase', 'pod', pod)) === 'Succeeded')
  const methods = () => driver.calls.map(({ method }) => method).filter(method => !method.includes('Get'))

  test('is registered with its name for the node, its limit and its topology', async () => {
    await until('the kubelet has said so', () => driver.registered.length > 0)
    assert.deepEqual(driver.registered, [{ pluginRegistered: true, error: '' }])
    const [entry] = JSON.parse(await read('.spec.drivers', 'csinode', 'node-1'))
    const topologyKeys = ['topology.csi.test/rack']
    assert.deepEqual(entry, { name: NAME, nodeID: 'own-id', topologyKeys, allocatable: { count: 3 } })
    assert.equal(await read('.metadata.labels.topology\\.csi\\.test/rack', 'node', 'node-1'), 'r1')
  })

  test('mounts a volume once it is attached, and lets it go with the pod', async () => {
    const capacity = { storage: '1Gi' }
    const csi = { driver: NAME, volumeHandle: 'disk-1', volumeAttributes: { size: 'any' } }
    const spec = { capacity, accessModes: ['ReadWriteOnce'], storageClassName: 'csi', csi }
    const wanted = {
      storageClassName: 'csi',
      accessModes: ['ReadWriteOnce'],
      resources: { requests: capacity },
    }
    await apply(
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'CSIDriver',
        metadata: { name: NAME },
        spec: { podInfoOnMount: true },
      },
      { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'disk' }, spec },
      { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'disk' }, spec: wanted },
      podWith(
        'user',
        { persistentVolumeClaim: { claimName: 'disk' } },
        'echo written > /v/f; exec sleep 600',
      ),
    )
    const attachment = await until('an attachment is asked for', async () => {
      const name = await read('.items[*].metadata.name', 'volumeattachments')
      return name !== '' && name
    })
    assert.equal(await read('.spec.nodeName', 'volumeattachment', attachment), 'node-1')
    assert.deepEqual(methods(), [])
    // What a driver's external-attacher does.
    const status = { attached: true, attachmentMetadata: { device: 'd1' } }
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]
    await cluster.kubectl.ok(['patch', 'volumeattachment', attachment, ...patch])
    const file = join(directory, 'disk-1/f')
    await until('the pod has written', () => existsSync(file) && readFileSync(file, 'utf8') === 'written\n')
    assert.deepEqual(methods(), ['NodeStageVolume', 'NodePublishVolume'])
    assert.equal(
      await read('.status.volumesInUse', 'node', 'node-1'),
      '["kubernetes.io/csi/csi.test^disk-1"]',
    )
    const published = driver.calls.find(({ method }) => method === 'NodePublishVolume')?.request
    assert.deepEqual(published?.['publishContext'], { device: 'd1' })
    const context = published?.['volumeContext'] as Record<string, string>
    assert.equal(context['size'], 'any')
    assert.equal(context['csi.storage.k8s.io/pod.name'], 'user')
    await cluster.kubectl.ok(['delete', 'pod', 'user'])
    await until('it is unmounted', () => methods().length === 4)
    assert.deepEqual(methods().slice(2), ['NodeUnpublishVolume', 'NodeUnstageVolume'])
    await until('it is detached', async () => (await read('.items', 'volumeattachments')) === '[]')
    assert.equal(readFileSync(file, 'utf8'), 'written\n')
  })

  test('serves inline volumes only when it says that it can', async () => {
    const inline = { csi: { driver: NAME, volumeAttributes: { kind: 'scratch' } } }
    await apply(podWith('inline', inline, 'echo 1 > /v/f'))
    await until('the pod says why it waits', async () =>
      /volume mode "Ephemeral" not supported by driver csi\.test/.test(
        await read('.items[*].message', 'events', '--field-selector=involvedObject.name=inline'),
      ),
    )
    await cluster.kubectl.ok(['delete', 'pod', 'inline'])
    const spec = { attachRequired: false, volumeLifecycleModes: ['Persistent', 'Ephemeral'] }
    await cluster.kubectl.ok(['delete', 'csidriver', NAME])
    await apply({ apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: { name: NAME }, spec })
    const before = methods().length
    await apply(podWith('inline', inline, 'echo 1 > /v/f'))
    await ends('inline')
    await cluster.kubectl.ok(['delete', 'pod', 'inline'])
    await until('it is unmounted', () => methods().length === before + 2)
    assert.deepEqual(methods().slice(before), ['NodePublishVolume', 'NodeUnpublishVolume'])
  })

  test('is taken out when its registration goes', async () => {
    driver.stop()
    await until('CSINode names no driver', async () => {
      const drivers = await read('.spec.drivers', 'csinode', 'node-1')
      return drivers === '' || drivers === '[]'
    })
    assert.equal(existsSync(directory) && readdirSync(directory).includes('disk-1'), true)
  })
})
