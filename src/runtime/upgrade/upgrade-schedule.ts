/**
 * Unattended upgrades: the ConfigMap `kube-system/mk8s-upgrade-schedule` says when and from where, and remembers the
 * last window and how it ended. Pure.
 */
import { parseCronSchedule } from '../../kube/cron-schedule.ts'
import type { ConfigMap } from '../../kube/types.ts'

export const SCHEDULE_NAME = 'mk8s-upgrade-schedule'
export const SCHEDULE_NAMESPACE = 'kube-system'
/** When the last window began that was made use of, in RFC 3339. */
export const LAST_WINDOW = 'mk8s.io/last-window'
/** Empty while it is under way. */
export const LAST_RESULT = 'mk8s.io/last-result'
export const RESULT_DONE = 'done'

export interface UpgradeSchedule {
  readonly cron: string
  readonly timeZone: string
  readonly windowSeconds: number
  readonly from: string
  readonly channel: string
}

export function parseUpgradeSchedule({ data = {} }: ConfigMap): UpgradeSchedule | null {
  const { cron = '', timeZone = 'UTC', windowSeconds, from = '', channel = '' } = data
  const seconds = Number(windowSeconds)
  return cron === '' || from === '' || !(seconds > 0)
    ? null
    : { cron, timeZone, windowSeconds: seconds, from, channel }
}

export type WindowPlan =
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'begin'; readonly windowMs: number; readonly endMs: number }

/** Somebody may change the schedule meanwhile. */
const LOOK_MS = 30_000
/** Clusters with the same schedule do not all begin at once. */
const JITTER_MS_MAX = 30 * 60_000

/** `jitter`: from 0 to 1, always the same for one cluster. */
export function planWindow(
  { cron, timeZone, windowSeconds }: UpgradeSchedule,
  { lastWindowMs, nowMs, jitter }: { lastWindowMs: number; nowMs: number; jitter: number },
): WindowPlan {
  const lengthMs = windowSeconds * 1_000
  const times = parseCronSchedule(cron, timeZone)
  const windowMs = times.latest(nowMs - lengthMs, nowMs)
  if (windowMs === null || windowMs <= lastWindowMs) {
    const nextMs = times.next(nowMs) ?? Number.POSITIVE_INFINITY
    return { kind: 'wait', ms: Math.min(LOOK_MS, nextMs - nowMs) }
  }
  const beginMs = windowMs + jitter * Math.min(JITTER_MS_MAX, lengthMs / 2)
  if (nowMs < beginMs) return { kind: 'wait', ms: Math.min(LOOK_MS, beginMs - nowMs) }
  return { kind: 'begin', windowMs, endMs: windowMs + lengthMs }
}
