/** Controllers and scheduler against the real API server, all in this process; the test plays the kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isNotFound, type KubeClient } from '../../src/client/kube-client.ts'
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  ENDPOINTS,
  EVENTS,
  NAMESPACES,
  PODS,
  REPLICA_SETS,
  type ResourceRef,
  SERVICE_ACCOUNTS,
  SERVICES,
} from '../../src/client/resources.ts'
import type {
  ConfigMap,
  Deployment,
  EndpointSlice,
  Endpoints,
  Event,
  Namespace,
  Pod,
  ReplicaSet,
} from '../../src/kube/types.ts'
import {
  addNode,
  finishDeletion,
  type InProcessCluster,
  markReady,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
  await addNode(client, 'node-1')
})
after(() => cluster.stop())

async function makeNamespace(name: string): Promise<void> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  await until('the default service account', () => exists(SERVICE_ACCOUNTS, name, 'default'), WAIT_MS)
}

async function exists(resource: ResourceRef, namespace: string | undefined, name: string): Promise<boolean> {
  try {
    await client.get(resource, { namespace, name })
    return true
  } catch (error) {
    if (isNotFound(error)) return false
    throw error
  }
}

const template = (image: string) => ({
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'c', image, ports: [{ name: 'http', containerPort: 8080 }] }] },
})

function makeDeployment(namespace: string, spec: object = {}): Promise<Deployment> {
  return client.create<Deployment>(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: { replicas: 2, selector: { matchLabels: { app: 'web' } }, template: template('v1'), ...spec },
  })
}

const podsIn = async (namespace: string) => (await client.list<Pod>(PODS, { namespace })).items
const setsIn = async (namespace: string) => (await client.list<ReplicaSet>(REPLICA_SETS, { namespace })).items
const isReady = (pod: Pod) =>
  pod.status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True')

/** Plays the kubelet once: starts what is bound, ends what is deleted. */
async function playKubelet(namespace: string): Promise<void> {
  for (const pod of await podsIn(namespace)) {
    if (pod.metadata.deletionTimestamp) await finishDeletion(client, pod)
    else if (pod.spec?.nodeName && !isReady(pod)) await markReady(client, pod)
  }
}

function untilRolledOut(namespace: string, replicas: number): Promise<Deployment> {
  return until(
    `a rollout to ${replicas}`,
    async () => {
      await playKubelet(namespace)
      const found = await client.get<Deployment>(DEPLOYMENTS, { namespace, name: 'web' })
      const { status } = found
      const isDone =
        status?.observedGeneration === found.metadata.generation &&
        status?.replicas === replicas &&
        status?.updatedReplicas === replicas &&
        status?.availableReplicas === replicas
      return isDone && found
    },
    WAIT_MS,
  )
}

const patchDeployment = (namespace: string, patch: object) =>
  client.patch<Deployment>(DEPLOYMENTS, { namespace, name: 'web', type: 'strategic', patch })

test('a namespace gets its service account and the cluster authority, again when they are deleted', async () => {
  await makeNamespace('fresh')
  const map = await until(
    'kube-root-ca.crt',
    async () => {
      const found = await exists(CONFIG_MAPS, 'fresh', 'kube-root-ca.crt')
      return found && client.get<ConfigMap>(CONFIG_MAPS, { namespace: 'fresh', name: 'kube-root-ca.crt' })
    },
    WAIT_MS,
  )
  assert.deepEqual(map.data, { 'ca.crt': 'PEM of the test' })
  await client.delete(SERVICE_ACCOUNTS, { namespace: 'fresh', name: 'default' })
  await until('the account again', () => exists(SERVICE_ACCOUNTS, 'fresh', 'default'), WAIT_MS)
})

