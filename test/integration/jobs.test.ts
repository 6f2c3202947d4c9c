/** The job controller against the real API server, in this process; the test plays the kubelet. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isNotFound, type KubeClient } from '../../src/client/kube-client.ts'
import { EVENTS, JOBS, NAMESPACES, PODS, SERVICE_ACCOUNTS } from '../../src/client/resources.ts'
import type { Event, Job, Pod } from '../../src/kube/types.ts'
import {
  addNode,
  finishDeletion,
  type InProcessCluster,
  startInProcessCluster,
} from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const FINALIZER = 'batch.kubernetes.io/job-tracking'
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
  await addNode(client, 'node-1')
})
after(() => cluster.stop())

async function makeJob(namespace: string, spec: object, over: object = {}): Promise<Job> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  await until(
    'the default service account',
    async () => (await client.list(SERVICE_ACCOUNTS, { namespace })).items.length > 0,
    WAIT_MS,
  )
  const container = { name: 'c', image: 'busybox' }
  return client.create<Job>(JOBS, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace },
    spec: { template: { spec: { restartPolicy: 'Never', containers: [container], ...over } }, ...spec },
  })
}

const jobOf = (namespace: string) => client.get<Job>(JOBS, { namespace, name: 'work' })
const podsOf = async (namespace: string) => (await client.list<Pod>(PODS, { namespace })).items
const isOpen = (pod: Pod) =>
  !['Succeeded', 'Failed'].includes(pod.status?.phase ?? '') && !pod.metadata.deletionTimestamp
const openPods = async (namespace: string) => (await podsOf(namespace)).filter(isOpen)
const untilOpen = (namespace: string, count: number) =>
  until(
    `${count} open pods`,
    async () => {
      const open = await openPods(namespace)
      return open.length === count && open
    },
    WAIT_MS,
  )

/** What a kubelet reports of a pod whose container has exited. */
async function exit(pod: Pod, exitCode: number): Promise<void> {
  const { namespace, name } = pod.metadata
  const finishedAt = new Date().toISOString().replace(/\.\d+Z/, 'Z')
  const terminated = {
    exitCode,
    reason: exitCode === 0 ? 'Completed' : 'Error',
    startedAt: finishedAt,
    finishedAt,
  }
  const containerStatus = { name: 'c', image: 'busybox', imageID: '', ready: false, restartCount: 0 }
  const status = {
    phase: exitCode === 0 ? 'Succeeded' : 'Failed',
    containerStatuses: [{ ...containerStatus, state: { terminated } }],
  }
  await client.patch(PODS, {
    namespace,
    name: name ?? '',
    subresource: 'status',
    type: 'strategic',
    patch: { status },
  })
}

async function endDeleted(namespace: string): Promise<void> {
  for (const pod of await podsOf(namespace))
    if (pod.metadata.deletionTimestamp) await finishDeletion(client, pod)
}

