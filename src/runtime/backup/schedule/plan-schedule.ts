/**
 * Decides what the leader does next about one schedule. Pure: the time is an argument, all else is in the store. A run
 * that was missed, however often, is run once; a run whose leader was lost is run again.
 */
import type { CronTimes } from './cron-times.ts'
import type { ScheduleEntry } from './schedule-record.ts'

/** Of a scheduled run; with those whose leader was lost. One that was asked for is not tried again when it fails. */
export const ATTEMPTS_MAX = 3
/** Before the second and the third attempt. */
const RETRY_MS = [30_000, 120_000]
/** A time that was handled lies that far ahead only when the clock has been set back since. */
const CLOCK_BACK_MS_MAX = 60 * 60_000

export type ScheduleStep =
  /** `untilMs` null: nothing comes of itself. */
  | { readonly type: 'wait'; readonly untilMs: number | null }
  /** It is later than the schedule allows. */
  | { readonly type: 'miss'; readonly scheduledMs: number }
  /** Leaders were lost too often; their run counts as failed. */
  | { readonly type: 'give-up' }
  | {
      readonly type: 'run'
      readonly scheduledMs: number | null
      readonly request: string | null
      readonly failures: number
      /** A file that may be whole: its leader was lost before it could say so. */
      readonly earlier: string | null
    }

export interface PlanFacts {
  readonly entry: Pick<ScheduleEntry, 'record' | 'request' | 'state'>
  readonly times: CronTimes
  readonly nowMs: number
}

/** To be asked while this leader runs nothing: a run that is on record then is one that was lost. */
export function planSchedule({ entry, times, nowMs }: PlanFacts): ScheduleStep {
  const { record, request, state } = entry
  const { running } = state
  if (running !== null) {
    const { scheduledMs, request: id, file } = running
    const failures = running.failures + 1
    if (failures >= ATTEMPTS_MAX) return { type: 'give-up' }
    return { type: 'run', scheduledMs, request: id, failures, earlier: file }
  }
  if (request !== null)
    return { type: 'run', scheduledMs: null, request: request.id, failures: 0, earlier: null }
  if (record.spec.suspend) return { type: 'wait', untilMs: null }
  return planByTime({ entry, times, nowMs })
}

function planByTime({ entry, times, nowMs }: PlanFacts): ScheduleStep {
  const { spec, sinceMs } = entry.record
  const { retry } = entry.state
  const handledMs = handledUntil(entry, nowMs)
  const due = times.latest(nowMs)
  if (due !== null && due > handledMs) {
    if (nowMs - due > spec.startingDeadlineSeconds * 1_000) return { type: 'miss', scheduledMs: due }
    return { type: 'run', scheduledMs: due, request: null, failures: 0, earlier: null }
  }
  const next = times.next(Math.max(handledMs, nowMs))
  if (retry === null || retry.scheduledMs < sinceMs) return { type: 'wait', untilMs: next }
  if (nowMs < retry.notBeforeMs)
    return { type: 'wait', untilMs: Math.min(retry.notBeforeMs, next ?? retry.notBeforeMs) }
  const { scheduledMs, failures } = retry
  return { type: 'run', scheduledMs, request: null, failures, earlier: null }
}

function handledUntil({ record, state }: PlanFacts['entry'], nowMs: number): number {
  const handledMs = Math.max(record.sinceMs, state.handledMs)
  return handledMs - nowMs > CLOCK_BACK_MS_MAX ? nowMs : handledMs
}

/** When a scheduled run that has failed so often is tried again; null when it is not. */
export function retryAt(failures: number, nowMs: number): number | null {
  const delayMs = RETRY_MS[failures - 1]
  return failures >= ATTEMPTS_MAX || delayMs === undefined ? null : nowMs + delayMs
}

/** When it runs next, for people; null when it does not. */
export function nextRunOf({ entry, times, nowMs }: PlanFacts): number | null {
  if (entry.record.spec.suspend) return null
  const step = planByTime({ entry, times, nowMs })
  if (step.type === 'wait') return step.untilMs
  return step.type === 'miss' ? times.next(nowMs) : nowMs
}