test('a deployment becomes a replica set, pods, and bound pods; a service follows them', async () => {
  await makeNamespace('rollout')
  await client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'rollout' },
    spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }] },
  })
  const startedMs = performance.now()
  await makeDeployment('rollout')
  const bound = await until(
    'two bound pods',
    async () => {
      const pods = await podsIn('rollout')
      return pods.length === 2 && pods.every(pod => pod.spec?.nodeName === 'node-1') && pods
    },
    WAIT_MS,
  )
  // Whatever waits for a period of resynchronisation takes minutes.
  assert.ok(performance.now() - startedMs < 20_000, 'everything happens at once')
  assert.match(bound[0]?.metadata.name ?? '', /^web-[a-z0-9]+-[a-z0-9]{5}$/)
  const deployment = await untilRolledOut('rollout', 2)
  assert.equal(deployment.metadata.annotations?.['deployment.kubernetes.io/revision'], '1')
  await until(
    'two ready endpoints',
    async () => {
      const { items } = await client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace: 'rollout' })
      const ready = items.flatMap(slice => slice.endpoints ?? []).filter(each => each.conditions?.ready)
      return items.length === 1 && ready.length === 2
    },
    WAIT_MS,
  )
  await until(
    'the same in the endpoints',
    async () => {
      const { items } = await client.list<Endpoints>(ENDPOINTS, { namespace: 'rollout' })
      return items[0]?.subsets?.[0]?.addresses?.length === 2
    },
    WAIT_MS,
  )
  const reasons = await until(
    'the events',
    async () => {
      const { items } = await client.list<Event>(EVENTS, { namespace: 'rollout' })
      const seen = new Set(items.map(event => event.reason))
      return ['ScalingReplicaSet', 'SuccessfulCreate', 'Scheduled'].every(each => seen.has(each)) && seen
    },
    WAIT_MS,
  )
  assert.ok(reasons.size >= 3)
})

test('endpoints made by hand stay without a service, and go with theirs', async () => {
  await makeNamespace('manual')
  const make = (name: string) =>
    client.create(ENDPOINTS, {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name, namespace: 'manual' },
      subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }],
    })
  await client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'served', namespace: 'manual' },
    spec: { ports: [{ port: 80 }] },
  })
  await make('alone')
  await make('served')
  await client.delete(SERVICES, { namespace: 'manual', name: 'served' })
  await until('they are gone', async () => !(await exists(ENDPOINTS, 'manual', 'served')), WAIT_MS)
  assert.ok(await exists(ENDPOINTS, 'manual', 'alone'))
})

test('a rolling update, a resize and a rollback reach every pod, and no pod is made twice', async () => {
  await makeNamespace('updates')
  await makeDeployment('updates', { replicas: 3 })
  await untilRolledOut('updates', 3)
  await patchDeployment('updates', { spec: { template: template('v2') } })
  const updated = await untilRolledOut('updates', 3)
  assert.equal(updated.metadata.annotations?.['deployment.kubernetes.io/revision'], '2')
  const images = () => podsIn('updates').then(pods => pods.map(pod => pod.spec?.containers[0]?.image))
  await until('only new pods', async () => (await images()).join() === 'v2,v2,v2', WAIT_MS)
  await patchDeployment('updates', { spec: { replicas: 5 } })
  await untilRolledOut('updates', 5)
  assert.equal((await podsIn('updates')).length, 5)
  await patchDeployment('updates', { spec: { replicas: 1 } })
  await untilRolledOut('updates', 1)
  await patchDeployment('updates', { spec: { template: template('v1') } })
  const back = await untilRolledOut('updates', 1)
  assert.equal(back.metadata.annotations?.['deployment.kubernetes.io/revision'], '3')
  const sets = await setsIn('updates')
  assert.equal(sets.length, 2)
  assert.deepEqual(sets.map(set => set.spec?.replicas).sort(), [0, 1])
})