const conditionsOf = (job: Job) =>
  (job.status?.conditions ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`)

function untilCondition(namespace: string, type: string): Promise<Job> {
  return until(
    `the condition ${type}`,
    async () => {
      await endDeleted(namespace)
      const job = await jobOf(namespace)
      return job.status?.conditions?.some(each => each.type === type && each.status === 'True') && job
    },
    WAIT_MS,
  )
}

async function untilEvent(namespace: string, reason: string): Promise<Event> {
  return until(
    `the event ${reason}`,
    async () => {
      const { items } = await client.list<Event>(EVENTS, { namespace })
      return items.find(each => each.reason === reason && each.involvedObject.kind === 'Job') ?? false
    },
    WAIT_MS,
  )
}

test('a job runs as many pods at a time as it may, counts each once, and completes', async () => {
  await makeJob('plain', { completions: 3, parallelism: 2 })
  const first = await untilOpen('plain', 2)
  const labels = first[0]?.metadata.labels ?? {}
  const { uid } = (await jobOf('plain')).metadata
  assert.equal(labels['batch.kubernetes.io/controller-uid'], uid)
  assert.equal(labels['job-name'], 'work')
  assert.deepEqual(first[0]?.metadata.finalizers, [FINALIZER])
  assert.match(first[0]?.metadata.name ?? '', /^work-[a-z0-9]{5}$/)
  for (const pod of first) await exit(pod, 0)
  const [last] = await untilOpen('plain', 1)
  if (last) await exit(last, 0)
  const job = await untilCondition('plain', 'Complete')
  assert.deepEqual(conditionsOf(job), [
    'SuccessCriteriaMet=True CompletionsReached',
    'Complete=True CompletionsReached',
  ])
  const { succeeded, failed, active, ready, terminating, uncountedTerminatedPods, completionTime } =
    job.status ?? {}
  assert.deepEqual(
    { succeeded, failed, active, ready, terminating, uncountedTerminatedPods },
    {
      succeeded: 3,
      failed: undefined,
      active: undefined,
      ready: 0,
      terminating: 0,
      uncountedTerminatedPods: {},
    },
  )
  assert.ok(completionTime)
  assert.equal((await untilEvent('plain', 'Completed')).message, 'Job completed')
  assert.equal((await untilEvent('plain', 'SuccessfulCreate')).reportingComponent, 'job-controller')
  await until(
    'pods without finalizers',
    async () => (await podsOf('plain')).every(pod => !pod.metadata.finalizers?.length),
    WAIT_MS,
  )
})

test('a job fails when more pods failed than its limit allows', async () => {
  await makeJob('limit', { backoffLimit: 0, parallelism: 2, completions: 2 })
  const [pod] = await untilOpen('limit', 2)
  if (pod) await exit(pod, 3)
  const job = await untilCondition('limit', 'Failed')
  assert.deepEqual(conditionsOf(job), [
    'FailureTarget=True BackoffLimitExceeded',
    'Failed=True BackoffLimitExceeded',
  ])
  assert.equal(job.status?.failed, 2)
  const event = await untilEvent('limit', 'BackoffLimitExceeded')
  assert.equal(event.message, 'Job has reached the specified backoff limit')
  assert.equal(event.type, 'Warning')
})

test('an indexed job gives each pod its index, and says which are done', async () => {
  await makeJob('indexed', { completions: 4, parallelism: 4, completionMode: 'Indexed' })
  const pods = await untilOpen('indexed', 4)
  const indexes = pods.map(pod => pod.metadata.annotations?.['batch.kubernetes.io/job-completion-index'])
  assert.deepEqual(indexes.sort(), ['0', '1', '2', '3'])
  for (const pod of pods) {
    const index = pod.metadata.labels?.['batch.kubernetes.io/job-completion-index']
    assert.equal(pod.spec?.hostname, `work-${index}`)
    assert.equal(pod.spec?.containers[0]?.env?.[0]?.name, 'JOB_COMPLETION_INDEX')
    await exit(pod, 0)
  }
  const job = await untilCondition('indexed', 'Complete')
  assert.equal(job.status?.completedIndexes, '0-3')
  assert.equal(job.status?.succeeded, 4)
})

test('a suspended job has no pods; resumed it starts anew', async () => {
  await makeJob('paused', { parallelism: 1, completions: 1 })
  await untilOpen('paused', 1)
  const suspend = (value: boolean) =>
    client.patch(JOBS, {
      namespace: 'paused',
      name: 'work',
      type: 'merge',
      patch: { spec: { suspend: value } },
    })
  await suspend(true)
  const paused = await untilCondition('paused', 'Suspended')
  assert.equal(paused.status?.startTime, undefined, 'its time begins anew when it is resumed')
  await until('no pods', async () => (await podsOf('paused')).length === 0, WAIT_MS)
  await suspend(false)
  const [pod] = await untilOpen('paused', 1)
  if (pod) await exit(pod, 0)
  const job = await untilCondition('paused', 'Complete')
  assert.equal(job.status?.failed, undefined, 'a suspended pod is no failure')
  await untilEvent('paused', 'Suspended')
  await untilEvent('paused', 'Resumed')
})

test('a job past its deadline ends its pods and fails', async () => {
  await makeJob('late', { activeDeadlineSeconds: 1 })
  const job = await untilCondition('late', 'Failed')
  assert.equal(job.status?.conditions?.[1]?.message, 'Job was active longer than specified deadline')
  assert.equal(job.status?.failed, 1)
})

test('a failure policy ends the job at once, and a success policy completes it early', async () => {
  const onExitCodes = { operator: 'In', values: [42] }
  await makeJob('policy', { podFailurePolicy: { rules: [{ action: 'FailJob', onExitCodes }] } })
  const [pod] = await untilOpen('policy', 1)
  if (pod) await exit(pod, 42)
  const job = await untilCondition('policy', 'Failed')
  const name = pod?.metadata.name
  assert.equal(
    job.status?.conditions?.find(each => each.type === 'Failed')?.message,
    `Container c for pod policy/${name} failed with exit code 42 matching FailJob rule at index 0`,
  )
  await makeJob('early', {
    completions: 3,
    parallelism: 3,
    completionMode: 'Indexed',
    successPolicy: { rules: [{ succeededIndexes: '1' }] },
  })
  const pods = await untilOpen('early', 3)
  const leader = pods.find(
    each => each.metadata.annotations?.['batch.kubernetes.io/job-completion-index'] === '1',
  )
  if (leader) await exit(leader, 0)
  const early = await untilCondition('early', 'Complete')
  assert.equal(early.status?.succeeded, 1)
  assert.equal(early.status?.completedIndexes, '1')
  assert.equal(early.status?.failed, undefined)
  assert.equal(early.status?.conditions?.[0]?.reason, 'SuccessPolicy')
})

test('a finished job goes when its time is over, and takes its pods along', async () => {
  await makeJob('ttl', { ttlSecondsAfterFinished: 1 })
  const [pod] = await untilOpen('ttl', 1)
  if (pod) await exit(pod, 0)
  await until(
    'no job and no pod',
    async () => {
      await endDeleted('ttl')
      return (await podsOf('ttl')).length === 0 && (await jobOf('ttl').then(() => false, isNotFound))
    },
    WAIT_MS,
  )
})

test('the pods of a deleted job lose their finalizer and go', async () => {
  await makeJob('gone', { parallelism: 2, completions: 2 })
  await untilOpen('gone', 2)
  await client.delete(JOBS, { namespace: 'gone', name: 'work', propagationPolicy: 'Background' })
  await until(
    'no pods',
    async () => {
      await endDeleted('gone')
      return (await podsOf('gone')).length === 0
    },
    WAIT_MS,
  )
})
