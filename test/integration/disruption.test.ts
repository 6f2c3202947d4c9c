/** Disruption budgets and evictions against the real API server, in this process; the test plays the kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import {
  DEPLOYMENTS,
  EVENTS,
  JOBS,
  NAMESPACES,
  POD_DISRUPTION_BUDGETS,
  PODS,
  SERVICE_ACCOUNTS,
} from '../../src/client/resources.ts'
import { StatusError } from '../../src/kube/status.ts'
import type { Event, Pod, PodDisruptionBudget } from '../../src/kube/types.ts'
import {
  addNode,
  type InProcessCluster,
  markReady,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
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
  const accounts = () => client.list(SERVICE_ACCOUNTS, { namespace: name })
  await until('the account', async () => (await accounts()).items.length > 0, WAIT_MS)
}

const podsOf = async (namespace: string) => (await client.list<Pod>(PODS, { namespace })).items
const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }

/** A deployment whose pods are ready. */
async function makeDeployment(namespace: string, replicas: number): Promise<Pod[]> {
  await makeNamespace(namespace)
  const selector = { matchLabels: { app: 'web' } }
  await client.create(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: { replicas, selector, template },
  })
  await until('the pods', async () => (await podsOf(namespace)).length === replicas, WAIT_MS)
  for (const pod of await podsOf(namespace)) await markReady(client, pod)
  return podsOf(namespace)
}

const makeBudget = (namespace: string, spec: object) =>
  client.create<PodDisruptionBudget>(POD_DISRUPTION_BUDGETS, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'web', namespace },
    spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
  })
const budgetOf = (namespace: string) =>
  client.get<PodDisruptionBudget>(POD_DISRUPTION_BUDGETS, { namespace, name: 'web' })
const untilBudget = (namespace: string, holds: (status: PodDisruptionBudget['status']) => unknown) =>
  until(
    'the status of the budget',
    async () => {
      const { status } = await budgetOf(namespace)
      return Boolean(holds(status)) && status
    },
    WAIT_MS,
  )

function evict(pod: Pod | undefined, deleteOptions?: object): Promise<unknown> {
  const { namespace = '', name = '' } = pod?.metadata ?? {}
  const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { namespace, name } }
  const body = deleteOptions === undefined ? eviction : { ...eviction, deleteOptions }
  return client.create(PODS, body, { namespace, name, subresource: 'eviction' })
}

async function refusal(pod: Pod | undefined, deleteOptions?: object): Promise<StatusError> {
  const error = await evict(pod, deleteOptions).then(
    () => null,
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof StatusError, 'the eviction is refused')
  return error
}

const isGoing = async (pod: Pod | undefined) => {
  const { namespace, name = '' } = pod?.metadata ?? {}
  return (await client.get<Pod>(PODS, { namespace, name })).metadata.deletionTimestamp !== undefined
}

test('evictions that race take exactly what the budget allows', async () => {
  const pods = await makeDeployment('race', 8)
  await makeBudget('race', { minAvailable: 5 })
  const status = await untilBudget('race', each => each?.disruptionsAllowed === 3)
  assert.deepEqual([status?.expectedPods, status?.desiredHealthy, status?.currentHealthy], [8, 5, 8])
  assert.equal(status?.conditions?.[0]?.reason, 'SufficientPods')
  const results = await Promise.allSettled(pods.map(pod => evict(pod)))
  assert.equal(results.filter(each => each.status === 'fulfilled').length, 3)
  for (const each of results) {
    if (each.status === 'fulfilled') continue
    assert.equal((each.reason as StatusError).code, 429)
    assert.equal((each.reason as StatusError).message, REFUSED)
  }
  const going = (await podsOf('race')).filter(pod => pod.metadata.deletionTimestamp !== undefined)
  assert.equal(going.length, 3)
  const condition = going[0]?.status?.conditions?.find(each => each.type === 'DisruptionTarget')
  assert.deepEqual(
    [condition?.reason, condition?.message],
    ['EvictionByEvictionAPI', 'Eviction API: evicting'],
  )
})

