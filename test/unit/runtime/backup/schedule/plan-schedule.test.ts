/** When a schedule runs: by table, over changes of the clock, missed times, lost leaders and failures. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cronTimes } from '../../../../../src/runtime/backup/schedule/cron-times.ts'
import {
  nextRunOf,
  planSchedule,
  retryAt,
  type ScheduleStep,
} from '../../../../../src/runtime/backup/schedule/plan-schedule.ts'
import { failedRun, finishedRun, settle } from '../../../../../src/runtime/backup/schedule/run-results.ts'
import {
  FRESH_STATE,
  RUNS_KEPT,
  type RunningRecord,
  type ScheduleEntry,
  type StateRecord,
} from '../../../../../src/runtime/backup/schedule/schedule-record.ts'

const ms = (time: string): number => Date.parse(time)

describe('the times of a cron expression', () => {
  const cases: [string, string, string, string][] = [
    // expression, zone, at; the latest until then, the next after it
    ['0 3 * * *', 'UTC', '2026-11-22T02:59:59.999Z 2026-11-21T03:00:00Z', '2026-11-22T03:00:00Z'],
    ['0 3 * * *', 'UTC', '2026-11-22T03:00:00Z 2026-11-22T03:00:00Z', '2026-11-23T03:00:00Z'],
    ['0 3 * * *', 'UTC', '2026-11-22T03:00:00.001Z 2026-11-22T03:00:00Z', '2026-11-23T03:00:00Z'],
    ['0 3 * * *', 'Asia/Kolkata', '2026-11-22T12:00:00Z 2026-11-21T21:30:00Z', '2026-11-22T21:30:00Z'],
    ['@weekly', 'UTC', '2026-11-22T12:00:00Z 2026-11-22T00:00:00Z', '2026-11-29T00:00:00Z'],
    ['0 0 29 2 *', 'UTC', '2026-11-22T12:00:00Z 2024-02-29T00:00:00Z', '2028-02-29T00:00:00Z'],
    // The clock goes from 02:00 to 03:00: what would have been at 02:30 comes right after.
    ['30 2 * * *', 'Europe/Berlin', '2026-03-29T00:59:00Z 2026-03-28T01:30:00Z', '2026-03-29T01:00:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-03-29T12:00:00Z 2026-03-29T01:00:00Z', '2026-03-30T00:30:00Z'],
    // The clock goes from 03:00 back to 02:00: 02:30 comes twice, and counts once.
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:29:00Z 2026-10-24T00:30:00Z', '2026-10-25T00:30:00Z'],
    ['30 2 * * *', 'Europe/Berlin', '2026-10-25T00:45:00Z 2026-10-25T00:30:00Z', '2026-10-26T01:30:00Z'],
    // Every half hour means every half hour.
    ['*/30 * * * *', 'Europe/Berlin', '2026-10-25T01:10:00Z 2026-10-25T01:00:00Z', '2026-10-25T01:30:00Z'],
  ]
  for (const [expression, zone, times, next] of cases) {
    const [at = '', latest = ''] = times.split(' ')
    it(`${expression} in ${zone} at ${at}: after ${latest} comes ${next}`, () => {
      const cron = cronTimes(expression, zone)
      const found = [cron.latest(ms(at)), cron.next(ms(at))].map(time => new Date(time ?? 0).toISOString())
      assert.deepEqual(
        found,
        [latest, next].map(time => new Date(ms(time)).toISOString()),
      )
    })
  }

  it('over a year of days in a zone with changes of the clock, latest and next agree', () => {
    const cron = cronTimes('30 2 * * *', 'America/New_York')
    let at = ms('2026-01-01T00:00:00Z')
    for (let day = 0; day < 365; day++) {
      const next = cron.next(at)
      assert.ok(next !== null && next > at && next - at <= 25 * 3_600_000 + 60_000)
      assert.equal(cron.latest(next), next)
      assert.notEqual(cron.latest(next - 1), next)
      at = next
    }
  })
})

