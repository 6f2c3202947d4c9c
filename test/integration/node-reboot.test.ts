/** A node with real containers whose machine was restarted, or that lost a part of what a pod stands on. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { PODS } from '../../src/client/resources.ts'
import type { Pod, PodSpec } from '../../src/kube/types.ts'
import { processesIn } from '../../src/runtime/kubelet/runtime/cri/pod-cgroups.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { type OciBench, ociBench, whyNoOci } from '../support/oci.ts'
import { createTestKubelet, type TestKubelet } from '../support/test-kubelet.ts'
import { until } from '../support/until.ts'

const IMAGE = 'docker.io/example/web:1'

describe('a node after its machine was restarted', { skip: whyNoOci() ?? false }, () => {
  let cluster: InProcessCluster
  let node: TestKubelet
  let bench: OciBench

  before(async () => {
    bench = ociBench()
    await bench.import(IMAGE)
    cluster = await startInProcessCluster()
    node = await createTestKubelet(cluster, 'node-r', () => ({ runtime: bench.open() }))
    await node.start()
  })

  after(async () => {
    await node.remove()
    await cluster.stop()
    await bench.remove()
  })

  const create = (name: string, spec: Partial<PodSpec>, script: string) =>
    cluster.client.create<Pod>(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        volumes: [
          { name: 'disk', emptyDir: {} },
          { name: 'memory', emptyDir: { medium: 'Memory' } },
        ],
        ...spec,
        containers: [
          {
            name: 'main',
            image: IMAGE,
            command: ['sh', '-c', script],
            volumeMounts: [
              { name: 'disk', mountPath: '/disk' },
              { name: 'memory', mountPath: '/memory' },
            ],
          },
        ],
      },
    })
  const get = (name: string) => cluster.client.get<Pod>(PODS, { namespace: 'default', name })
  const main = (pod: Pod) => pod.status?.containerStatuses?.[0]
  const ready = (name: string, restarts: number) =>
    until(`${name} ready after ${restarts} restarts`, async () => {
      const pod = await get(name)
      return main(pod)?.ready === true && main(pod)?.restartCount === restarts && pod
    })
  const leases = () =>
    readdirSync(join(bench.directory, 'oci/ipam/mk8s')).filter(name => /^\d+\.\d+\.\d+\.\d+$/.test(name))
  const mounts = (below: string) =>
    readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map(line => line.split(' ')[1] ?? '')
      .filter(point => point.startsWith(`${below}/`))
  const processes = () => processesIn(join('/', bench.nodeId))
  const logOf = (pod: Pod, attempt: number) => {
    const { name, uid } = pod.metadata
    const path = join(node.directory, 'logs', `default_${name}_${uid}`, 'main', `${attempt}.log`)
    return readFileSync(path, 'utf8').replaceAll(/^\S+ std(?:out|err) [FP] /gm, '')
  }
  /** Ends what a restart of the machine ends: processes with their monitors, mounts, and what belongs to this boot. */
  const loseEverything = () => {
    const containers = join(bench.directory, 'oci/containers')
    const monitors = readdirSync(containers).flatMap(id => {
      try {
        return [Number(readFileSync(join(containers, id, 'conmon.pid'), 'utf8').split(' ')[0])]
      } catch {
        return []
      }
    })
    for (const pid of [...monitors, ...processes()]) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended with another one.
      }
    }
    const points = [...mounts(bench.directory), ...mounts(join(node.directory, 'pods'))].reverse()
    for (const point of points) execFileSync('umount', ['-l', point])
    const sandboxes = join(bench.directory, 'oci/sandboxes')
    for (const id of readdirSync(sandboxes)) {
      const path = join(sandboxes, id, 'state.json')
      writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), bootId: 'earlier' }))
    }
    writeFileSync(join(bench.directory, 'oci/boot'), 'earlier')
  }

  const ownMounts = () => mounts(join(bench.directory, 'oci'))
  const deleteAll = async () => {
    await cluster.client.deleteCollection(PODS, { namespace: 'default' })
    await until('no pods', async () => (await cluster.client.list<Pod>(PODS, {})).items.length === 0)
  }

  const SCRIPT = 'cat /disk/mark /memory/mark; echo x >>/disk/mark; echo x >>/memory/mark; exec sleep 600'

  test('pods run again, counted, with addresses, volumes and mounts as new and nothing left over', async () => {
    await create('stays', {}, SCRIPT)
    await create('shares', { shareProcessNamespace: true }, SCRIPT)
    await create('once', { restartPolicy: 'Never' }, SCRIPT)
    const before = await ready('stays', 0)
    await ready('shares', 0)
    await ready('once', 0)
    assert.equal(leases().length, 3)
    const mountCount = mounts(bench.directory).length
    await node.current().stop()
    loseEverything()
    await until('nothing runs', () => processes().length === 0)
    await node.start()
    const stays = await ready('stays', 1)
    const shares = await ready('shares', 1)
    const once = await until('once over', async () => {
      const pod = await get('once')
      return pod.status?.phase === 'Failed' && pod
    })
    assert.equal(main(once)?.restartCount, 0)
    assert.equal(main(stays)?.lastState?.terminated?.containerID, main(before)?.containerID)
    const addresses = [stays, shares].map(({ status }) => status?.podIP ?? '')
    assert.equal(new Set(addresses).size, 2)
    await until('leases are those of what runs', () => leases().sort().join() === addresses.toSorted().join())
    // What was on the disk is there still, what was in memory is not.
    assert.equal(logOf(stays, 1), "x\ncat: can't open '/memory/mark': No such file or directory\n")
    assert.ok(mounts(join(node.directory, 'pods')).some(point => point.endsWith('/memory')))
    await until('no mounts are left over', () => mounts(bench.directory).length <= mountCount)
    await deleteAll()
    assert.deepEqual([leases(), processes(), mounts(join(node.directory, 'pods'))], [[], [], []])
    assert.deepEqual(readdirSync(join(bench.directory, 'oci/sandboxes')), [])
  })

  test('an image is a volume that nobody can write to or run from, whole or from a path on', async () => {
    const volumeMounts = (subPath: string) => [
      { name: 'image', mountPath: '/image' },
      { name: 'image', mountPath: '/part', subPath },
    ]
    const pod = (name: string, subPath: string): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        automountServiceAccountToken: false,
        restartPolicy: 'Never',
        volumes: [{ name: 'image', image: { reference: IMAGE, pullPolicy: 'Never' } }],
        containers: [
          {
            name: 'main',
            image: IMAGE,
            command: ['sh', '-c', 'ls /part/busybox; touch /image/x; /image/bin/busybox true; echo $?'],
            volumeMounts: volumeMounts(subPath),
          },
        ],
      },
    })
    const made = await cluster.client.create<Pod>(PODS, pod('reads', 'bin'))
    await until('reads over', async () => (await get('reads')).status?.phase === 'Succeeded')
    const text = logOf(made, 0)
    assert.match(text, /^\/part\/busybox$/m)
    assert.match(text, /touch: \/image\/x: Read-only file system/)
    assert.match(text, /^126$/m)
    await cluster.client.create<Pod>(PODS, pod('lost', 'no/such'))
    const lost = await until('lost says why', async () => {
      const found = main(await get('lost'))?.state?.waiting
      return found?.reason === 'CreateContainerError' && found
    })
    assert.match(lost.message ?? '', /subPath "no\/such" is not in the image/)
    await deleteAll()
    assert.deepEqual(ownMounts(), [])
  })

  test('a pod whose process namespace is gone gets a new sandbox, and one whose program is killed does not', async () => {
    await create('shares', { shareProcessNamespace: true }, 'exec sleep 600')
    const before = await ready('shares', 0)
    const sandboxes = () => readdirSync(join(bench.directory, 'oci/sandboxes'))
    const [sandbox = ''] = sandboxes()
    const programs = () => processes().filter(pid => commandOf(pid).startsWith('sleep'))
    process.kill(programs()[0] ?? 0, 'SIGKILL')
    const again = await ready('shares', 1)
    assert.equal(again.status?.podIP, before.status?.podIP)
    assert.equal(main(again)?.lastState?.terminated?.exitCode, 137)
    assert.deepEqual(sandboxes(), [sandbox])
    const pause = processes().find(pid => commandOf(pid).startsWith('/pause'))
    process.kill(pause ?? 0, 'SIGKILL')
    await ready('shares', 2)
    // The one before is kept for what its container said last, without an address.
    assert.equal(sandboxes().length, 2)
    assert.equal(leases().length, 1)
    await deleteAll()
    assert.deepEqual([leases(), processes(), sandboxes()], [[], [], []])
  })
})

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
