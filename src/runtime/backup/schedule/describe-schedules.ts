/** What people and Prometheus are told of schedules: states, what is wrong, figures, the words of Events. Pure. */
import type { BackupRun, BackupScheduleStatus } from '../../../client/backup-schedule-status.ts'
import type { Problem } from '../../../client/node-status.ts'
import type { Metric } from '../../metrics/metrics.ts'
import { sizeInWords } from '../describe-backup.ts'
import { cronTimes } from './cron-times.ts'
import { nextRunOf } from './plan-schedule.ts'
import type { ScheduleEntry } from './schedule-record.ts'

/** Beyond this, a time that has passed without a run is a problem. */
const OVERDUE_MS = 10 * 60_000

export function scheduleStatus(entry: ScheduleEntry, nowMs: number): BackupScheduleStatus {
  const { name, record, state } = entry
  const { spec, createdAt } = record
  const next = nextTime(entry, nowMs)
  const { running, lastSuccess, runs } = state
  return {
    name,
    state: running !== null ? 'Running' : spec.suspend ? 'Suspended' : 'Scheduled',
    spec,
    createdAt,
    nextRunAt: next === null ? null : new Date(next).toISOString(),
    running:
      running === null
        ? null
        : { startedAt: new Date(running.startedMs).toISOString(), node: running.node, file: running.file },
    lastSuccess,
    runs,
  }
}

/** What was right when it was written may name a time zone that this version has no more. */
function nextTime(entry: ScheduleEntry, nowMs: number): number | null {
  const { cron, timeZone } = entry.record.spec
  try {
    return nextRunOf({ entry, times: cronTimes(cron, timeZone), nowMs })
  } catch {
    return null
  }
}

export function scheduleProblems(schedules: readonly BackupScheduleStatus[], nowMs: number): Problem[] {
  return schedules.flatMap(({ name, runs, nextRunAt, running }): Problem[] => {
    const [last] = runs
    const make = (reason: string, message: string, next: string): Problem[] => [
      { object: `backup-schedule/${name}`, reason, message, next },
    ]
    if (last?.error) {
      const { message, why, hint } = last.error
      const again = `mk8s backup schedule run ${name}`
      const told = why === '' ? message : `${message}: ${why}`
      return make('BackupFailed', told, hint === '' ? again : `${hint}; then ${again}`)
    }
    if (running === null && nextRunAt !== null && nowMs - Date.parse(nextRunAt) > OVERDUE_MS)
      return make('BackupOverdue', `it should have begun at ${nextRunAt}`, 'mk8s datastore status')
    if (last !== undefined && last.retentionError !== '')
      return make('RetentionFailed', last.retentionError, `mk8s backup list --schedule ${name}`)
    return []
  })
}

export interface EventWords {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
}

export function eventsOf({
  outcome,
  file,
  bytes,
  durationMs,
  error,
  retentionError,
}: BackupRun): EventWords[] {
  if (outcome === 'Failed') {
    const { message = '', why = '' } = error ?? {}
    const told = why === '' ? message : `${message}: ${why}`
    return [{ type: 'Warning', reason: 'BackupFailed', message: `The backup failed: ${told}` }]
  }
  const took = `${sizeInWords(bytes)} in ${(durationMs / 1000).toFixed(1)} s`
  const done: EventWords = {
    type: 'Normal',
    reason: 'BackupCompleted',
    message: `The backup ${file} is at its target (${took})`,
  }
  if (retentionError === '') return [done]
  const message = `Backups that are not to be kept could not be removed: ${retentionError}`
  return [done, { type: 'Warning', reason: 'BackupRetentionFailed', message }]
}

export function scheduleMetrics(schedules: readonly BackupScheduleStatus[]): Metric[] {
  const gauges = (
    name: string,
    help: string,
    figureOf: (schedule: BackupScheduleStatus) => number | null,
  ): Metric[] =>
    schedules.flatMap(schedule => {
      const value = figureOf(schedule)
      const labels = { schedule: schedule.name }
      return value === null
        ? []
        : [{ name: `mk8s_backup_${name}`, help, type: 'gauge', value, labels } as const]
    })
  const seconds = (time: string | null | undefined) => (time == null ? null : Date.parse(time) / 1000)
  return [
    ...gauges(
      'last_success_timestamp_seconds',
      'When the last backup that succeeded was finished; 0 when none has yet.',
      ({ lastSuccess }) => seconds(lastSuccess?.finishedAt) ?? 0,
    ),
    ...gauges('last_result', 'Whether the last run succeeded: 1, or 0.', ({ runs: [last] }) =>
      last === undefined ? null : Number(last.outcome === 'Succeeded'),
    ),
    ...gauges('last_run_timestamp_seconds', 'When the last run was finished.', ({ runs: [last] }) =>
      seconds(last?.finishedAt),
    ),
    ...gauges('last_duration_seconds', 'How long the last backup that succeeded took.', ({ lastSuccess }) =>
      lastSuccess === null ? null : lastSuccess.durationMs / 1000,
    ),
    ...gauges('last_size_bytes', 'Size of the last backup that succeeded.', ({ lastSuccess }) =>
      lastSuccess === null ? null : lastSuccess.bytes,
    ),
    ...gauges('next_run_timestamp_seconds', 'When the next run is due.', ({ nextRunAt }) =>
      seconds(nextRunAt),
    ),
    ...gauges('running', 'Whether a backup is being made now.', ({ running }) => Number(running !== null)),
  ]
}
