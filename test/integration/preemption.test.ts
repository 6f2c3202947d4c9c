/** A more important pod takes the place of a less important one; the test plays the kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import { EVENTS, NAMESPACES, PODS, PRIORITY_CLASSES, SERVICE_ACCOUNTS } from '../../src/client/resources.ts'
import type { Event, Pod } from '../../src/kube/types.ts'
import {
  addNode,
  finishDeletion,
  type InProcessCluster,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const NAMESPACE = 'crowded'
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
  await addNode(client, 'node-1', { cpu: '1' })
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } })
  const accounts = () => client.list(SERVICE_ACCOUNTS, { namespace: NAMESPACE })
  await until('the account', async () => (await accounts()).items.length > 0, WAIT_MS)
})
after(() => cluster.stop())

const makePod = (name: string, priorityClassName?: string) =>
  client.create<Pod>(PODS, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE },
    spec: {
      containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '700m' } } }],
      ...(priorityClassName === undefined ? {} : { priorityClassName }),
    },
  })
const getPod = (name: string) => client.get<Pod>(PODS, { namespace: NAMESPACE, name })
const untilPod = (what: string, name: string, holds: (pod: Pod) => unknown) =>
  until(
    what,
    async () => {
      const pod = await getPod(name)
      return Boolean(holds(pod)) && pod
    },
    WAIT_MS,
  )

test('the victim is told why it goes, and the important pod gets its place', async () => {
  await client.create(PRIORITY_CLASSES, {
    apiVersion: 'scheduling.k8s.io/v1',
    kind: 'PriorityClass',
    metadata: { name: 'important' },
    value: 1_000,
  })
  await makePod('victim')
  await untilPod('the first pod on the node', 'victim', pod => pod.spec?.nodeName === 'node-1')
  await makePod('winner', 'important')
  const victim = await untilPod('the victim on its way', 'victim', pod => pod.metadata.deletionTimestamp)
  const condition = victim.status?.conditions?.find(each => each.type === 'DisruptionTarget')
  assert.equal(condition?.reason, 'PreemptionByScheduler')
  assert.equal(condition?.observedGeneration, 1)
  const winner = await untilPod('the nomination', 'winner', pod => pod.status?.nominatedNodeName === 'node-1')
  const refusal = winner.status?.conditions?.find(each => each.type === 'PodScheduled')
  assert.deepEqual([refusal?.status, refusal?.observedGeneration], ['False', 1])
  await finishDeletion(client, victim)
  const placed = await untilPod('the winner on the node', 'winner', pod => pod.spec?.nodeName === 'node-1')
  assert.equal(placed.status?.nominatedNodeName, undefined)
  const event = await until('the event', async () => {
    const { items } = await client.list<Event>(EVENTS, { namespace: NAMESPACE })
    return items.find(each => each.reason === 'Preempted') ?? false
  })
  assert.equal(event.message, `Preempted by pod ${winner.metadata.uid} on node node-1`)
  assert.equal(event.reportingComponent, 'default-scheduler')
  const { items } = await client.list<Event>(EVENTS, { namespace: NAMESPACE })
  const failed = items.find(each => each.reason === 'FailedScheduling')
  assert.equal(failed?.message, '0/1 nodes are available: 1 Insufficient cpu.')
})
