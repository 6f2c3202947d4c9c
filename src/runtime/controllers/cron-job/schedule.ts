/** Which time of a CronJob's schedule is due, how many were missed, and when to look again. Pure. */
import type { CronSchedule } from '../../../kube/cron-schedule.ts'
import type { CronJob } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'

/** From so many missed times on, somebody is told. */
const MISSED_TIMES_MAX = 100
/** Looks again a little after the time, so that it is due then. */
const LATE_MS = 100
const SECOND_MS = 1_000

export interface Now {
  readonly nowMs: number
  /** The schedule was changed here: it does not name times before. */
  readonly sinceMs: number
}

interface Recent {
  readonly earliestMs: number
  /** The most recent time that is due. */
  readonly dueMs: number | null
  readonly missed: 'none' | 'few' | 'many'
}

export interface Due {
  readonly dueMs: number | null
  readonly tooManyMissed: boolean
  /** Why the schedule cannot be followed. */
  readonly problem?: string
}

export function dueTime(cronJob: CronJob, schedule: CronSchedule, now: Now): Due {
  const recent = mostRecent(cronJob, schedule, { ...now, withDeadline: true })
  if (typeof recent === 'string') return { dueMs: null, tooManyMissed: false, problem: recent }
  return { dueMs: recent.dueMs, tooManyMissed: recent.dueMs !== null && recent.missed === 'many' }
}

/** Milliseconds until the time after the one that is due; undefined when there is none. */
export function nextTimeMs(cronJob: CronJob, schedule: CronSchedule, now: Now): number | undefined {
  const recent = mostRecent(cronJob, schedule, { ...now, withDeadline: false })
  const next = schedule.next(startOfSearch(recent, now.nowMs))
  return next === null ? undefined : Math.max(next + LATE_MS - now.nowMs, 1)
}

function startOfSearch(recent: Recent | string, nowMs: number): number {
  if (typeof recent === 'string') return nowMs
  return recent.dueMs ?? (recent.missed === 'none' ? recent.earliestMs : nowMs)
}

function mostRecent(
  { metadata, spec, status }: CronJob,
  schedule: CronSchedule,
  { nowMs, sinceMs, withDeadline }: Now & { readonly withDeadline: boolean },
): Recent | string {
  const deadline = withDeadline ? spec?.startingDeadlineSeconds : undefined
  const earliestMs = Math.max(
    timeMs(status?.lastScheduleTime ?? metadata.creationTimestamp),
    sinceMs,
    deadline === undefined ? 0 : nowMs - deadline * SECOND_MS,
  )
  const first = schedule.next(earliestMs)
  const second = first === null ? null : schedule.next(first)
  if (first === null) return 'time difference between two schedules is less than 1 second'
  if (nowMs < first) return { earliestMs, dueMs: null, missed: 'none' }
  if (second === null || nowMs < second) return { earliestMs, dueMs: first, missed: 'none' }
  const apart = Math.round((second - first) / SECOND_MS)
  const missed = Math.floor((nowMs - first) / SECOND_MS / apart) + 1
  return {
    earliestMs,
    dueMs: schedule.latest(first, nowMs),
    missed: missed > MISSED_TIMES_MAX ? 'many' : 'few',
  }
}
