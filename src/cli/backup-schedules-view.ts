/** How backup schedules and what lies at a target are shown. Pure. */
import type { BackupRun, BackupScheduleStatus } from '../client/backup-schedule-status.ts'
import type { TargetListing } from '../client/backup-schedules.ts'
import { renderColumns } from './columns.ts'
import { spanInWords } from './duration.ts'
import type { Paint } from './report-error.ts'

const shortTime = (time: string): string => time.replace(/\.\d+Z$/, 'Z')
const sizeOf = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** For `mk8s status`. */
export function backupLines(schedules: readonly BackupScheduleStatus[], paint: Paint): string[] {
  if (schedules.length === 0) return []
  return [
    'backups:',
    ...schedules.map(schedule => {
      const { name, runs, running } = schedule
      const failed = runs[0]?.outcome === 'Failed'
      const last = failed ? paint.bad(lastInWords(schedule)) : lastInWords(schedule)
      return `  ${name}: ${last}; ${running === null ? nextInWords(schedule) : 'it runs now'}`
    }),
  ]
}

function lastInWords({ runs: [last], lastSuccess }: BackupScheduleStatus): string {
  if (last === undefined) return 'has not run yet'
  const at = shortTime(last.finishedAt)
  if (last.outcome === 'Succeeded') return `succeeded at ${at} (${sizeOf(last.bytes)} in ${tookOf(last)})`
  const before =
    lastSuccess === null ? 'none has succeeded yet' : `last success ${shortTime(lastSuccess.finishedAt)}`
  return `failed at ${at}: ${last.error?.message ?? ''} (${before})`
}

const tookOf = ({ durationMs }: BackupRun): string => `${(durationMs / 1_000).toFixed(1)} s`

const nextInWords = ({ spec, nextRunAt }: BackupScheduleStatus): string =>
  nextRunAt === null ? (spec.suspend ? 'suspended' : 'never runs again') : `next at ${shortTime(nextRunAt)}`

/** One line each, in the manner of the short status. */
export const shortBackupLines = (schedules: readonly BackupScheduleStatus[]): string[] =>
  schedules.map(({ name, runs: [last] }) => `backup/${name}: ${last?.outcome.toLowerCase() ?? 'not run yet'}`)

/** For YAML: without what is of no use in a status. */
export function backupDocument({ name, state, nextRunAt, runs, lastSuccess }: BackupScheduleStatus): object {
  const [last] = runs
  return {
    ...{ name, state, nextRunAt },
    lastRun: last === undefined ? null : { ...last, removed: [...last.removed] },
    lastSuccessAt: lastSuccess?.finishedAt ?? null,
  }
}

export function renderSchedules(schedules: readonly BackupScheduleStatus[]): string {
  const head = ['NAME', 'SCHEDULE', 'TIME ZONE', 'TARGET', 'KEEP', 'ENCRYPTION', 'LAST', 'NEXT']
  return renderColumns([head, ...schedules.map(rowOf)])
}

function rowOf(schedule: BackupScheduleStatus): readonly string[] {
  const { name, spec, nextRunAt, runs } = schedule
  const [last] = runs
  return [
    ...[name, spec.cron, spec.timeZone, spec.to, keepInWords(schedule), spec.encryption.type],
    last === undefined ? '-' : `${last.outcome} ${shortTime(last.finishedAt)}`,
    schedule.state === 'Scheduled' ? shortTime(nextRunAt ?? 'never') : schedule.state,
  ]
}

function keepInWords({ spec: { keep, keepForSeconds } }: BackupScheduleStatus): string {
  const rules = [
    ...(keep === null ? [] : [String(keep)]),
    ...(keepForSeconds === null ? [] : [spanInWords(keepForSeconds)]),
  ]
  return rules.length === 0 ? 'all' : rules.join(' or ')
}

export function renderRun(name: string, run: BackupRun): string {
  const { file, bytes, revision, removed, retentionError } = run
  const told = revision === null ? '' : `, revision ${revision}`
  return [
    `${name}: ${file} (${sizeOf(bytes)} in ${tookOf(run)}${told})`,
    ...removed.map(old => `  removed ${old}`),
    ...(retentionError === '' ? [] : [`  not all that is old could be removed: ${retentionError}`]),
  ].join('\n')
}

export function renderListing({ target, files }: TargetListing): string {
  if (files.length === 0) return `there is nothing in ${target}`
  const rows = files.map(({ name, bytes, modifiedAt }) => [name, shortTime(modifiedAt), sizeOf(bytes)])
  return renderColumns([['NAME', 'MODIFIED', 'SIZE'], ...rows])
}