test('an orphaned pod that matches is adopted, and one whose labels change is let go and replaced', async () => {
  await makeNamespace('claims')
  await makeDeployment('claims', { replicas: 1 })
  await untilRolledOut('claims', 1)
  const [pod] = await podsIn('claims')
  const name = pod?.metadata.name ?? ''
  const relabel = { metadata: { labels: { 'pod-template-hash': 'debug' } } }
  await client.patch(PODS, { namespace: 'claims', name, type: 'strategic', patch: relabel })
  await until(
    'a replacement and a released pod',
    async () => {
      const pods = await podsIn('claims')
      const released = pods.find(each => each.metadata.name === name)
      return pods.length === 2 && (released?.metadata.ownerReferences ?? []).length === 0
    },
    WAIT_MS,
  )
  const [set] = await setsIn('claims')
  const labels = { ...set?.spec?.template?.metadata?.labels }
  await client.patch(PODS, { namespace: 'claims', name, type: 'strategic', patch: { metadata: { labels } } })
  await until('one pod after adoption', async () => (await podsOf('claims')).length === 1, WAIT_MS)
})

const podsOf = async (namespace: string) => {
  await playKubelet(namespace)
  return podsIn(namespace)
}

test('deleting a deployment deletes what it owns, unless its dependents are to be orphaned', async () => {
  await makeNamespace('garbage')
  await makeDeployment('garbage')
  await untilRolledOut('garbage', 2)
  await client.delete(DEPLOYMENTS, { namespace: 'garbage', name: 'web', propagationPolicy: 'Orphan' })
  await until('no deployment', async () => !(await exists(DEPLOYMENTS, 'garbage', 'web')), WAIT_MS)
  const [orphan] = await setsIn('garbage')
  assert.equal(orphan?.metadata.ownerReferences?.length ?? 0, 0)
  assert.equal((await podsIn('garbage')).length, 2)
  await client.delete(REPLICA_SETS, { namespace: 'garbage', name: orphan?.metadata.name ?? '' })
  await until('no pods', async () => (await podsOf('garbage')).length === 0, WAIT_MS)
})

test('a foreground deletion waits for the dependents', async () => {
  await makeNamespace('foreground')
  await makeDeployment('foreground')
  await untilRolledOut('foreground', 2)
  await client.delete(DEPLOYMENTS, { namespace: 'foreground', name: 'web', propagationPolicy: 'Foreground' })
  await until(
    'pods being deleted',
    async () => (await podsIn('foreground')).every(pod => pod.metadata.deletionTimestamp),
    WAIT_MS,
  )
  assert.ok(await exists(DEPLOYMENTS, 'foreground', 'web'), 'the deployment waits for its pods')
  await until(
    'everything gone',
    async () => {
      await playKubelet('foreground')
      return !(await exists(DEPLOYMENTS, 'foreground', 'web')) && (await setsIn('foreground')).length === 0
    },
    WAIT_MS,
  )
})

test('a deleted namespace says what is left and goes when it is empty', async () => {
  await makeNamespace('doomed')
  await makeDeployment('doomed')
  await untilRolledOut('doomed', 2)
  await client.delete(NAMESPACES, { name: 'doomed' })
  await until(
    'the condition',
    async () => {
      const found = await client.get<Namespace>(NAMESPACES, { name: 'doomed' })
      const condition = found.status?.conditions?.find(each => each.type === 'NamespaceContentRemaining')
      return condition?.status === 'True' && /pods\. has 2 resource instances/.test(condition.message ?? '')
    },
    WAIT_MS,
  )
  await until(
    'the end',
    async () => {
      await playKubelet('doomed')
      return !(await exists(NAMESPACES, undefined, 'doomed'))
    },
    WAIT_MS,
  )
})

test('a pod that fits nowhere says so and is placed when a node comes', async () => {
  await makeNamespace('pending')
  const containers = [{ name: 'c', image: 'v1', resources: { requests: { cpu: '16' } } }]
  const metadata = { name: 'big', namespace: 'pending' }
  await client.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers } })
  const get = () => client.get<Pod>(PODS, { namespace: 'pending', name: 'big' })
  await until(
    'the condition',
    async () => {
      const condition = (await get()).status?.conditions?.find(each => each.type === 'PodScheduled')
      return condition?.reason === 'Unschedulable' && /1 Insufficient cpu/.test(condition.message ?? '')
    },
    WAIT_MS,
  )
  await addNode(client, 'node-2', { cpu: '32' })
  await until('a node', async () => (await get()).spec?.nodeName === 'node-2', WAIT_MS)
})
