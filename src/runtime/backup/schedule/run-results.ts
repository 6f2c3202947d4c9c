/** The record of a run that has come to its end, and what becomes of the state of its schedule. Pure. */

import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { BackupRun } from '../../../client/backup-schedule-status.ts'
import type { BackupJobResult } from './backup-job.ts'
import { RUNS_KEPT, type RunningRecord, type StateRecord } from './schedule-record.ts'

const TEXT_MAX = 1_000
/** Of the files that retention took away, in the record. */
const REMOVED_MAX = 50

export function finishedRun(running: RunningRecord, result: BackupJobResult, nowMs: number): BackupRun {
  const { file, bytes, revision, removed, retentionError } = result
  return {
    ...runOf(running, nowMs),
    ...{ outcome: 'Succeeded', file, bytes, revision, removed: removed.slice(0, REMOVED_MAX), error: null },
    retentionError: retentionError.slice(0, TEXT_MAX),
  }
}

export function failedRun(running: RunningRecord, error: unknown, nowMs: number): BackupRun {
  const { why = '', hint = '' } = error instanceof Mk8sError ? error : {}
  const [message, reason, next] = [messageOf(error), why, hint].map(text => text.slice(0, TEXT_MAX))
  return {
    ...runOf(running, nowMs),
    ...{ outcome: 'Failed', bytes: 0, revision: null, removed: [], retentionError: '' },
    error: { message: message ?? '', why: reason ?? '', hint: next ?? '' },
  }
}

function runOf({ file, startedMs, scheduledMs, request, failures, node }: RunningRecord, nowMs: number) {
  return {
    ...{ file, request, node, failures },
    scheduledAt: scheduledMs === null ? null : timeOf(scheduledMs),
    startedAt: timeOf(startedMs),
    finishedAt: timeOf(nowMs),
    durationMs: Math.max(0, nowMs - startedMs),
  }
}

const timeOf = (ms: number): string => new Date(ms).toISOString()

/** `retryMs`: when a run that failed is tried again; null for one that is not. */
export function settle(begun: StateRecord, run: BackupRun, retryMs: number | null): StateRecord {
  const scheduledMs = run.scheduledAt === null ? null : Date.parse(run.scheduledAt)
  const retry =
    scheduledMs === null || retryMs === null
      ? begun.retry
      : { scheduledMs, failures: run.failures + 1, notBeforeMs: retryMs }
  return {
    ...begun,
    running: null,
    retry,
    lastSuccess: run.outcome === 'Succeeded' ? run : begun.lastSuccess,
    runs: [run, ...begun.runs].slice(0, RUNS_KEPT),
  }
}
