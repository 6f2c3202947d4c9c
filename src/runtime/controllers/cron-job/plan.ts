/** What a CronJob needs next: old jobs to delete, a job to start, its status; in upstream's order and words. Pure. */
import { type CronSchedule, parseCronSchedule } from '../../../kube/cron-schedule.ts'
import type { CronJob, CronJobStatus, Job } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'
import { jobName } from './job.ts'
import { dueTime, type Now, nextTimeMs } from './schedule.ts'

export interface CronJobEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface CronJobPlan {
  /** More finished jobs than are kept. */
  readonly expired: readonly Job[]
  /** Names of running jobs that make place for the new one. */
  readonly replace: readonly string[]
  /** The time to start a job for. */
  readonly startMs: number | null
  /** Before the new job is among the active ones. */
  readonly status: CronJobStatus
  readonly events: readonly CronJobEvent[]
  readonly againMs: number | undefined
}

export interface CronJobFacts extends Now {
  /** The jobs that it controls. */
  readonly jobs: readonly Job[]
  /** Active jobs that are certainly gone, by uid. */
  readonly gone: ReadonlySet<string>
}

type Outcome = Pick<CronJobPlan, 'replace' | 'startMs' | 'events' | 'againMs'>

export function planCronJob(cronJob: CronJob, facts: CronJobFacts): CronJobPlan {
  const expired = expiredJobs(cronJob, facts.jobs)
  const kept = facts.jobs.filter(job => !expired.includes(job))
  const followed = followJobs(cronJob, { ...facts, jobs: kept }, new Set(expired.map(uidOf)))
  const outcome = planStart({ ...cronJob, status: followed.status }, facts)
  return { expired, ...followed, ...outcome, events: [...followed.events, ...outcome.events] }
}

const uidOf = (job: Job): string => job.metadata.uid ?? ''

/** `Complete` or `Failed`. */
export function finishedType(job: Job): string | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  )?.type
}

function expiredJobs({ spec }: CronJob, jobs: readonly Job[]): Job[] {
  const surplus = (type: string, limit: number | undefined) => {
    if (limit === undefined) return []
    const finished = jobs.filter(job => finishedType(job) === type).sort(compareStart)
    return finished.slice(0, Math.max(0, finished.length - limit))
  }
  return [
    ...surplus('Complete', spec?.successfulJobsHistoryLimit),
    ...surplus('Failed', spec?.failedJobsHistoryLimit),
  ]
}

function compareStart(a: Job, b: Job): number {
  const startOf = (job: Job) => timeMs(job.status?.startTime) || Number.MAX_SAFE_INTEGER
  return startOf(a) - startOf(b) || (a.metadata.name ?? '').localeCompare(b.metadata.name ?? '')
}

interface Followed {
  readonly status: CronJobStatus
  readonly events: readonly CronJobEvent[]
}

/** What became of the active jobs. */
function followJobs(cronJob: CronJob, facts: CronJobFacts, expired: ReadonlySet<string>): Followed {
  const events: CronJobEvent[] = []
  const before = cronJob.status?.active ?? []
  const active = before.filter(ref => {
    const job = facts.jobs.find(each => uidOf(each) === ref.uid)
    const type = job === undefined ? undefined : finishedType(job)
    if (type !== undefined) {
      const message = `Saw completed job: ${ref.name}, condition: ${type}`
      events.push({ type: 'Normal', reason: 'SawCompletedJob', message })
    } else if (job === undefined && facts.gone.has(ref.uid ?? '')) {
      events.push({ type: 'Normal', reason: 'MissingJob', message: `Active job went missing: ${ref.name}` })
      return false
    }
    return type === undefined && !expired.has(ref.uid ?? '')
  })
  const known = new Set(before.map(ref => ref.uid))
  for (const job of facts.jobs) {
    if (known.has(uidOf(job)) || finishedType(job) !== undefined) continue
    const message = `Saw a job that the controller did not create or forgot: ${job.metadata.name}`
    events.push({ type: 'Warning', reason: 'UnexpectedJob', message })
  }
  return { status: followedStatus(cronJob, facts.jobs, active), events }
}

