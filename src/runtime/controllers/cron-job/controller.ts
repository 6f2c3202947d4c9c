/** Starts each CronJob's jobs when they are due, and deletes the finished ones that are not kept. */
import { messageOf } from '../../../base/errors.ts'
import { type EventRecorder, referenceTo } from '../../../client/event-recorder.ts'
import { type Informer, keyOf } from '../../../client/informer.ts'
import { isAlreadyExists, isNotFound, type KubeClient } from '../../../client/kube-client.ts'
import { CRON_JOBS, JOBS } from '../../../client/resources.ts'
import { isNamespaceTerminating } from '../../../client/status-errors.ts'
import { semanticEqual } from '../../../kube/equality.ts'
import { formatTime } from '../../../kube/time.ts'
import type { CronJob, CronJobStatus, Job } from '../../../kube/types.ts'
import type { Controller, ControllerContext } from '../shared/context.ts'
import { keyedController, keysFrom } from '../shared/keyed-controller.ts'
import { controllerOf } from '../shared/owners.ts'
import { renderJob } from './job.ts'
import { type CronJobPlan, planCronJob } from './plan.ts'

const SERVICE_ACCOUNT = 'cronjob-controller'
const NAMESPACE_INDEX = 'namespace'

interface Parts {
  readonly context: ControllerContext
  readonly client: KubeClient
  readonly events: EventRecorder
  readonly cronJobs: Informer<CronJob>
  readonly jobs: Informer<Job>
  /** When the schedule of a CronJob, by uid, was seen to change. */
  readonly changedMs: Map<string, number>
}

export function createCronJobController(context: ControllerContext): Controller {
  const cronJobs = context.informers.informer<CronJob>(CRON_JOBS)
  const jobs = context.informers.informer<Job>(JOBS)
  jobs.addIndex(NAMESPACE_INDEX, object => [object.metadata.namespace ?? ''])
  const client = context.client(SERVICE_ACCOUNT)
  const events = context.events({ component: SERVICE_ACCOUNT, serviceAccount: SERVICE_ACCOUNT })
  const parts: Parts = { context, client, events, cronJobs, jobs, changedMs: new Map() }
  cronJobs.onChange((_key, next, previous) => noteSchedule(parts, next, previous))
  return keyedController({
    name: SERVICE_ACCOUNT,
    context,
    sources: [keysFrom(cronJobs, cronJob => [keyOf(cronJob)]), keysFrom(jobs, cronJobsOf)],
    reconcile: (key, signal) => reconcile(parts, key, signal),
  })
}

/** A new schedule begins now: what it would have named before is not made up for. */
function noteSchedule(parts: Parts, next: CronJob | null, previous: CronJob | null): void {
  if (previous === null) return
  const uid = previous.metadata.uid ?? ''
  const timesOf = (one: CronJob | null) => `${one?.spec?.schedule} ${one?.spec?.timeZone}`
  if (next?.metadata.uid !== uid) parts.changedMs.delete(uid)
  else if (timesOf(next) !== timesOf(previous)) parts.changedMs.set(uid, parts.context.clock.now())
}

function cronJobsOf(job: Job): string[] {
  const owner = controllerOf(job)
  return owner?.kind === 'CronJob' ? [`${job.metadata.namespace}/${owner.name}`] : []
}

async function reconcile(parts: Parts, key: string, signal: AbortSignal): Promise<number | undefined> {
  const cronJob = parts.cronJobs.get(key)
  if (cronJob === undefined) return undefined
  const jobs = parts.jobs
    .byIndex(NAMESPACE_INDEX, cronJob.metadata.namespace ?? '')
    .filter(job => controllerOf(job)?.uid === cronJob.metadata.uid)
  const gone = await goneJobs(parts, cronJob, jobs)
  const sinceMs = parts.changedMs.get(cronJob.metadata.uid ?? '') ?? 0
  const plan = planCronJob(cronJob, { jobs, gone, sinceMs, nowMs: parts.context.clock.now() })
  for (const { type, reason, message } of plan.events) parts.events.record(cronJob, type, reason, message)
  for (const job of plan.expired) await deleteJob(parts, cronJob, job, signal)
  await startAndWrite(parts, cronJob, plan, signal)
  return plan.againMs
}

