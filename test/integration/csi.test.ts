/** A CSI driver that the test runs, on a real node: registered, attached, staged, published, and all of it undone. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { must } from '../../src/base/assert.ts'
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

const RAW_SCRIPT = `
[ -b /dev/raw-volume ]
echo "through and through" | dd of=/dev/raw-volume conv=fsync 2>/dev/null
dd if=/dev/local-volume bs=4096 count=1 2>/dev/null | head -n 1
exec sleep 600
`
const ON_NODE_1 = {
  required: {
    nodeSelectorTerms: [
      { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node-1'] }] },
    ],
  },
}
const mounts = () => readFileSync('/proc/self/mounts', 'utf8')

interface ClaimedSpec {
  readonly accessModes: readonly string[]
  readonly volumeMode?: string
  readonly [source: string]: unknown
}

/** A volume and a claim that name each other, both called `name`. */
function claimed(name: string, spec: ClaimedSpec, storage: string) {
  const { accessModes, volumeMode = 'Filesystem' } = spec
  const shared = { accessModes, volumeMode, storageClassName: 'csi' }
  return [
    {
      ...{ apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name } },
      spec: { ...spec, ...shared, capacity: { storage } },
    },
    {
      ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name } },
      spec: { ...shared, volumeName: name, resources: { requests: { storage } } },
    },
  ]
}

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
    // What a driver's external-attacher does when the node is full, and later.
    const say = async (status: object) => {
      const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status })]
      await cluster.kubectl.ok(['patch', 'volumeattachment', attachment, ...patch])
    }
    driver.volumesMax = 4
    const attachError = { time: new Date().toISOString(), errorCode: 8, message: 'no slot is free' }
    await say({ attached: false, attachError })
    await until('CSINode says how many it can attach by now', async () => {
      return (await read('.spec.drivers[0].allocatable.count', 'csinode', 'node-1')) === '4'
    })
    await until('the pod waits', async () => {
      const told = ['--field-selector=involvedObject.name=user,reason=FailedMount']
      return /no slot is free/.test(await read('.items[*].message', 'events', ...told))
    })
    const status = { attachError: null, attached: true, attachmentMetadata: { device: 'd1' } }
    await say(status)
    await until('the node says what is attached to it', async () => {
      const said = await read('.status.volumesAttached[*].name', 'node', 'node-1')
      return said === 'kubernetes.io/csi/csi.test^disk-1'
    })
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

  test('is given Secrets and tokens, told of the group, and has a volume that grew made use of', async () => {
    await cluster.kubectl.ok(['delete', 'csidriver', NAME])
    const tokenRequests = [{ audience: 'vault' }]
    await apply(
      {
        apiVersion: 'storage.k8s.io/v1',
        kind: 'CSIDriver',
        metadata: { name: NAME },
        spec: { attachRequired: false, tokenRequests, requiresRepublish: true },
      },
      ...['stage', 'publish', 'expand'].map(name => ({
        ...{ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData: { key: `of ${name}` } },
      })),
    )
    const secret = (name: string) => ({ name, namespace: 'default' })
    const csi = {
      ...{ driver: NAME, volumeHandle: 'disk-2', fsType: 'ext4' },
      nodeStageSecretRef: secret('stage'),
      nodePublishSecretRef: secret('publish'),
      nodeExpandSecretRef: secret('expand'),
    }
    await apply(...claimed('grown', { csi, accessModes: ['ReadWriteOncePod'] }, '1Gi'))
    await until('it is bound', async () => (await read('.status.phase', 'pvc', 'grown')) === 'Bound')
    // What a driver's external-resizer does while no pod has the volume.
    await cluster.kubectl.ok(['patch', 'pv', 'grown', '-p', '{"spec":{"capacity":{"storage":"2Gi"}}}'])
    const pending = {
      conditions: [{ type: 'FileSystemResizePending', status: 'True' }],
      allocatedResources: { storage: '2Gi' },
      allocatedResourceStatuses: { storage: 'NodeResizePending' },
    }
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status: pending })]
    await cluster.kubectl.ok(['patch', 'pvc', 'grown', ...patch])
    const before = driver.calls.length
    const pod = podWith(
      'grown',
      { persistentVolumeClaim: { claimName: 'grown' } },
      'echo 1 > /v/f; exec sleep 600',
    )
    await apply({ ...pod, spec: { ...pod.spec, securityContext: { fsGroup: 4321 } } })
    await until('it runs', async () => (await read('.status.phase', 'pod', 'grown')) === 'Running')
    const calls = new Map(driver.calls.slice(before).map(({ method, request }) => [method, request]))
    assert.deepEqual(calls.get('NodeStageVolume')?.['secrets'], { key: 'of stage' })
    assert.deepEqual(calls.get('NodeExpandVolume')?.['secrets'], { key: 'of expand' })
    const range = calls.get('NodeExpandVolume')?.['capacityRange'] as object
    assert.deepEqual({ ...range }, { requiredBytes: 2 * 1024 ** 3, limitBytes: 0 })
    const published = calls.get('NodePublishVolume')
    assert.deepEqual(published?.['secrets'], { key: 'of publish' })
    const context = published?.['volumeContext'] as Record<string, string>
    const tokens = JSON.parse(context['csi.storage.k8s.io/serviceAccount.tokens'] ?? '')
    assert.match(tokens.vault.token, /^ey.*\./)
    assert.ok(Date.parse(tokens.vault.expirationTimestamp) > Date.now())
    const capability = published?.['volumeCapability'] as {
      mount: { fsType: string; volumeMountGroup: string }
      accessMode: { mode: string }
    }
    assert.equal(capability.mount.fsType, 'ext4')
    assert.equal(capability.mount.volumeMountGroup, '4321')
    assert.equal(capability.accessMode.mode, 'SINGLE_NODE_SINGLE_WRITER')
    const { phase, accessModes, ...rest } = JSON.parse(await read('.status', 'pvc', 'grown'))
    assert.deepEqual(rest, { capacity: { storage: '2Gi' }, allocatedResources: { storage: '2Gi' } })
    assert.match(
      await read('.items[*].message', 'events', '--field-selector=reason=FileSystemResizeSuccessful'),
      /MountVolume\.NodeExpandVolume succeeded for volume "grown" node-1/,
    )
    const summary = JSON.parse(
      await cluster.kubectl.ok(['get', '--raw', '/api/v1/nodes/node-1/proxy/stats/summary']),
    )
    type Stats = { podRef: { name: string }; volume: { name: string; time: string }[] }
    const ofPod = (summary.pods as Stats[]).find(({ podRef }) => podRef.name === 'grown')
    const { time, ...stats } = must(
      ofPod?.volume.find(({ name }) => name === 'v'),
      'its volume',
    )
    assert.deepEqual(stats, {
      ...{ name: 'v', pvcRef: { name: 'grown', namespace: 'default' } },
      ...{ availableBytes: 900, capacityBytes: 1000, usedBytes: 100 },
      ...{ inodesFree: 9, inodes: 10, inodesUsed: 1 },
      volumeHealthStats: { abnormal: true },
    })
    await cluster.kubectl.ok(['delete', 'pod/grown', 'pvc/grown', 'pv/grown'])
  })

  test('gives pods raw block devices, and takes them away after a daemon that was killed', async () => {
    mkdirSync(directory, { recursive: true })
    const image = join(directory, 'disk-3.img')
    writeFileSync(image, '')
    truncateSync(image, 4 * 1024 * 1024)
    const csi = { driver: NAME, volumeHandle: 'disk-3' }
    const block = { accessModes: ['ReadWriteOnce'], volumeMode: 'Block' }
    const device = execFileSync('losetup', ['--find', '--show', image]).toString().trim()
    try {
      await apply(
        ...claimed('raw', { csi, ...block }, '4Mi'),
        ...claimed('local', { local: { path: device }, ...block, nodeAffinity: ON_NODE_1 }, '4Mi'),
      )
      const pod = {
        ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'raw' } },
        spec: {
          ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0 },
          volumes: ['raw', 'local'].map(name => ({ name, persistentVolumeClaim: { claimName: name } })),
          containers: [
            {
              ...{ name: 'c', image: 'localhost/shell' },
              command: ['/bin/sh', '-ec', RAW_SCRIPT],
              volumeDevices: [
                { name: 'raw', devicePath: '/dev/raw-volume' },
                { name: 'local', devicePath: '/dev/local-volume' },
              ],
            },
          ],
        },
      }
      await apply(pod)
      await until('the pod has read through one device what it wrote through the other', async () =>
        (await cluster.kubectl.try(['logs', 'raw'])).stdout.includes('through and through'),
      )
      assert.equal(readFileSync(image).subarray(0, 7).toString(), 'through')
      cluster.signalDaemon('SIGKILL')
      await cluster.ready()
      await cluster.kubectl.ok(['delete', 'pod/raw', 'pvc/raw', 'pvc/local', 'pv/raw', 'pv/local'])
      await until('nothing is mounted any more', () => !mounts().includes('volumeDevices'))
    } finally {
      execFileSync('losetup', ['--detach', device])
    }
  })

  test('a local volume on a bare block device is formatted once, mounted for each pod, and never formatted again', async () => {
    const image = join(directory, 'bare.img')
    writeFileSync(image, '')
    truncateSync(image, 16 * 1024 * 1024)
    const device = execFileSync('losetup', ['--find', '--show', image]).toString().trim()
    const local = (fsType: string) => ({
      ...{ accessModes: ['ReadWriteMany'], nodeAffinity: ON_NODE_1, mountOptions: ['noatime'] },
      local: { path: device, fsType },
    })
    const { mountOptions: _options, ...other } = local('xfs')
    const use = (name: string, claimName: string, script: string) => {
      const pod = podWith(name, { persistentVolumeClaim: { claimName } }, script)
      return apply({ ...pod, spec: { ...pod.spec, securityContext: { fsGroup: 1234 } } })
    }
    try {
      await apply(...claimed('bare', local('ext4'), '16Mi'), ...claimed('other', other, '16Mi'))
      const write =
        'cat /v/*.txt || true; echo $HOSTNAME >/v/$HOSTNAME.txt; stat -c %g /v; grep " /v " /proc/mounts'
      await use('bare-1', 'bare', write)
      await use('bare-2', 'bare', `${write}; exec sleep 600`)
      await ends('bare-1')
      const log = await cluster.kubectl.ok(['logs', 'bare-1'])
      assert.match(log, /^1234$/m)
      assert.match(log, /^\/dev\/loop\d+ \/v ext4 rw,(\S+,)?noatime/m)
      await until('the other one writes too', async () =>
        (await cluster.kubectl.try(['logs', 'bare-2'])).stdout.includes(' /v ext4 '),
      )
      await use('never', 'other', 'exit 0')
      await until('another type is refused in words', async () =>
        /failed to mount the volume as "xfs", it already contains ext4\./.test(
          await read('.items[*].message', 'events', '--field-selector=involvedObject.name=never'),
        ),
      )
      cluster.signalDaemon('SIGKILL')
      await cluster.ready()
      await cluster.kubectl.ok(['delete', 'pod/bare-1', 'pod/bare-2', 'pod/never'])
      await until('nothing is mounted any more', () => !mounts().includes(`${device} `))
      await use('bare-3', 'bare', 'cat /v/bare-1.txt /v/bare-2.txt')
      await ends('bare-3')
      assert.equal(await cluster.kubectl.ok(['logs', 'bare-3']), 'bare-1\nbare-2\n')
      await cluster.kubectl.ok(['delete', 'pod/bare-3', 'pvc/bare', 'pvc/other', 'pv/bare', 'pv/other'])
      await until('it is let go', () => !mounts().includes(`${device} `))
    } finally {
      execFileSync('losetup', ['--detach', device])
    }
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
    const spec = {
      attachRequired: false,
      volumeLifecycleModes: ['Persistent', 'Ephemeral'],
      nodeAllocatableUpdatePeriodSeconds: 10,
    }
    await cluster.kubectl.ok(['delete', 'csidriver', NAME])
    await apply({ apiVersion: 'storage.k8s.io/v1', kind: 'CSIDriver', metadata: { name: NAME }, spec })
    const before = methods().length
    await apply(podWith('inline', inline, 'echo 1 > /v/f'))
    await ends('inline')
    await cluster.kubectl.ok(['delete', 'pod', 'inline'])
    await until('it is unmounted', () => methods().length === before + 2)
    assert.deepEqual(methods().slice(before), ['NodePublishVolume', 'NodeUnpublishVolume'])
  })

  test('is asked again how many volumes it can attach, as often as it wants to be', async () => {
    const count = () => read('.spec.drivers[0].allocatable.count', 'csinode', 'node-1')
    assert.equal(await count(), '4')
    driver.volumesMax = 5
    await until('CSINode says so', async () => (await count()) === '5')
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