function followedStatus(
  { status: before }: CronJob,
  jobs: readonly Job[],
  active: CronJobStatus['active'],
): CronJobStatus {
  const { active: _active, lastSuccessfulTime, ...rest } = before ?? {}
  const ends = jobs.filter(job => finishedType(job) === 'Complete').map(job => job.status?.completionTime)
  let last = lastSuccessfulTime
  for (const end of ends) if (timeMs(end) > timeMs(last)) last = end
  return {
    ...rest,
    ...(active !== undefined && active.length > 0 ? { active } : {}),
    ...(last === undefined ? {} : { lastSuccessfulTime: last }),
  }
}

const nothing = (againMs?: number, ...events: CronJobEvent[]): Outcome => ({
  replace: [],
  startMs: null,
  events,
  againMs,
})
const warning = (reason: string, message: string): CronJobEvent => ({ type: 'Warning', reason, message })

function planStart(cronJob: CronJob, now: Now): Outcome {
  const { metadata, spec } = cronJob
  if (metadata.deletionTimestamp !== undefined || spec === undefined) return nothing()
  if (spec.timeZone !== undefined && !isTimeZone(spec.timeZone)) {
    const why = `invalid timeZone: ${JSON.stringify(spec.timeZone)}: unknown time zone ${spec.timeZone}`
    return nothing(undefined, warning('UnknownTimeZone', why))
  }
  if (spec.suspend === true) return nothing()
  let schedule: CronSchedule
  try {
    schedule = parseCronSchedule(spec.schedule, spec.timeZone ?? 'UTC')
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const why = `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${error.message}`
    return nothing(undefined, warning('UnparseableSchedule', why))
  }
  return planDue(cronJob, schedule, now)
}

function planDue(cronJob: CronJob, schedule: CronSchedule, now: Now): Outcome {
  const { spec, status } = cronJob
  const due = dueTime(cronJob, schedule, now)
  if (due.problem !== undefined) {
    const why = `invalid schedule: ${spec?.schedule} : ${due.problem}`
    return nothing(undefined, warning('InvalidSchedule', why))
  }
  const againMs = nextTimeMs(cronJob, schedule, now)
  const { dueMs } = due
  if (dueMs === null) return nothing(againMs)
  const many = due.tooManyMissed ? [warning('TooManyMissedTimes', TOO_MANY_MISSED)] : []
  const refused = refusal(cronJob, dueMs, now.nowMs)
  if (refused !== null) return nothing(againMs, ...many, ...refused)
  const replaces = spec?.concurrencyPolicy === 'Replace' ? (status?.active ?? []) : []
  const replace = replaces.map(ref => ref.name ?? '')
  return { replace, startMs: dueMs, events: many, againMs }
}

const TOO_MANY_MISSED =
  'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew'

/** Why the time that is due starts no job, as events to tell; null when it does. */
function refusal(cronJob: CronJob, dueMs: number, nowMs: number): CronJobEvent[] | null {
  const { spec, status } = cronJob
  const deadline = spec?.startingDeadlineSeconds
  if (deadline !== undefined && dueMs + deadline * 1_000 < nowMs) {
    const at = new Date(dueMs).toUTCString().replace('GMT', '+0000')
    return [warning('MissSchedule', `Missed scheduled time to start a job: ${at}`)]
  }
  const active = status?.active ?? []
  const name = jobName(cronJob, dueMs)
  if (active.some(ref => ref.name === name) || timeMs(status?.lastScheduleTime) === dueMs) return []
  if (spec?.concurrencyPolicy !== 'Forbid' || active.length === 0) return null
  const message = 'Not starting job because prior execution is running and concurrency policy is Forbid'
  return [{ type: 'Normal', reason: 'JobAlreadyActive', message }]
}

function isTimeZone(timeZone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}