/** Active jobs that are not in the cache and not in the API either, by uid. */
async function goneJobs(parts: Parts, cronJob: CronJob, jobs: readonly Job[]): Promise<Set<string>> {
  const gone = new Set<string>()
  for (const { uid = '', name = '', namespace } of cronJob.status?.active ?? []) {
    if (jobs.some(job => job.metadata.uid === uid)) continue
    try {
      await parts.client.get<Job>(JOBS, { namespace, name })
    } catch (error) {
      if (!isNotFound(error)) throw error
      gone.add(uid)
    }
  }
  return gone
}

async function deleteJob(parts: Parts, cronJob: CronJob, job: Job, signal: AbortSignal): Promise<void> {
  const { namespace, name, uid } = job.metadata
  try {
    const what = { namespace, name: name ?? '', uid }
    await parts.client.delete(JOBS, { ...what, propagationPolicy: 'Background' })
    parts.events.record(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${name}`)
  } catch (error) {
    if (isNotFound(error)) return
    parts.events.record(cronJob, 'Warning', 'FailedDelete', `Deleted job: ${messageOf(error)}`)
    throw error
  }
  const isSeen = () => {
    const cached = parts.jobs.get(keyOf(job))
    return cached?.metadata.uid !== uid || cached?.metadata.deletionTimestamp !== undefined
  }
  await parts.jobs.until(isSeen, signal)
}

/** What was done is written, also when a later step fails. */
async function startAndWrite(
  parts: Parts,
  cronJob: CronJob,
  plan: CronJobPlan,
  signal: AbortSignal,
): Promise<void> {
  let { status } = plan
  try {
    for (const name of plan.replace) {
      await replaceJob(parts, cronJob, name, signal)
      status = withActive(
        status,
        (status.active ?? []).filter(ref => ref.name !== name),
      )
    }
    if (plan.startMs !== null) {
      const job = await startJob(parts, cronJob, plan.startMs, signal)
      if (job !== null) {
        const active = [...(status.active ?? []), referenceTo(job)]
        status = { ...withActive(status, active), lastScheduleTime: formatTime(plan.startMs) }
      }
    }
  } finally {
    await writeStatus(parts, cronJob, status, signal)
  }
}

function withActive(status: CronJobStatus, active: NonNullable<CronJobStatus['active']>): CronJobStatus {
  const { active: _active, ...rest } = status
  return active.length > 0 ? { ...rest, active } : rest
}

async function replaceJob(parts: Parts, cronJob: CronJob, name: string, signal: AbortSignal): Promise<void> {
  try {
    const { namespace } = cronJob.metadata
    await deleteJob(parts, cronJob, await parts.client.get<Job>(JOBS, { namespace, name }), signal)
  } catch (error) {
    parts.events.record(cronJob, 'Warning', 'FailedGet', `Get job: ${messageOf(error)}`)
    throw error
  }
}

/** Null when somebody else's job has the name. */
async function startJob(
  parts: Parts,
  cronJob: CronJob,
  scheduledMs: number,
  signal: AbortSignal,
): Promise<Job | null> {
  const rendered = renderJob(cronJob, scheduledMs)
  try {
    const job = await parts.client.create<Job>(JOBS, rendered)
    parts.events.record(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${job.metadata.name}`)
    await parts.jobs.caughtUp(job.metadata.resourceVersion, signal)
    return job
  } catch (error) {
    if (!isAlreadyExists(error)) {
      if (!isNamespaceTerminating(error)) {
        const why = `Error creating job: ${messageOf(error)}`
        parts.events.record(cronJob, 'Warning', 'FailedCreate', why)
      }
      throw error
    }
  }
  const { namespace, name = '' } = rendered.metadata
  const job = await parts.client.get<Job>(JOBS, { namespace, name })
  return controllerOf(job)?.uid === cronJob.metadata.uid ? job : null
}

async function writeStatus(
  parts: Parts,
  cronJob: CronJob,
  status: CronJobStatus,
  signal: AbortSignal,
): Promise<void> {
  if (semanticEqual(status, cronJob.status ?? {})) return
  const updated = await parts.client.update<CronJob>(
    CRON_JOBS,
    { ...cronJob, status },
    { subresource: 'status' },
  )
  await parts.cronJobs.caughtUp(updated.metadata.resourceVersion, signal)
}