const DAILY = {
  spec: {
    cron: '0 3 * * *',
    timeZone: 'UTC',
    to: '/backups',
    secret: null,
    encryption: { type: 'none' },
    keep: 7,
    keepForSeconds: null,
    startingDeadlineSeconds: 6 * 3_600,
    suspend: false,
  },
  createdAt: '2026-11-01T12:00:00Z',
  sinceMs: ms('2026-11-01T12:00:00Z'),
} as const
const THREE = ms('2026-11-20T03:00:00Z')

const running = (over: Partial<RunningRecord> = {}): RunningRecord => ({
  ...{ file: 'f', startedMs: THREE, scheduledMs: THREE, request: null, failures: 0, node: 'n1' },
  ...over,
})

interface Case {
  readonly what: string
  readonly at: string
  readonly state?: Partial<StateRecord>
  readonly request?: string
  readonly spec?: Partial<ScheduleEntry['record']['spec']>
  readonly sinceMs?: number
  readonly step: ScheduleStep
}

const run = (over: Partial<ScheduleStep & { type: 'run' }> = {}): ScheduleStep => ({
  ...{ type: 'run', scheduledMs: THREE, request: null, failures: 0, earlier: null },
  ...over,
})
const wait = (until: string | null): ScheduleStep => ({
  type: 'wait',
  untilMs: until === null ? null : ms(until),
})
const handledMs = THREE

const table: readonly Case[] = [
  {
    what: 'a new schedule does not run for times before it was there',
    at: '2026-11-20T03:00:00Z',
    sinceMs: ms('2026-11-20T03:00:00Z'),
    step: wait('2026-11-21T03:00:00Z'),
  },
  { what: 'what is due is run', at: '2026-11-20T03:00:00.250Z', step: run() },
  {
    what: 'what was handled is not run again',
    at: '2026-11-20T03:00:00.250Z',
    state: { handledMs },
    step: wait('2026-11-21T03:00:00Z'),
  },
  {
    what: 'many missed times are run once, for the latest of them',
    at: '2026-11-20T08:00:00Z',
    state: { handledMs: ms('2026-11-03T03:00:00Z') },
    step: run(),
  },
  {
    what: 'what is later than the deadline is missed, and told of',
    at: '2026-11-20T09:00:01Z',
    step: { type: 'miss', scheduledMs: THREE },
  },
  {
    what: 'a suspended schedule waits',
    at: '2026-11-20T04:00:00Z',
    spec: { suspend: true },
    step: wait(null),
  },
  {
    what: 'a suspended schedule runs when it is asked to',
    at: '2026-11-20T04:00:00Z',
    spec: { suspend: true },
    request: 'r1',
    step: run({ scheduledMs: null, request: 'r1' }),
  },
  {
    what: 'a run whose leader was lost is run again, unless its file is there',
    at: '2026-11-20T03:01:00Z',
    state: { handledMs, running: running() },
    step: run({ failures: 1, earlier: 'f' }),
  },
  {
    what: 'a run that was asked for and lost is run again, too',
    at: '2026-11-20T03:01:00Z',
    state: { handledMs, running: running({ scheduledMs: null, request: 'r1' }) },
    step: run({ scheduledMs: null, request: 'r1', failures: 1, earlier: 'f' }),
  },
  {
    what: 'a run that takes its leaders with it is given up',
    at: '2026-11-20T03:01:00Z',
    state: { handledMs, running: running({ failures: 2 }) },
    step: { type: 'give-up' },
  },
  {
    what: 'a failed run waits for its next attempt',
    at: '2026-11-20T03:01:00Z',
    state: { handledMs, retry: { scheduledMs: THREE, failures: 1, notBeforeMs: ms('2026-11-20T03:02:00Z') } },
    step: wait('2026-11-20T03:02:00Z'),
  },
  {
    what: 'a failed run is tried again',
    at: '2026-11-20T03:02:00Z',
    state: { handledMs, retry: { scheduledMs: THREE, failures: 1, notBeforeMs: ms('2026-11-20T03:02:00Z') } },
    step: run({ failures: 1 }),
  },
  {
    what: 'the next time takes the place of another attempt',
    at: '2026-11-21T03:00:00Z',
    state: { handledMs, retry: { scheduledMs: THREE, failures: 1, notBeforeMs: 0 } },
    step: run({ scheduledMs: ms('2026-11-21T03:00:00Z') }),
  },
  {
    what: 'a schedule whose times were changed forgets what it was to try again',
    at: '2026-11-20T03:02:00Z',
    sinceMs: ms('2026-11-20T03:01:00Z'),
    state: { handledMs, retry: { scheduledMs: THREE, failures: 1, notBeforeMs: 0 } },
    step: wait('2026-11-21T03:00:00Z'),
  },
  {
    what: 'a clock set back by minutes runs nothing twice',
    at: '2026-11-20T02:50:00Z',
    state: { handledMs },
    step: wait('2026-11-21T03:00:00Z'),
  },
  {
    what: 'a clock that had been years ahead does not stop the backups',
    at: '2026-11-20T02:50:00Z',
    state: { handledMs: ms('2036-01-01T03:00:00Z') },
    step: wait('2026-11-20T03:00:00Z'),
  },
]

