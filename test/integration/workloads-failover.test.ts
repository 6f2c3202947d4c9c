/**
 * Three servers; the one that leads is killed in the middle of rollouts, of starting jobs and of a namespace's
 * deletion. What it had begun is finished in order, and nothing is done twice.
 */
import assert from 'node:assert/strict'
import test, { after, before } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import { CRON_JOBS, DAEMON_SETS, JOBS, NODES, PODS, STATEFUL_SETS } from '../../src/client/resources.ts'
import type { CronJob, DaemonSet, Job, Node, Pod, StatefulSet } from '../../src/kube/types.ts'
import { apiClient, type Followed, follow } from '../support/api-client.ts'
import { startServers, type TestNode, type TestServers } from '../support/servers.ts'
import { until } from '../support/until.ts'

const REPLICAS = 4
const CRON_JOB_COUNT = 20
const MAP_COUNT = 60
const NAMESPACE = 'default'
const MINUTE_MS = 60_000

let servers: TestServers
let createdMs = 0

before(async () => {
  servers = await startServers({ count: 3 })
  const [first] = servers.nodes
  assert.ok(first)
  await applyAll(
    first,
    Array.from({ length: CRON_JOB_COUNT }, (_, index) => cronJob(`tick-${index}`)),
  )
  createdMs = Date.now()
})
after(() => servers?.remove())

const applyAll = (via: TestNode, items: readonly object[]) =>
  via.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }) })

/** It would be due every minute, and begins with the one that it missed. */
const cronJob = (name: string) => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name, namespace: NAMESPACE, labels: { kind: 'tick' } },
  spec: {
    schedule: '* * * * *',
    suspend: true,
    jobTemplate: {
      spec: { template: template({ app: 'tick' }, { 'simulated.mk8s.io/run-for-ms': '10' }, 'Never') },
    },
  },
})

const template = (labels: object, annotations: object, restartPolicy = 'Always') => ({
  metadata: { labels, annotations },
  spec: {
    restartPolicy,
    terminationGracePeriodSeconds: 0,
    tolerations: [{ operator: 'Exists' }],
    containers: [{ name: 'c', image: 'localhost/waiter' }],
  },
})

const workload = (kind: 'StatefulSet' | 'DaemonSet', name: string, rest: object) => ({
  apiVersion: 'apps/v1',
  kind,
  metadata: { name, namespace: NAMESPACE },
  spec: {
    selector: { matchLabels: { app: name } },
    template: template({ app: name }, { 'simulated.mk8s.io/start-delay-ms': '200', version: '1' }),
    ...rest,
  },
})

const SECOND_VERSION = JSON.stringify({
  spec: { template: { metadata: { annotations: { version: '2' } } } },
})

/** The server that leads, and one that does not. */
async function roles(): Promise<{ readonly leader: TestNode; readonly other: TestNode }> {
  return until('a leader, and every node ready', async () => {
    for (const asked of servers.nodes) {
      const { datastore } = await asked.status()
      const name = datastore?.members.find(member => member.leader)?.name
      const leader = servers.nodes.find(node => node.name === name)
      const other = servers.nodes.find(node => node.name !== name)
      if (leader === undefined || other === undefined || leader === asked) continue
      const { items } = await apiClient(other).list<Node>(NODES)
      const isReady = ({ status }: Node) =>
        status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')
      return items.every(isReady) && { leader, other }
    }
    return false
  })
}

const versionOf = ({ metadata }: Pod) => metadata.annotations?.['version']
const ofApp = (app: string, pods: Followed<Pod>) =>
  pods.events.filter(({ object }) => object.metadata.labels?.['app'] === app)

/** Names of the pods that were created with the second version, in order. */
const renewed = (app: string, pods: Followed<Pod>) =>
  ofApp(app, pods)
    .filter(({ type, object }) => type === 'ADDED' && versionOf(object) === '2')
    .map(({ object }) => object)

test('a stateful set whose rollout loses its leader goes on in order', async () => {
  const { leader, other } = await roles()
  const client = apiClient(other)
  await applyAll(other, [workload('StatefulSet', 'db', { serviceName: 'db', replicas: REPLICAS })])
  await other.kubectl.ok(['rollout', 'status', 'sts/db', '--timeout=60s'])
  const pods = await follow<Pod>(client, PODS, NAMESPACE)
  await other.kubectl.ok(['patch', 'sts/db', '-p', SECOND_VERSION])
  await until('the first new pod', () => renewed('db', pods).length > 0)
  leader.signalDaemon('SIGKILL')
  await other.kubectl.ok(['rollout', 'status', 'sts/db', '--timeout=60s'])
  assert.deepEqual(
    renewed('db', pods).map(({ metadata }) => metadata.name),
    Array.from({ length: REPLICAS }, (_, index) => `db-${REPLICAS - 1 - index}`),
  )
  await until('the status tells the same', async () => {
    const { status } = await client.get<StatefulSet>(STATEFUL_SETS, { namespace: NAMESPACE, name: 'db' })
    return status?.updatedReplicas === REPLICAS && status.currentRevision === status.updateRevision
  })
  pods.stop()
})

