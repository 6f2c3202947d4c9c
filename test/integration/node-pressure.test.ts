/** A kubelet whose pods lie on a small disk of their own: pressure, eviction, refusal, and the end of it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import { createLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { EVENTS, NODES, PODS } from '../../src/client/resources.ts'
import { mirrorOf } from '../../src/kube/mirror-address.ts'
import type { Event, Node, Pod, PodSpec } from '../../src/kube/types.ts'
import { createKubelet, type Kubelet, readHostFacts } from '../../src/runtime/kubelet/kubelet.ts'
import { createProcessRuntime } from '../../src/runtime/kubelet/runtime/process/process-runtime.ts'
import { whyNoNamespace } from '../support/containerd.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { createTestPki } from '../support/kubelet-pki.ts'
import { until } from '../support/until.ts'

const NODE = 'node-a'
const PORT = 20_000 + ((process.pid + 5_000) % 10_000)

describe('a node with little disk', { skip: whyNoNamespace() ?? false }, () => {
  let cluster: InProcessCluster
  let directory = ''
  let kubelet: Kubelet

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'mk8s-pressure-'))
    const pods = join(directory, 'pods')
    mkdirSync(pods)
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m,nr_inodes=10k', 'tmpfs', pods])
    cluster = await startInProcessCluster()
    const log = createLog({ level: 'error', now: Date.now, write: line => void process.stderr.write(line) })
    const shared = { clock: systemClock, random: systemRandom, log }
    const groups = ['system:nodes', 'system:authenticated']
    kubelet = createKubelet({
      ...shared,
      transport: cluster.transportFor({ username: `system:node:${NODE}`, groups }),
      runtime: createProcessRuntime({ ...shared, directory: join(directory, 'containers') }),
      nodeName: NODE,
      nodeAddress: '127.0.0.1',
      directories: {
        pods,
        logs: join(directory, 'logs'),
        volumes: join(directory, 'volumes'),
        plugins: join(directory, 'plugins'),
        pluginRegistry: join(directory, 'plugins_registry'),
      },
      ports: { kubelet: PORT },
      certificates: (await createTestPki()).server,
      settings: {
        clusterDns: '10.152.183.10',
        clusterDomain: 'cluster.local',
        serviceCidr: '10.152.183.0/24',
        serviceAddress: mirrorOf,
      },
      pressure: {
        thresholds: [{ signal: 'nodefs.available', value: '50%' }],
        transitionMs: 8_000,
        lookMs: 250,
      },
      host: readHostFacts(directory),
      version: 'v1.36.0+test',
    })
    const { signal } = new AbortController()
    await kubelet.prepare(signal)
    await kubelet.start(signal)
  })

  after(async () => {
    await kubelet?.stopWorkloads()
    await kubelet?.stop()
    await cluster?.stop()
    execFileSync('umount', ['--lazy', join(directory, 'pods')])
    rmSync(directory, { recursive: true, force: true })
  })

  const create = (name: string, script: string, over: Partial<PodSpec> = {}) =>
    cluster.client.create<Pod>(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        containers: [
          {
            name: 'main',
            image: 'sh',
            command: ['sh', '-c', `${script}; exec sleep 600`],
            volumeMounts: [{ name: 'scratch', mountPath: '/scratch' }],
          },
        ],
        volumes: [{ name: 'scratch', emptyDir: {} }],
        ...over,
      },
    })
  const get = (name: string) => cluster.client.get<Pod>(PODS, { namespace: 'default', name })
  const failed = (name: string) =>
    until(`${name} has failed`, async () => {
      const pod = await get(name)
      return pod.status?.phase === 'Failed' && pod
    })
  const running = (name: string) =>
    until(`${name} runs`, async () => (await get(name)).status?.phase === 'Running')
  const pressure = async () => {
    const node = await cluster.client.get<Node>(NODES, { name: NODE })
    return node.status?.conditions?.find(({ type }) => type === 'DiskPressure')
  }
  const eventOf = async (name: string, reason: string) => {
    const { items } = await cluster.client.list<Event>(EVENTS, { namespace: 'default' })
    return items.find(event => event.involvedObject.name === name && event.reason === reason)
  }

  test('a pod that fills its emptyDir beyond the limit is evicted', async () => {
    await create('greedy', 'head -c 3000000 /dev/zero >/scratch/file', {
      volumes: [{ name: 'scratch', emptyDir: { sizeLimit: '1Mi' } }],
    })
    const { status } = await failed('greedy')
    assert.equal(status?.reason, 'Evicted')
    assert.equal(status?.message, 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ')
    assert.ok(await until('its event', () => eventOf('greedy', 'Evicted')))
  })

  test('when the disk runs short, the pod that uses most of it goes, the other stays, and the node says so', async () => {
    await create('modest', 'echo hello >/scratch/file')
    await running('modest')
    await create('hog', 'head -c 10000000 /dev/zero >/scratch/file')
    const { status } = await failed('hog')
    assert.equal(status?.reason, 'Evicted')
    assert.match(
      status?.message ?? '',
      /^The node was low on resource: ephemeral-storage\. Threshold quantity: 50%, available: \d+Ki\. /,
    )
    const disruption = status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
    assert.equal(disruption?.reason, 'TerminationByKubelet')
    const condition = await until('the condition', async () => {
      const found = await pressure()
      return found?.status === 'True' && found
    })
    assert.equal(condition.reason, 'KubeletHasDiskPressure')
    assert.equal((await get('modest')).status?.phase, 'Running')
  })

  test('a new pod is refused under pressure, and let in once the transition period is over', async () => {
    await create('late', 'true', { nodeName: NODE })
    const { status } = await failed('late')
    assert.equal(status?.message, 'Pod was rejected: The node had condition: [DiskPressure]. ')
    await until('no pressure', async () => (await pressure())?.status === 'False')
    await create('later', 'true', { nodeName: NODE, tolerations: [{ operator: 'Exists' }] })
    await running('later')
  })
})