test('a refusal names the budget and its numbers, and ends when another pod is ready', async () => {
  const [first, second] = await makeDeployment('refusal', 2)
  await makeBudget('refusal', { maxUnavailable: 1 })
  await untilBudget('refusal', each => each?.disruptionsAllowed === 1)
  await evict(first)
  await untilBudget('refusal', each => each?.disruptionsAllowed === 0 && each.currentHealthy === 1)
  const { status } = await refusal(second)
  assert.deepEqual([status.code, status.reason], [429, 'TooManyRequests'])
  assert.deepEqual(status.details, {
    causes: [
      {
        reason: 'DisruptionBudget',
        message: 'The disruption budget web needs 1 healthy pods and has 1 currently',
      },
    ],
  })
  const fresh = await until(
    'the pod in its place',
    async () => {
      const found = (await podsOf('refusal')).find(
        pod => ![first?.metadata.uid, second?.metadata.uid].includes(pod.metadata.uid),
      )
      return found ?? false
    },
    WAIT_MS,
  )
  await markReady(client, fresh)
  await untilBudget('refusal', each => each?.disruptionsAllowed === 1)
  await evict(second)
  assert.equal(await isGoing(second), true)
})

test('dry runs and evictions of another pod of that name change nothing', async () => {
  const [pod] = await makeDeployment('dry', 2)
  await makeBudget('dry', { minAvailable: 1 })
  await untilBudget('dry', each => each?.disruptionsAllowed === 1)
  await evict(pod, { dryRun: ['All'] })
  assert.equal(await isGoing(pod), false)
  assert.equal((await budgetOf('dry')).status?.disruptionsAllowed, 1)
  const other = await refusal(pod, { preconditions: { uid: 'another' } })
  assert.equal(other.code, 409)
  assert.match(other.message, /the UID in the precondition \(another\) does not match the UID in record/)
  assert.equal(await isGoing(pod), false)
  const old = await refusal(pod, { preconditions: { resourceVersion: '1' } })
  assert.equal(old.code, 409)
})

test('pods that are not ready may go while enough are healthy, or always when the policy says so', async () => {
  const [well, ill] = await makeDeployment('unhealthy', 2)
  const conditions = [{ type: 'Ready', status: 'False' }]
  const { namespace, name = '' } = ill?.metadata ?? {}
  await client.patch(PODS, {
    namespace,
    name,
    subresource: 'status',
    type: 'strategic',
    patch: { status: { conditions } },
  })
  await makeBudget('unhealthy', { minAvailable: 2 })
  await untilBudget('unhealthy', each => each?.currentHealthy === 1 && each.desiredHealthy === 2)
  assert.equal((await refusal(ill)).code, 429)
  const patch = { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } }
  await client.patch(POD_DISRUPTION_BUDGETS, { namespace, name: 'web', type: 'merge', patch })
  await untilBudget('unhealthy', each => each?.observedGeneration === 2)
  assert.equal((await refusal(well)).code, 429)
  await evict(ill)
  assert.equal(await isGoing(ill), true)
})

test('a pod that has not started, and one that two budgets claim', async () => {
  await makeNamespace('odd')
  const makePod = (name: string) =>
    client.create<Pod>(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'odd', labels: { app: 'web' } },
      spec: { nodeName: 'node-1', ...template.spec },
    })
  await makeBudget('odd', { minAvailable: 5 })
  await untilBudget('odd', each => each?.observedGeneration === 1)
  await evict(await makePod('pending'))
  const running = await makePod('running')
  await markReady(client, running)
  const spec = { selector: {}, minAvailable: 1 }
  await client.create(POD_DISRUPTION_BUDGETS, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name: 'all', namespace: 'odd' },
    spec,
  })
  const error = await refusal(running)
  assert.equal(error.code, 500)
  assert.equal(
    error.message,
    'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
  )
  const patch = { metadata: { annotations: { changed: 'now' } } }
  await client.patch(PODS, { namespace: 'odd', name: 'running', type: 'merge', patch })
  await until('somebody is told', async () => {
    const { items } = await client.list<Event>(EVENTS, { namespace: 'odd' })
    return items.some(
      ({ reason, message, involvedObject }) =>
        reason === 'MultiplePodDisruptionBudgets' &&
        involvedObject.name === 'running' &&
        /^Pod "odd"\/"running" matches multiple PodDisruptionBudgets. {2}Chose "\w+" arbitrarily.$/.test(
          message ?? '',
        ),
    )
  })
})

test('a share of what a Job runs is not known, and allows nothing', async () => {
  await makeNamespace('scaleless')
  const spec = { ...template.spec, restartPolicy: 'Never' }
  await client.create(JOBS, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace: 'scaleless' },
    spec: { template: { ...template, spec } },
  })
  await until('the pod', async () => (await podsOf('scaleless')).length === 1, WAIT_MS)
  await makeBudget('scaleless', { maxUnavailable: 1 })
  const status = await untilBudget('scaleless', each => each?.conditions?.[0]?.reason === 'SyncFailed')
  assert.equal(status?.conditions?.[0]?.message, 'jobs.batch does not implement the scale subresource')
  assert.equal(status?.disruptionsAllowed, 0)
})
