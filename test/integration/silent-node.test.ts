/** What becomes of a node that falls silent, and of its pods. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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

test('a node that returns and renews its lease loses the taints', async () => {
  const metadata = { name: 'node-1', namespace: 'kube-node-lease' }
  const time = '2026-01-01T00:00:00Z'
  const ready = { type: 'Ready', status: 'True', reason: 'KubeletReady', lastHeartbeatTime: time }
  await client.create(LEASES, { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: {} })
  const patch = { status: { conditions: [ready] } }
  await client.patch(NODES, { name: 'node-1', subresource: 'status', type: 'strategic', patch })
  await until('no taints', async () => ((await getNode()).spec?.taints ?? []).length === 0, WAIT_MS)
})
