/**
 * Three servers whose leader is killed in the middle of a rollout, a scale, a drain and a namespace deletion, one after
 * the other: the next leader's controllers and scheduler go on, until everything is as the specs ask.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import { must } from '../../src/base/assert.ts'
import type { NodeStatus } from '../../src/client/node-status.ts'
import { DEPLOYMENTS, NAMESPACES, PODS, REPLICA_SETS } from '../../src/client/resources.ts'
import type { Deployment, Namespace, Pod, ReplicaSet } from '../../src/kube/types.ts'
import { apiClient } from '../support/api-client.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const REPLICAS = 12
const WAIT_MS = 120_000
let cluster: TestServers

before(async () => {
  cluster = await startServers({ count: 3 })
  const { kubectl } = first()
  await kubectl.ok(['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=60s'])
  await kubectl.ok(['create', 'deployment', 'web', '--image=web:1', `--replicas=${REPLICAS}`])
  await kubectl.ok(['rollout', 'status', 'deployment/web', '--timeout=60s'])
})
after(() => cluster?.remove())

const first = (): TestNode => must(cluster.nodes[0], 'the first server')

const statusOf = (node: TestNode): Promise<NodeStatus | null> => node.status().catch(() => null)

/** Kills the leader's daemon, which its supervisor starts again, and hands over a server that lives. */
async function killLeader(): Promise<TestNode> {
  const name = await until('a leader', async () => {
    const members = (await statusOf(first()))?.datastore?.members ?? []
    return members.find(({ leader }) => leader)?.name
  })
  const leader = must(
    cluster.nodes.find(node => node.name === name),
    'the leader',
  )
  leader.signalDaemon('SIGKILL')
  return must(
    cluster.nodes.find(node => node !== leader),
    'another server',
  )
}

const isAlive = ({ metadata }: Pod) => metadata.deletionTimestamp === undefined
const isReady = ({ status }: Pod) =>
  status?.conditions?.some(({ type, status: state }) => type === 'Ready' && state === 'True') === true

/** As many pods as asked for, all ready, of the image, each on a node, and none besides. */
async function untilConverged(via: TestNode, replicas: number, image: string): Promise<void> {
  const client = apiClient(via)
  const holds = async () => {
    const { items: pods } = await client.list<Pod>(PODS, { namespace: 'default', labelSelector: 'app=web' })
    const [deployment] = (await client.list<Deployment>(DEPLOYMENTS, { namespace: 'default' })).items
    const isUpToDate = deployment?.status?.observedGeneration === deployment?.metadata.generation
    return (
      isUpToDate &&
      deployment?.status?.availableReplicas === replicas &&
      pods.length === replicas &&
      pods.every(
        pod => isAlive(pod) && isReady(pod) && pod.spec?.nodeName && pod.spec.containers[0]?.image === image,
      )
    )
  }
  await until(`${replicas} ready pods of ${image}`, () => holds().catch(() => false), WAIT_MS)
}

test('a rollout whose leader is killed ends with one set of pods of the new image', async () => {
  await first().kubectl.ok(['set', 'image', 'deployment/web', '*=web:2'])
  await untilSeen('the rollout has begun', ({ spec }) => spec?.containers[0]?.image === 'web:2')
  const via = await killLeader()
  await untilConverged(via, REPLICAS, 'web:2')
  const { items } = await apiClient(via).list<ReplicaSet>(REPLICA_SETS, { namespace: 'default' })
  assert.deepEqual(items.map(({ spec }) => spec?.replicas).sort(), [0, REPLICAS])
})

async function untilSeen(what: string, is: (pod: Pod) => boolean): Promise<void> {
  const client = apiClient(first())
  await until(what, async () => {
    const { items } = await client.list<Pod>(PODS, { namespace: 'default' })
    return items.some(is)
  })
}

test('a scale whose leader is killed makes and ends exactly the pods it asks for', async () => {
  const more = 2 * REPLICAS
  await untilAnswers()
  await first().kubectl.ok(['scale', 'deployment/web', `--replicas=${more}`])
  await untilConverged(await killLeader(), more, 'web:2')
  await untilAnswers()
  await first().kubectl.ok(['scale', 'deployment/web', `--replicas=${REPLICAS}`])
  await untilConverged(first(), REPLICAS, 'web:2')
})

test('a drain goes on over the death of the leader, and leaves no pod behind', async () => {
  await untilAnswers()
  const drain = () =>
    first().kubectl.try(['drain', 'n2', '--ignore-daemonsets', '--delete-emptydir-data', '--timeout=60s'])
  const running = drain()
  await killLeader()
  const { code } = await running
  // The request that was under way may have been answered by nobody: whoever drains asks again.
  if (code !== 0) await until('the drain succeeds', async () => (await drain()).code === 0, WAIT_MS)
  await untilConverged(first(), REPLICAS, 'web:2')
  const { items } = await apiClient(first()).list<Pod>(PODS, { namespace: 'default' })
  assert.deepEqual(
    items.filter(({ spec }) => spec?.nodeName === 'n2'),
    [],
  )
  await first().kubectl.ok(['uncordon', 'n2'])
})

test('a namespace whose leader is killed while it is deleted goes with all that is in it', async () => {
  await untilAnswers()
  const { kubectl } = first()
  await kubectl.ok(['create', 'namespace', 'doomed'])
  await kubectl.ok(['create', 'deployment', 'web', '--image=web:1', '--replicas=8', '-n', 'doomed'])
  await kubectl.ok(['delete', 'namespace', 'doomed', '--wait=false'])
  const via = await killLeader()
  const isGone = async () => {
    const { items: namespaces } = await apiClient(via).list<Namespace>(NAMESPACES)
    const { items: pods } = await apiClient(via).list<Pod>(PODS, { namespace: 'doomed' })
    return pods.length === 0 && namespaces.every(({ metadata }) => metadata.name !== 'doomed')
  }
  await until('the namespace is gone', () => isGone().catch(() => false), WAIT_MS)
  await untilConverged(via, REPLICAS, 'web:2')
})

/** The first server may be the one that was killed last. */
async function untilAnswers(): Promise<void> {
  await until(
    'the first server answers, and every node is ready',
    async () => {
      const { kubectl } = first()
      const args = ['wait', '--for=condition=Ready', 'nodes', '--all', '--timeout=20s']
      return (await kubectl.try(args)).code === 0
    },
    WAIT_MS,
  )
}