describe('what the leader does about a schedule', () => {
  for (const { what, at, state, request, spec, sinceMs, step } of table)
    it(what, () => {
      const record = { ...DAILY, spec: { ...DAILY.spec, ...spec }, sinceMs: sinceMs ?? DAILY.sinceMs }
      const asked = request === undefined ? null : { id: request, askedMs: 0, modRevision: 5 }
      const entry = { record, request: asked, state: { ...FRESH_STATE, ...state } }
      const times = cronTimes(record.spec.cron, record.spec.timeZone)
      assert.deepEqual(planSchedule({ entry, times, nowMs: ms(at) }), step)
    })

  it('tells when it runs next, whatever it does now', () => {
    const times = cronTimes(DAILY.spec.cron, 'UTC')
    const entry = { record: DAILY, request: null, state: { ...FRESH_STATE, handledMs, running: running() } }
    assert.equal(nextRunOf({ entry, times, nowMs: THREE + 5 }), ms('2026-11-21T03:00:00Z'))
  })

  it('every attempt is later than the one before, and there are three', () => {
    assert.deepEqual([retryAt(1, 0), retryAt(2, 0), retryAt(3, 0)], [30_000, 120_000, null])
  })
})

describe('the record of a run', () => {
  const result = { file: 'f', bytes: 9, revision: 4, removed: [], retentionError: '' }

  it('a failure keeps the last success, and says why', () => {
    const good = finishedRun(running(), result, THREE + 1_500)
    assert.deepEqual([good.outcome, good.durationMs], ['Succeeded', 1_500])
    const first = settle(FRESH_STATE, good, null)
    const bad = failedRun(running({ file: 'g' }), new Error('no room'), THREE + 5)
    const second = settle(first, bad, THREE + 30_000)
    assert.equal(second.lastSuccess?.file, 'f')
    assert.deepEqual(second.retry, { scheduledMs: THREE, failures: 1, notBeforeMs: THREE + 30_000 })
    assert.deepEqual(
      second.runs.map(({ outcome, error }) => [outcome, error?.message]),
      [
        ['Failed', 'no room'],
        ['Succeeded', undefined],
      ],
    )
  })

  it('does not grow without bound', () => {
    let state: StateRecord = FRESH_STATE
    for (let count = 0; count < 30; count++) {
      const removed = Array.from({ length: 1_000 }, (_, at) => `old-${at}`)
      const retentionError = 'x'.repeat(5_000)
      state = settle(state, finishedRun(running(), { ...result, removed, retentionError }, THREE), null)
    }
    assert.equal(state.runs.length, RUNS_KEPT)
    assert.ok(JSON.stringify(state).length < 30_000)
  })
})
