/** What becomes of a node that falls silent, and of its pods. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sleepAlive, systemClock } from '../../src/base/clock.ts'
import { isNotFound, type KubeClient } from '../../src/client/kube-client.ts'
import { EVENTS, LEASES, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS } from '../../src/client/resources.ts'
import type { Event, Node, Pod } from '../../src/kube/types.ts'
import {
  addNode,
  type InProcessCluster,
  markReady,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const GRACE_MS = 500
const NAMESPACE = 'silent'
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster({ nodeMonitorGraceMs: GRACE_MS })
  client = cluster.client
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  await until('the account', () => client.get(SERVICE_ACCOUNTS, { namespace: NAMESPACE, name: 'default' }))
})
after(() => cluster.stop())

const leaseOf = (name: string) => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name, namespace: 'kube-node-lease' },
  spec: {},
})

/** A node that goes on renewing its lease until it is told to stop. */
async function addLivingNode(name: string): Promise<() => Promise<void>> {
  await addNode(client, name)
  await client.create(LEASES, leaseOf(name))
  const over = new AbortController()
  const renewing = (async () => {
    while (!over.signal.aborted) {
      const patch = { spec: { renewTime: new Date().toISOString().replace('Z', '000Z') } }
      await client.patch(LEASES, { name, namespace: 'kube-node-lease', type: 'merge', patch })
      await sleepAlive(systemClock, GRACE_MS / 10, over.signal).catch(() => {})
    }
  })()
  return async () => {
    over.abort()
    await renewing
  }
}
let endOther: () => Promise<void>

const getPod = (name: string) => client.get<Pod>(PODS, { namespace: NAMESPACE, name })
const getNode = () => client.get<Node>(NODES, { name: 'node-1' })
const readyOf = (object: Node | Pod) =>
  (object.status?.conditions as { type: string; status: string; reason?: string }[] | undefined)?.find(
    each => each.type === 'Ready',
  )

async function runPod(name: string, tolerations: object[]): Promise<void> {
  const spec = { nodeName: 'node-1', containers: [{ name: 'c', image: 'v1' }], tolerations }
  const pod: Pod = await client.create<Pod>(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE },
    spec,
  })
  await markReady(client, pod)
}

test('a silent node becomes unknown, its pods unready, and those that do not tolerate it leave', async () => {
  endOther = await addLivingNode('node-2')
  await addNode(client, 'node-1')
  const key = 'node.kubernetes.io/unreachable'
  await runPod('leaving', [{ key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 0 }])
  await runPod('staying', [{ key, operator: 'Exists', effect: 'NoExecute' }])
  const silent = await until(
    'the taints',
    async () => {
      const node = await getNode()
      return node.spec?.taints?.some(taint => taint.effect === 'NoExecute') && node
    },
    WAIT_MS,
  )
  assert.equal(readyOf(silent)?.status, 'Unknown')
  await until(
    'the events',
    async () => {
      const { items } = await client.list<Event>(EVENTS)
      const told = items.map(event => `${event.involvedObject.kind} ${event.reason}: ${event.message}`)
      return [
        'Node RegisteredNode: Node node-1 event: Registered Node node-1 in Controller',
        'Node NodeNotReady: Node node-1 status is now: NodeNotReady',
        'Pod NodeNotReady: Node is not ready',
      ].every(each => told.includes(each))
    },
    WAIT_MS,
  )
  assert.equal(readyOf(silent)?.reason, 'NodeStatusUnknown')
  assert.deepEqual(silent.spec?.taints?.map(taint => `${taint.key}:${taint.effect}`).sort(), [
    `${key}:NoExecute`,
    `${key}:NoSchedule`,
  ])
  await until(
    'the staying pod unready',
    async () => readyOf(await getPod('staying'))?.status === 'False',
    WAIT_MS,
  )
  await until(
    'the other pod leaving',
    async () => {
      try {
        const pod = await getPod('leaving')
        const reasons = pod.status?.conditions?.map(each => each.reason) ?? []
        return pod.metadata.deletionTimestamp !== undefined && reasons.includes('DeletionByTaintManager')
      } catch (error) {
        return isNotFound(error)
      }
    },
    WAIT_MS,
  )
  assert.equal((await getPod('staying')).metadata.deletionTimestamp, undefined)
})

test('a pod that leaves a node goes at once when somebody says that the node is out of service', async () => {
  const finalizer = 'example.com/kept'
  const keep = (finalizers: string[] | null) =>
    client.patch(PODS, {
      namespace: NAMESPACE,
      name: 'staying',
      type: 'merge',
      patch: { metadata: { finalizers } },
    })
  await keep([finalizer])
  await client.delete(PODS, { namespace: NAMESPACE, name: 'staying' })
  assert.equal((await getPod('staying')).status?.phase, 'Running')
  const taint = { key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoSchedule' }
  const change = async (without: boolean) => {
    const taints = (await getNode()).spec?.taints?.filter(each => each.key !== taint.key) ?? []
    const patch = { spec: { taints: without ? taints : [...taints, taint] } }
    await client.patch(NODES, { name: 'node-1', type: 'merge', patch })
  }
  await change(false)
  const failed = async () => (await getPod('staying')).status?.phase === 'Failed'
  await until('the pod has failed', failed, WAIT_MS)
  await keep(null)
  await until('it is gone', () => getPod('staying').then(() => false, isNotFound), WAIT_MS)
  await change(true)
})

test('a node that returns and renews its lease loses the taints', async () => {
  const time = '2026-01-01T00:00:00Z'
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: time }
  await client.create(LEASES, leaseOf('node-1'))
  const patch = { status: { conditions: [ready] } }
  await client.patch(NODES, { name: 'node-1', subresource: 'status', type: 'strategic', patch })
  await until('no taints', async () => ((await getNode()).spec?.taints ?? []).length === 0, WAIT_MS)
})

test('when no node is heard of any more, nobody has to leave', async () => {
  const key = 'node.kubernetes.io/unreachable'
  const effects = async () => {
    const { items } = await client.list<Node>(NODES)
    return items.map(node =>
      node.spec?.taints?.filter(taint => taint.key === key).map(({ effect }) => effect),
    )
  }
  await until('node-1 to be told to leave again', async () => (await effects())[0]?.includes('NoExecute'))
  await endOther()
  await until('both tainted, none evicted', async () =>
    (await effects()).every(each => each?.join() === 'NoSchedule'),
  )
})
