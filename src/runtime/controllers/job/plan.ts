/** What a job needs next: pods to create or delete, finished pods to count, its status, its end. Pure. */
import { formatTime } from '../../../kube/time.ts'
import type { Job, JobCondition, JobStatus, Pod } from '../../../kube/types.ts'
import { isActive, isReady } from '../shared/pods.ts'
import {
  conditionOf,
  deadlineLeftMs,
  isSuspended,
  judge,
  SUCCEEDED,
  standing,
  type Verdict,
  withCondition,
} from './conditions.ts'
import { noteFinished, settleNotes, type Tally, tally } from './counting.ts'
import { type ManagePlan, planPods, podsHeldBack } from './manage.ts'
import { isTerminating } from './pods.ts'

export interface JobEvent {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export interface JobPlan {
  /** Pods to delete and create; the rest of the plan is made again after that. */
  readonly pods: ManagePlan
  /** Why the job ends before its pods have all done their work. */
  readonly verdict: Verdict | undefined
  readonly status: JobStatus
  /** Pods whose finalizer goes once the status is written. */
  readonly release: readonly Pod[]
  /** Recorded once the status is written. */
  readonly events: readonly JobEvent[]
  /** Time itself changes something after so many milliseconds. */
  readonly againMs: number | undefined
}

export interface JobFacts {
  readonly pods: readonly Pod[]
  readonly nowMs: number
  /** The verdict that pods were ended for a moment ago. */
  readonly decided?: Verdict | undefined
}

export function planJob(job: Job, parts: JobFacts): JobPlan {
  const { pods, nowMs } = parts
  const active = pods.filter(isActive)
  const decided = parts.decided ?? standing(job)
  const counts = tally(job, pods, decided?.type === 'FailureTarget')
  const started = startOf(job, nowMs)
  const early = judge(
    { ...job, status: { ...job.status, ...started } },
    { pods, tally: counts, nowMs, decided },
  )
  const manage = planPods(job, { pods, active, tally: counts, verdict: early, nowMs })
  const verdict = early ?? (isComplete(job, active, counts) ? SUCCEEDED : undefined)
  const noted = noteFinished(job, settleNotes(job, pods), pods, {
    ending: {
      ends: verdict !== undefined,
      fails: verdict?.type === 'FailureTarget',
      heldBack: podsHeldBack(job, { pods, active, tally: counts }),
    },
    indexes: counts,
  })
  const suspension = planSuspension(job, verdict, nowMs)
  const now: Now = { active, terminating: pods.filter(isTerminating).length, nowMs }
  const base = withStart({ ...noted.status, ...started }, suspension.startTime)
  const mayEnd = noted.release.length === 0 && !noted.isFull && active.length === 0
  const end = planEnd(suspension.conditions, verdict, { ...now, mayEnd: mayEnd && nothingNoted(base) })
  const waits = [deadlineLeftMs({ ...job, status: base }, nowMs), manage.againMs ?? Number.POSITIVE_INFINITY]
  const againMs = Math.min(...waits)
  return {
    pods: manage,
    verdict: early,
    status: renderStatus(base, now, end),
    release: noted.release,
    events: [...suspension.events, ...endEvents(job, end.finished, base)],
    againMs: Number.isFinite(againMs) ? Math.max(againMs, 1) : undefined,
  }
}

interface Now {
  readonly active: readonly Pod[]
  readonly terminating: number
  readonly nowMs: number
}

function startOf(job: Job, nowMs: number): Pick<JobStatus, 'startTime'> {
  if (job.status?.startTime !== undefined || isSuspended(job)) return {}
  return { startTime: formatTime(nowMs) }
}

/** Without a number of completions one success is enough, once the others have ended. */
function isComplete(job: Job, active: readonly Pod[], counts: Tally): boolean {
  const { completions } = job.spec ?? {}
  if (active.length > 0) return false
  return completions === undefined ? counts.succeeded > 0 : counts.succeeded >= completions
}

function nothingNoted({ uncountedTerminatedPods: noted }: JobStatus): boolean {
  return (noted?.succeeded ?? []).length + (noted?.failed ?? []).length === 0
}

interface Suspension {
  readonly conditions: readonly JobCondition[]
  readonly events: readonly JobEvent[]
  /** Null: it has none while it is suspended. Undefined: it stays as it is. */
  readonly startTime: string | null | undefined
}

function withStart({ startTime: before, ...status }: JobStatus, next: Suspension['startTime']): JobStatus {
  const startTime = next === undefined ? before : next
  return typeof startTime === 'string' ? { ...status, startTime } : status
}

function planSuspension(job: Job, verdict: Verdict | undefined, nowMs: number): Suspension {
  const before = job.status?.conditions ?? []
  const nothing = { conditions: before, events: [], startTime: undefined }
  if (verdict !== undefined || job.metadata.deletionTimestamp !== undefined) return nothing
  const [status, reason, message] = isSuspended(job)
    ? (['True', 'JobSuspended', 'Job suspended'] as const)
    : (['False', 'JobResumed', 'Job resumed'] as const)
  const conditions = withCondition(before, { type: 'Suspended', status, reason, message }, nowMs)
  if (conditions === before) return nothing
  const event: JobEvent = { type: 'Normal', reason: isSuspended(job) ? 'Suspended' : 'Resumed', message }
  return {
    conditions,
    events: [event],
    startTime: isSuspended(job) ? null : formatTime(nowMs),
  }
}

interface End {
  readonly conditions: readonly JobCondition[]
  /** The final condition, in the plan that sets it. */
  readonly finished: JobCondition | undefined
}

/** First why the job ends, then, when no pod is left and each is counted, that it has ended. */
function planEnd(
  conditions: readonly JobCondition[],
  verdict: Verdict | undefined,
  { terminating, nowMs, mayEnd }: Now & { readonly mayEnd: boolean },
): End {
  if (verdict === undefined) return { conditions, finished: undefined }
  const interim = withCondition(conditions, { ...verdict, status: 'True' }, nowMs)
  if (!mayEnd || terminating > 0) return { conditions: interim, finished: undefined }
  const type = verdict.type === 'FailureTarget' ? 'Failed' : 'Complete'
  const all = withCondition(interim, { ...verdict, type, status: 'True' }, nowMs)
  return { conditions: all, finished: conditionOf(all, type) }
}

function renderStatus(base: JobStatus, { active, terminating }: Now, end: End): JobStatus {
  const { active: _active, conditions: _conditions, ...rest } = base
  const completionTime = end.finished?.type === 'Complete' ? end.finished.lastTransitionTime : undefined
  return {
    ...rest,
    ...(active.length > 0 ? { active: active.length } : {}),
    ready: active.filter(isReady).length,
    terminating,
    ...(end.conditions.length > 0 ? { conditions: [...end.conditions] } : {}),
    ...(completionTime === undefined ? {} : { completionTime }),
  }
}

function endEvents(job: Job, finished: JobCondition | undefined, status: JobStatus): JobEvent[] {
  if (finished === undefined) return []
  const { reason = '', message = '' } = finished
  if (finished.type === 'Failed') return [{ type: 'Warning', reason, message }]
  const surplus = (status.succeeded ?? 0) > (job.spec?.completions ?? Number.POSITIVE_INFINITY)
  const tooMany: JobEvent = {
    type: 'Warning',
    reason: 'TooManySucceededPods',
    message: 'Too many succeeded pods running after completion count reached',
  }
  return [...(surplus ? [tooMany] : []), { type: 'Normal', reason: 'Completed', message: 'Job completed' }]
}
