/** A node whose disk is filled by its pods: it says so, ends them, and nothing of the cluster is lost. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { installCluster, type TestCluster, temporaryDirectory } from '../support/cluster.ts'
import { until } from '../support/until.ts'

const DISK_BYTES = 512 * 1024 ** 2
const isRoot = process.platform === 'linux' && process.geteuid?.() === 0

function whyNoDisk(): string | false {
  if (!isRoot) return 'mounting needs root on Linux'
  try {
    execFileSync('losetup', ['--find'], { stdio: 'ignore' })
    return false
  } catch {
    return 'there are no loop devices'
  }
}

const podOf = (name: string, script: string, volume: object) => ({
  ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
  spec: {
    ...{ restartPolicy: 'Never', terminationGracePeriodSeconds: 0, volumes: [{ name: 'v', ...volume }] },
    containers: [
      {
        ...{ name: 'c', image: 'localhost/shell', command: ['/bin/sh', '-c', script] },
        volumeMounts: [{ name: 'v', mountPath: '/v' }],
      },
    ],
  },
})

describe('a disk that pods fill', { skip: whyNoDisk() }, () => {
  const parent = temporaryDirectory()
  const disk = join(parent, 'disk')
  const usual = process.env['TMPDIR']
  let cluster: TestCluster
  before(async () => {
    const image = join(parent, 'disk.img')
    writeFileSync(image, '')
    truncateSync(image, DISK_BYTES)
    mkdirSync(disk)
    execFileSync('mkfs.ext4', ['-q', '-m', '0', image])
    execFileSync('mount', ['-o', 'loop', image, disk])
    process.env['TMPDIR'] = disk
    cluster = await installCluster()
  })
  after(async () => {
    await cluster?.remove()
    if (usual === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = usual
    execFileSync('umount', [disk])
    rmSync(parent, { recursive: true, force: true })
  })

  const apply = (...items: object[]) =>
    cluster.kubectl.ok(['apply', '-f', '-'], {
      input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
    })
  const read = async (path: string, ...what: string[]) =>
    (await cluster.kubectl.try(['get', ...what, '-o', `jsonpath={${path}}`])).stdout

  test('the node says that it is short of disk, ends whoever fills it, and goes on with everything', async () => {
    await apply(
      {
        ...{ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'kept' } },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
      },
      podOf('keeper', 'echo precious >/v/f; exec sleep 600', {
        persistentVolumeClaim: { claimName: 'kept' },
      }),
    )
    await until('the data is there', async () =>
      (await cluster.kubectl.try(['exec', 'keeper', '--', 'cat', '/v/f'])).stdout.startsWith('precious'),
    )
    // Data and log at the same time, until there is no room for either.
    const script = 'yes filled >/v/f & while :; do echo filled; sleep 0.01; done'
    await apply(podOf('filler', script, { emptyDir: {} }))
    await until(
      'the filler is ended',
      async () => (await read('.status.reason', 'pod', 'filler')) === 'Evicted',
    )
    const message = await read('.status.message', 'pod', 'filler')
    assert.match(message, /^The node was low on resource: ephemeral-storage\./)
    const pressure = '.status.conditions[?(@.type=="DiskPressure")].status'
    assert.equal(await read(pressure, 'node', 'node-1'), 'True')
    await cluster.kubectl.ok(['create', 'configmap', 'afterwards', '--from-literal=k=v'])
    cluster.signalDaemon('SIGKILL')
    await cluster.ready()
    assert.equal(await read('.data.k', 'configmap', 'afterwards'), 'v')
    const kept = await until('the data is read', async () => {
      const ran = await cluster.kubectl.try(['exec', 'keeper', '--', 'cat', '/v/f'])
      return ran.code === 0 && ran.stdout
    })
    assert.equal(kept, 'precious\n')
  })

  test('an add-on that is enabled while there is no room fails in words, and is ready once there is some', async () => {
    const filler = join(disk, 'filler')
    const enable = ['enable', 'ingress', '--set', 'http-port=18085', '--set', 'https-port=18448']
    assert.equal(spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=1M']).status, 1)
    const full = await cluster.mk8s([...enable, '--timeout', '5'])
    rmSync(filler)
    // Either a part of it has no room, or the datastore has none and stops rather than guess.
    assert.notEqual(full.code, 0)
    assert.match(full.stderr, /no space left|the API server|the daemon|datastore/i)
    assert.doesNotMatch(full.stderr, /bug/)
    await cluster.ready()
    const { code, stdout, stderr } = await cluster.mk8s(enable)
    assert.equal(code, 0, `${stdout}${stderr}`)
  })
})
