import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../src/base/assert.ts'
import { cronProblem, parseCronSchedule } from '../../../src/kube/cron-schedule.ts'

const ms = (time: string) => Date.parse(time)
const iso = (time: number | null) => (time === null ? null : new Date(time).toISOString())
const nextOf = (schedule: string, after: string, zone = 'UTC') =>
  iso(parseCronSchedule(schedule, zone).next(ms(after)))

test('schedules are refused in the words of upstream', () => {
  const atoi = (text: string) =>
    `failed to parse int from ${text}: strconv.Atoi: parsing "${text}": invalid syntax`
  const table: readonly (readonly [string, string | null])[] = [
    ['*/5 * * * ?', null],
    ['@every 1h30m', null],
    ['0 9 * JAN-mar Mon-FRI', null],
    ['TZ=UTC 0 0 * * *', null],
    ['', 'empty spec string'],
    ['* * * *', 'expected exactly 5 fields, found 4: [* * * *]'],
    ['0 0 * * * *', 'expected exactly 5 fields, found 6: [0 0 * * * *]'],
    ['60 * * * *', 'end of range (60) above maximum (59): 60'],
    ['0 0 0 * *', 'beginning of range (0) below minimum (1): 0'],
    ['0 0 * * 7', 'end of range (7) above maximum (6): 7'],
    ['9-3 * * * *', 'beginning of range (9) beyond end of range (3): 9-3'],
    ['*/0 * * * *', 'step of range should be a positive number: */0'],
    ['1-2-3 * * * *', 'too many hyphens: 1-2-3'],
    ['1/2/3 * * * *', 'too many slashes: 1/2/3'],
    ['a * * * *', atoi('a')],
    ['0 0 L * *', atoi('L')],
    ['@reboot', 'unrecognized descriptor: @reboot'],
    ['@every soon', 'failed to parse duration @every soon: time: invalid duration "soon"'],
  ]
  for (const [schedule, problem] of table) assert.equal(cronProblem(schedule), problem, schedule)
})

test('times follow the fields, the descriptors and the zone', () => {
  assert.equal(nextOf('*/15 * * * *', '2026-01-01T00:14:59Z'), '2026-01-01T00:15:00.000Z')
  assert.equal(nextOf('5/20 * * * *', '2026-01-01T00:30:00Z'), '2026-01-01T00:45:00.000Z')
  assert.equal(nextOf('@hourly', '2026-01-01T00:00:00Z'), '2026-01-01T01:00:00.000Z')
  assert.equal(nextOf('@every 90s', '2026-01-01T00:00:00.500Z'), '2026-01-01T00:01:30.000Z')
  assert.equal(nextOf('0 0 29 2 *', '2026-01-01T00:00:00Z'), '2028-02-29T00:00:00.000Z')
  assert.equal(nextOf('0 0 31 2 *', '2026-01-01T00:00:00Z'), null)
  assert.equal(nextOf('0 9 * * *', '2026-07-01T00:00:00Z', 'Europe/Berlin'), '2026-07-01T07:00:00.000Z')
})

test('a day matches either of both fields of days, unless one of them is a star', () => {
  assert.equal(nextOf('0 0 13 * 5', '2026-01-01T00:00:00Z'), '2026-01-02T00:00:00.000Z')
  assert.equal(nextOf('0 0 13 * *', '2026-01-01T00:00:00Z'), '2026-01-13T00:00:00.000Z')
  assert.equal(nextOf('0 0 */1 * 5', '2026-01-03T00:00:00Z'), '2026-01-09T00:00:00.000Z')
})

test('a time that a change of the clock leaves out is none', () => {
  const schedule = parseCronSchedule('30 2 * * *', 'Europe/Berlin')
  assert.equal(iso(schedule.next(ms('2026-03-28T12:00:00Z'))), '2026-03-30T00:30:00.000Z')
  assert.equal(
    iso(schedule.latest(ms('2026-03-27T00:00:00Z'), ms('2026-03-29T12:00:00Z'))),
    '2026-03-28T01:30:00.000Z',
  )
})

test('a time that a change of the clock repeats is taken twice', () => {
  const first = '2026-10-25T00:30:00.000Z'
  const second = '2026-10-25T01:30:00.000Z'
  const schedule = parseCronSchedule('30 2 * * *', 'Europe/Berlin')
  assert.equal(iso(schedule.next(ms('2026-10-24T12:00:00Z'))), first)
  assert.equal(iso(schedule.next(ms(first))), second)
  assert.equal(iso(schedule.next(ms(second))), '2026-10-26T01:30:00.000Z')
  assert.equal(iso(schedule.latest(ms('2026-10-24T12:00:00Z'), ms(second))), second)
  assert.equal(iso(schedule.latest(ms('2026-10-24T12:00:00Z'), ms(second) - 1)), first)
  assert.equal(iso(schedule.latest(ms(first), ms(second) - 1)), null)
})

test('in every zone a span of time has the times at which the clock shows what the schedule says', () => {
  for (const zone of ['Europe/Berlin', 'America/Sao_Paulo', 'Australia/Lord_Howe', 'Asia/Kathmandu', 'UTC']) {
    const clock = new Intl.DateTimeFormat('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' })
    const schedule = parseCronSchedule('*/15 0-3 * * *', zone)
    for (const start of [
      '2018-02-17T00:00:00Z',
      '2026-03-28T00:00:00Z',
      '2026-10-24T00:00:00Z',
      '2026-04-04T00:00:00Z',
    ]) {
      const found: string[] = []
      const end = ms(start) + 3 * 86_400_000
      for (let at = must(schedule.next(ms(start)), zone); at <= end; at = must(schedule.next(at), zone)) {
        found.push(new Date(at).toISOString())
      }
      const expected: string[] = []
      for (let at = ms(start) + 60_000; at <= end; at += 60_000) {
        const [hour = 0, minute = 0] = clock.format(at).split(':').map(Number)
        if (minute % 15 === 0 && hour <= 3) expected.push(new Date(at).toISOString())
      }
      assert.deepEqual(found, expected, `${zone} ${start}`)
    }
  }
})

test('the latest time is the one that following the next ones ends at', () => {
  for (const text of ['*/7 3-5 * * *', '0 0 1,15 * 1', '@every 13m', '59 23 * * *']) {
    const schedule = parseCronSchedule(text, 'America/New_York')
    const start = ms('2026-05-03T10:20:30Z')
    for (const hours of [0, 1, 9, 100, 700]) {
      const end = start + hours * 3_600_000
      let expected: number | null = null
      for (let at = must(schedule.next(start), text); at <= end; at = must(schedule.next(at), text)) {
        expected = at
      }
      assert.equal(iso(schedule.latest(start, end)), iso(expected), `${text} after ${hours} h`)
    }
  }
})
