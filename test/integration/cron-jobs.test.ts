/** CronJobs against the real API server, in this process, on a clock that is sixty times as fast. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import { CRON_JOBS, EVENTS, JOBS, NAMESPACES } from '../../src/client/resources.ts'
import type { CronJob, Event, Job } from '../../src/kube/types.ts'
import { fastClock } from '../support/fast-clock.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster({}, fastClock(60))
  client = cluster.client
})
after(() => cluster.stop())

async function makeCronJob(namespace: string, spec: object = {}): Promise<CronJob> {
  await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
  const pod = { restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox' }] }
  const jobTemplate = { metadata: { labels: { app: 'tick' } }, spec: { template: { spec: pod } } }
  return client.create<CronJob>(CRON_JOBS, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'tick', namespace },
    spec: { schedule: '*/1 * * * ?', jobTemplate, ...spec },
  })
}

const cronJobOf = (namespace: string) => client.get<CronJob>(CRON_JOBS, { namespace, name: 'tick' })
const jobsOf = async (namespace: string) => (await client.list<Job>(JOBS, { namespace })).items
const untilJobs = (namespace: string, count: number) =>
  until(
    `${count} jobs`,
    async () => {
      const jobs = await jobsOf(namespace)
      return jobs.length >= count && jobs
    },
    WAIT_MS,
  )

const untilEvent = (namespace: string, reason: string) =>
  until(
    `the event ${reason}`,
    async () => {
      const { items } = await client.list<Event>(EVENTS, { namespace })
      return items.find(each => each.reason === reason && each.involvedObject.kind === 'CronJob') ?? false
    },
    WAIT_MS,
  )

/** What a finished job must not have. */
const NO_PODS = { active: 0, ready: 0, terminating: 0, uncountedTerminatedPods: null }

/** What the job controller would say of a job whose pods are done. */
async function finish(job: Job, type: 'Complete' | 'Failed' = 'Complete'): Promise<void> {
  const { namespace = '', name = '' } = job.metadata
  const time = await until(
    `the start of ${name}`,
    async () => (await client.get<Job>(JOBS, { namespace, name })).status?.startTime ?? false,
    WAIT_MS,
  )
  const interim = type === 'Complete' ? 'SuccessCriteriaMet' : 'FailureTarget'
  const conditions = [interim, type].map(each => ({
    type: each,
    status: 'True',
    lastTransitionTime: time,
    lastProbeTime: time,
  }))
  const patch = {
    status: {
      ...NO_PODS,
      startTime: time,
      conditions,
      ...(type === 'Complete' ? { completionTime: time } : {}),
    },
  }
  await client.patch(JOBS, { namespace, name, subresource: 'status', type: 'merge', patch })
}

test('should schedule multiple jobs concurrently', async () => {
  await makeCronJob('allow')
  const [first, second] = await untilJobs('allow', 2)
  const { status } = await until(
    'two active jobs',
    async () => {
      const cronJob = await cronJobOf('allow')
      return (cronJob.status?.active?.length ?? 0) >= 2 && cronJob
    },
    WAIT_MS,
  )
  assert.deepEqual(status?.active?.[0]?.uid, first?.metadata.uid)
  assert.ok(status?.lastScheduleTime)
  assert.match(first?.metadata.name ?? '', /^tick-\d{8}$/)
  assert.equal(first?.metadata.labels?.['app'], 'tick')
  assert.ok(first?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'])
  const minuteOf = (job?: Job) => Number(job?.metadata.name?.slice('tick-'.length))
  assert.ok(minuteOf(second) > minuteOf(first))
  assert.equal((await untilEvent('allow', 'SuccessfulCreate')).message, `Created job ${first?.metadata.name}`)
})

test('should not schedule new jobs when ForbidConcurrent', async () => {
  await makeCronJob('forbid', { concurrencyPolicy: 'Forbid' })
  const [job] = await untilJobs('forbid', 1)
  await untilEvent('forbid', 'JobAlreadyActive')
  assert.equal((await jobsOf('forbid')).length, 1)
  if (job) await finish(job)
  await untilJobs('forbid', 2)
  const event = await untilEvent('forbid', 'SawCompletedJob')
  assert.equal(event.message, `Saw completed job: ${job?.metadata.name}, condition: Complete`)
  assert.ok((await cronJobOf('forbid')).status?.lastSuccessfulTime)
})

test('should replace jobs when ReplaceConcurrent', async () => {
  await makeCronJob('replace', { concurrencyPolicy: 'Replace' })
  const [job] = await untilJobs('replace', 1)
  await until(
    'another job instead',
    async () => {
      const jobs = await jobsOf('replace')
      return jobs.length > 0 && jobs.every(each => each.metadata.uid !== job?.metadata.uid)
    },
    WAIT_MS,
  )
  assert.equal((await untilEvent('replace', 'SuccessfulDelete')).message, `Deleted job ${job?.metadata.name}`)
  assert.ok(((await cronJobOf('replace')).status?.active?.length ?? 0) <= 1)
})

test('should not schedule jobs when suspended', async () => {
  await makeCronJob('suspended', { suspend: true })
  await makeCronJob('control')
  await untilJobs('control', 2)
  assert.deepEqual(await jobsOf('suspended'), [])
  const patch = { spec: { suspend: false } }
  await client.patch(CRON_JOBS, { namespace: 'suspended', name: 'tick', type: 'merge', patch })
  await untilJobs('suspended', 1)
})

test('should delete successful and failed finished jobs beyond the history limits', async () => {
  await makeCronJob('history', { successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 })
  const done = new Set<string>()
  await until(
    'three finished jobs',
    async () => {
      for (const job of await jobsOf('history')) {
        const { uid = '' } = job.metadata
        if (!done.has(uid)) await finish(job, done.size % 2 === 0 ? 'Complete' : 'Failed')
        done.add(uid)
      }
      return done.size >= 4
    },
    WAIT_MS,
  )
  await client.patch(CRON_JOBS, {
    namespace: 'history',
    name: 'tick',
    type: 'merge',
    patch: { spec: { suspend: true } },
  })
  const ends = await until(
    'one kept job',
    async () => {
      const jobs = await jobsOf('history')
      for (const job of jobs) if (!done.has(job.metadata.uid ?? '')) await finish(job)
      return jobs.length === 1 && jobs.map(job => job.status?.conditions?.at(-1)?.type)
    },
    WAIT_MS,
  )
  assert.deepEqual(ends, ['Complete'])
})