test('a daemon set whose rollout loses its leader renews the pod of each node once', async () => {
  const { leader, other } = await roles()
  const client = apiClient(other)
  await applyAll(other, [workload('DaemonSet', 'agent', {})])
  await other.kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=60s'])
  const pods = await follow<Pod>(client, PODS, NAMESPACE)
  await other.kubectl.ok(['patch', 'ds/agent', '-p', SECOND_VERSION])
  await until('the first new pod', () => renewed('agent', pods).length > 0)
  leader.signalDaemon('SIGKILL')
  await other.kubectl.ok(['rollout', 'status', 'ds/agent', '--timeout=60s'])
  assert.equal(renewed('agent', pods).length, servers.nodes.length)
  const { status } = await client.get<DaemonSet>(DAEMON_SETS, { namespace: NAMESPACE, name: 'agent' })
  assert.equal(status?.numberMisscheduled, 0)
  pods.stop()
})

const tickOf = (client: KubeClient, index: number) =>
  client.get<CronJob>(CRON_JOBS, { namespace: NAMESPACE, name: `tick-${index}` })

test('cron jobs whose leader dies while it starts their jobs start each of them once', async () => {
  await until(
    'a time that they missed',
    () => Math.floor(Date.now() / MINUTE_MS) > Math.floor(createdMs / MINUTE_MS),
  )
  const { leader, other } = await roles()
  const client = apiClient(other)
  const jobs = await follow<Job>(client, JOBS, NAMESPACE)
  const begun = () => jobs.events.filter(({ type }) => type === 'ADDED').map(({ object }) => object)
  const resumed = Promise.all(
    Array.from({ length: CRON_JOB_COUNT }, (_, index) =>
      client.patch<CronJob>(CRON_JOBS, {
        namespace: NAMESPACE,
        name: `tick-${index}`,
        type: 'merge',
        patch: { spec: { suspend: false } },
      }),
    ),
  )
  await until('the first jobs', () => begun().length > 1)
  leader.signalDaemon('SIGKILL')
  await resumed
  for (let index = 0; index < CRON_JOB_COUNT; index++) {
    await until(`tick-${index} has started its job and seen it end`, async () => {
      const { status } = await tickOf(client, index)
      return status?.lastSuccessfulTime !== undefined && (status.active ?? []).length === 0
    })
  }
  const names = begun().map(({ metadata }) => metadata.name)
  assert.equal(new Set(names).size, names.length)
  for (let index = 0; index < CRON_JOB_COUNT; index++) {
    const lastMs = Date.parse((await tickOf(client, index)).status?.lastScheduleTime ?? '')
    const mine = names.filter(name => name?.startsWith(`tick-${index}-`))
    const minutes = mine.map(name => Number(name?.split('-').at(-1)))
    assert.equal(Math.max(...minutes), lastMs / MINUTE_MS)
    assert.equal(mine.length, Math.max(...minutes) - Math.min(...minutes) + 1)
  }
  jobs.stop()
})

test('a namespace whose deletion loses its leader goes', async () => {
  const { leader, other } = await roles()
  await other.kubectl.ok(['create', 'namespace', 'going'])
  await applyAll(other, [
    ...Array.from({ length: MAP_COUNT }, (_, index) => ({
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: `map-${index}`, namespace: 'going' },
    })),
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'holder', namespace: 'going', finalizers: ['example.com/held'] },
      spec: { containers: [{ name: 'c', image: 'localhost/waiter' }] },
    },
  ])
  await other.kubectl.ok(['delete', 'namespace', 'going', '--wait=false'])
  leader.signalDaemon('SIGKILL')
  await other.kubectl.ok(['wait', 'namespace/going', '--for=condition=NamespaceFinalizersRemaining'])
  await other.kubectl.ok(['patch', 'pod/holder', '-n', 'going', '--type=merge', '-p'].concat(RELEASE))
  await other.kubectl.ok(['wait', 'namespace/going', '--for=delete', '--timeout=60s'])
})

const RELEASE = JSON.stringify({ metadata: { finalizers: null } })
