/** How schedules are shown, and spans of time are read. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backupLines, renderSchedules, shortBackupLines } from '../../../src/cli/backup-schedules-view.ts'
import { secondsIn, spanInWords } from '../../../src/cli/duration.ts'
import { plainPaint } from '../../../src/cli/report-error.ts'
import type { BackupRun, BackupScheduleStatus } from '../../../src/client/backup-schedule-status.ts'

const good: BackupRun = {
  outcome: 'Succeeded',
  scheduledAt: '2026-11-22T03:00:00.000Z',
  request: null,
  startedAt: '2026-11-22T03:00:00.100Z',
  finishedAt: '2026-11-22T03:00:01.100Z',
  durationMs: 1_000,
  file: 'f',
  bytes: 2_100_000,
  revision: 7,
  node: 'n1',
  failures: 0,
  error: null,
  removed: [],
  retentionError: '',
}
const bad: BackupRun = { ...good, outcome: 'Failed', error: { message: 'no bucket', why: '', hint: '' } }
const schedule: BackupScheduleStatus = {
  name: 'nightly',
  state: 'Scheduled',
  spec: {
    cron: '0 3 * * *',
    timeZone: 'UTC',
    to: '/backups',
    secret: null,
    encryption: { type: 'none' },
    keep: 7,
    keepForSeconds: 2_592_000,
    startingDeadlineSeconds: 60,
    suspend: false,
  },
  createdAt: '2026-11-01T00:00:00.000Z',
  nextRunAt: '2026-11-23T03:00:00.000Z',
  running: null,
  lastSuccess: good,
  runs: [good],
}

test('a schedule is shown with its last result and its next time', () => {
  const failed = { ...schedule, name: 'weekly', runs: [bad], lastSuccess: null }
  assert.deepEqual(backupLines([schedule, failed], plainPaint), [
    'backups:',
    '  nightly: succeeded at 2026-11-22T03:00:01Z (2.1 MB in 1.0 s); next at 2026-11-23T03:00:00Z',
    '  weekly: failed at 2026-11-22T03:00:01Z: no bucket (none has succeeded yet); next at 2026-11-23T03:00:00Z',
  ])
  assert.deepEqual(shortBackupLines([schedule, failed]), [
    'backup/nightly: succeeded',
    'backup/weekly: failed',
  ])
  assert.deepEqual(backupLines([], plainPaint), [])
  assert.match(
    renderSchedules([schedule]),
    /nightly +0 3 \* \* \* +UTC +\/backups +7 or 30d +none +Succeeded/,
  )
})

test('spans of time are read and said in one way', () => {
  for (const [text, seconds] of [
    ['30d', 2_592_000],
    ['12h', 43_200],
    ['2w', 1_209_600],
    ['90s', 90],
  ] as const)
    assert.deepEqual([secondsIn(text, '--x'), spanInWords(seconds)], [seconds, text])
  for (const text of ['', '30', 'd', '0d', '-1d', '1.5h', '1y', '9999999999s'])
    assert.throws(() => secondsIn(text, '--keep-for'), /no span of time/)
})
