/** Claims and volumes as people meet them: with the real kubectl, on a fresh cluster of one node. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test, { after, before, describe } from 'node:test'
import { installCluster, type TestCluster } from '../support/cluster.ts'
import type { Kubectl } from '../support/kubectl.ts'
import { until } from '../support/until.ts'

const claim = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'PersistentVolumeClaim',
  metadata: { name },
  spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
})

const podWith = (name: string, script: string, volumes: readonly object[], mount: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: 0,
    containers: [
      {
        name: 'c',
        image: 'localhost/shell',
        command: ['/bin/sh', '-c', script],
        volumeMounts: [{ name: 'data', mountPath: '/data', ...mount }],
      },
    ],
    volumes,
  },
})

const dataOf = (claimName: string) => [{ name: 'data', persistentVolumeClaim: { claimName } }]

describe('persistent volumes', () => {
  let cluster: TestCluster
  let kubectl: Kubectl
  before(async () => {
    cluster = await installCluster()
    kubectl = cluster.kubectl
  })
  after(() => cluster.remove())

  const apply = (...objects: object[]) =>
    kubectl.ok(['apply', '-f', '-'], { input: objects.map(each => JSON.stringify(each)).join('\n---\n') })
  const read = (resource: string, name: string, path: string) =>
    kubectl.ok(['get', resource, name, '-o', `jsonpath={${path}}`])
  const reaches = (resource: string, name: string, path: string, wanted: string) =>
    until(`${resource} ${name} has ${wanted}`, async () => (await read(resource, name, path)) === wanted)
  const ends = (pod: string) => reaches('pod', pod, '.status.phase', 'Succeeded')
  const eventsOf = (name: string) =>
    kubectl.ok([
      ...['get', 'events', '--field-selector', `involvedObject.name=${name}`],
      ...['-o', 'jsonpath={range .items[*]}{.reason}: {.message}{"\\n"}{end}'],
    ])
  const directories = () =>
    existsSync(join(cluster.dataDir, 'volumes')) ? readdirSync(join(cluster.dataDir, 'volumes')) : []

  test('a claim on the default class gets a volume where its first pod runs, and keeps what pods write', async () => {
    const classes = await until('the class is there', async () => {
      const ran = await kubectl.try(['get', 'storageclass', '--no-headers'])
      return ran.stdout.includes('hostpath-storage') && ran.stdout
    })
    assert.match(
      classes,
      /hostpath-storage \(default\)\s+mk8s\.io\/hostpath\s+Delete\s+WaitForFirstConsumer\s+true/,
    )
    await apply(claim('data'))
    await until('the claim says that it waits', async () =>
      /WaitForFirstConsumer: waiting for first consumer to be created before binding/.test(
        await eventsOf('data'),
      ),
    )
    assert.equal(await read('pvc', 'data', '.status.phase'), 'Pending')
    await apply(podWith('writer', 'echo kept > /data/file; id -u > /data/owner', dataOf('data')))
    await ends('writer')
    assert.equal(await read('pvc', 'data', '.status.phase'), 'Bound')
    assert.equal(await read('pvc', 'data', '.status.capacity.storage'), '1Gi')
    const volume = await read('pvc', 'data', '.spec.volumeName')
    assert.equal(await read('pv', volume, '.status.phase'), 'Bound')
    const path = await read('pv', volume, '.spec.hostPath.path')
    assert.equal(readFileSync(join(path, 'file'), 'utf8'), 'kept\n')
    assert.equal(statSync(path).mode & 0o777, 0o777)
    const told = await eventsOf('data')
    for (const reason of ['ExternalProvisioning', 'Provisioning', 'ProvisioningSucceeded']) {
      assert.match(told, new RegExp(`^${reason}: `, 'm'))
    }
    await kubectl.ok(['delete', 'pod', 'writer'])
    await apply(podWith('reader', 'grep -q kept /data/file && sleep 600', dataOf('data')))
    await reaches('pod', 'reader', '.status.phase', 'Running')
  })

  test('the data is there after the daemon was killed, and for the pod after that', async () => {
    cluster.signalDaemon('SIGKILL')
    await until('the daemon is back', async () => {
      const ran = await kubectl.try(['exec', 'reader', '--', 'cat', '/data/file'])
      return ran.stdout === 'kept\n'
    })
    await kubectl.ok(['delete', 'pod', 'reader'])
    await apply(podWith('next', 'grep -q kept /data/file', dataOf('data')))
    await ends('next')
  })

  test('a claim grows, and a claim in use stays until its pods are gone; then its directory is gone, too', async () => {
    const grown = { spec: { resources: { requests: { storage: '2Gi' } } } }
    await kubectl.ok(['patch', 'pvc', 'data', '-p', JSON.stringify(grown)])
    await reaches('pvc', 'data', '.status.capacity.storage', '2Gi')
    const volume = await read('pvc', 'data', '.spec.volumeName')
    assert.equal(await read('pv', volume, '.spec.capacity.storage'), '2Gi')
    assert.equal(directories().length, 1)
    await kubectl.ok(['delete', 'pvc', 'data', '--wait=false'])
    assert.match(await kubectl.ok(['get', 'pvc', 'data', '--no-headers']), /Terminating/)
    await kubectl.ok(['delete', 'pod', 'next'])
    await until('the claim is gone', async () => (await kubectl.try(['get', 'pvc', 'data'])).code !== 0)
    await until('the volume is gone', async () => (await kubectl.try(['get', 'pv', volume])).code !== 0)
    assert.deepEqual(directories(), [])
  })

  test('a pod that names a claim which is not there waits and says why', async () => {
    await apply(podWith('early', 'true', dataOf('later')))
    const message = '.status.conditions[?(@.type=="PodScheduled")].message'
    const why = '0/1 nodes are available: persistentvolumeclaim "later" not found. '
    await until('the pod says why it waits', async () =>
      (await read('pod', 'early', message)).startsWith(why),
    )
    await apply(claim('later'))
    await ends('early')
  })

  test('PersistentVolumes CSI Conformance should run through the lifecycle of a PV and a PVC', async () => {
    const path = join(cluster.dataDir, '..', 'by-hand')
    mkdirSync(path)
    const volume = {
      apiVersion: 'v1',
      kind: 'PersistentVolume',
      metadata: { name: 'by-hand', labels: { made: 'by-hand' } },
      spec: {
        ...{ capacity: { storage: '3Gi' }, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] },
        ...{ storageClassName: '', hostPath: { path }, persistentVolumeReclaimPolicy: 'Retain' },
      },
    }
    await apply(volume)
    await reaches('pv', 'by-hand', '.status.phase', 'Available')
    const selector = { matchLabels: { made: 'by-hand' } }
    await apply(claim('wants-more', { storageClassName: '', resources: { requests: { storage: '4Gi' } } }))
    await apply(claim('chosen', { storageClassName: '', selector }))
    await reaches('pvc', 'chosen', '.status.phase', 'Bound')
    assert.equal(await read('pvc', 'chosen', '.status.capacity.storage'), '3Gi')
    assert.match(
      await eventsOf('wants-more'),
      /FailedBinding: no persistent volumes available for this claim/,
    )
    await apply(podWith('by-hand', 'echo here > /data/f', dataOf('chosen')))
    await ends('by-hand')
    assert.equal(readFileSync(join(path, 'f'), 'utf8'), 'here\n')
    await kubectl.ok(['delete', 'pod/by-hand', 'pvc/chosen', 'pvc/wants-more'])
    await reaches('pv', 'by-hand', '.status.phase', 'Released')
    const free = [{ op: 'remove', path: '/spec/claimRef' }]
    await kubectl.ok(['patch', 'pv', 'by-hand', '--type=json', '-p', JSON.stringify(free)])
    await reaches('pv', 'by-hand', '.status.phase', 'Available')
    await kubectl.ok(['delete', 'pv', 'by-hand'])
    assert.ok(existsSync(join(path, 'f')))
  })

  test('a generic ephemeral volume comes and goes with its pod', async () => {
    const template = { spec: claim('x').spec }
    const volumes = [{ name: 'data', ephemeral: { volumeClaimTemplate: template } }]
    await apply(podWith('scratch', 'echo 1 > /data/f && sleep 600', volumes))
    await reaches('pod', 'scratch', '.status.phase', 'Running')
    const owner = '.metadata.ownerReferences[0].name'
    assert.equal(await read('pvc', 'scratch-data', owner), 'scratch')
    await kubectl.ok(['delete', 'pod', 'scratch'])
    await until(
      'its claim is gone',
      async () => (await kubectl.try(['get', 'pvc', 'scratch-data'])).code !== 0,
    )
  })
})
