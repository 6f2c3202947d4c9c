import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CronJob, Job } from '../../../../src/kube/types.ts'
import { renderJob } from '../../../../src/runtime/controllers/cron-job/job.ts'
import { type CronJobFacts, planCronJob } from '../../../../src/runtime/controllers/cron-job/plan.ts'

const ms = (time: string) => Date.parse(`2026-01-01T${time}Z`)
const at = (time: string) => `2026-01-01T${time}Z`

const cronJob = (spec: object = {}, status: object = {}): CronJob => ({
  apiVersion: 'batch/v1',
  kind: 'CronJob',
  metadata: { name: 'tick', namespace: 'default', uid: 'tick', creationTimestamp: at('00:00:30') },
  spec: {
    schedule: '*/1 * * * *',
    concurrencyPolicy: 'Allow',
    successfulJobsHistoryLimit: 3,
    failedJobsHistoryLimit: 1,
    jobTemplate: { metadata: { labels: { app: 'tick' } }, spec: { template: {} } },
    ...spec,
  },
  status,
})

function job(name: string, end?: 'Complete' | 'Failed', startTime = at('00:01:00')): Job {
  const condition = { type: end ?? '', status: 'True' }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace: 'default', uid: name },
    status: {
      startTime,
      ...(end === undefined ? {} : { conditions: [condition] }),
      ...(end === 'Complete' ? { completionTime: startTime } : {}),
    },
  }
}

const ref = (name: string) => ({ apiVersion: 'batch/v1', kind: 'Job', name, uid: name })

function plan(object: CronJob, time: string, facts: Partial<CronJobFacts> = {}) {
  const all = { jobs: [], gone: new Set<string>(), sinceMs: 0, nowMs: ms(time), ...facts }
  const { startMs, replace, events, status, expired, againMs } = planCronJob(object, all)
  return {
    starts: startMs === null ? null : new Date(startMs).toISOString().slice(11, 19),
    replace,
    status,
    expired: expired.map(each => each.metadata.name),
    events: events.map(({ reason, message }) => `${reason}: ${message}`),
    againMs,
  }
}

test('a job is started for the latest time that is due, and the next one is waited for', () => {
  assert.equal(plan(cronJob(), '00:00:59').starts, null)
  assert.equal(plan(cronJob(), '00:00:59').againMs, 1_100)
  const due = plan(cronJob(), '00:01:02')
  assert.equal(due.starts, '00:01:00')
  assert.equal(due.againMs, 58_100)
  assert.equal(plan(cronJob(), '00:05:02').starts, '00:05:00')
  assert.equal(plan(cronJob({}, { lastScheduleTime: at('00:05:00') }), '00:05:02').starts, null)
})

test('the job of a time bears its minute, its owner and the time in its zone', () => {
  const rendered = renderJob(cronJob({ timeZone: 'Asia/Kolkata' }), ms('00:01:00'))
  assert.equal(rendered.metadata.name, `tick-${ms('00:01:00') / 60_000}`)
  assert.deepEqual(rendered.metadata.labels, { app: 'tick' })
  assert.deepEqual(rendered.metadata.annotations, {
    'batch.kubernetes.io/cronjob-scheduled-timestamp': '2026-01-01T05:31:00+05:30',
  })
  assert.equal(rendered.metadata.ownerReferences?.[0]?.controller, true)
  const plain = renderJob(cronJob(), ms('00:01:00')).metadata.annotations
  assert.deepEqual(plain, { 'batch.kubernetes.io/cronjob-scheduled-timestamp': '2026-01-01T00:01:00Z' })
})

test('a suspended one, one that goes and one without a schedule start nothing', () => {
  assert.deepEqual(plan(cronJob({ suspend: true }), '00:05:00').starts, null)
  const dying = cronJob()
  dying.metadata.deletionTimestamp = at('00:01:00')
  assert.equal(plan(dying, '00:05:00').starts, null)
  assert.deepEqual(plan(cronJob({ schedule: 'often' }), '00:05:00').events, [
    'UnparseableSchedule: unparseable schedule: "often" : expected exactly 5 fields, found 1: [often]',
  ])
  assert.deepEqual(plan(cronJob({ timeZone: 'Mars/Base' }), '00:05:00').events, [
    'UnknownTimeZone: invalid timeZone: "Mars/Base": unknown time zone Mars/Base',
  ])
  assert.match(plan(cronJob({ schedule: '0 0 31 2 *' }), '00:05:00').events[0] ?? '', /^InvalidSchedule: /)
})

test('a time that is past its deadline is not made up for', () => {
  const strict = { schedule: '0 * * * *', startingDeadlineSeconds: 10 }
  assert.equal(plan(cronJob(strict), '01:00:09').starts, '01:00:00')
  assert.equal(plan(cronJob(strict), '01:00:11').starts, null)
  assert.equal(plan(cronJob(strict), '01:00:11').againMs, 3_600_000 - 11_000 + 100)
})

test('more than a hundred missed times are told, and the latest is started all the same', () => {
  const many = plan(cronJob(), '02:00:00')
  assert.equal(many.starts, '02:00:00')
  assert.deepEqual(many.events, [
    'TooManyMissedTimes: too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew',
  ])
  assert.deepEqual(plan(cronJob(), '01:40:00').events, [])
  assert.deepEqual(plan(cronJob({ startingDeadlineSeconds: 600 }), '02:00:00').events, [])
})

test('a schedule that was changed names no time before that', () => {
  const changed = cronJob({}, { lastScheduleTime: at('00:01:00') })
  assert.equal(plan(changed, '00:05:30', { sinceMs: ms('00:05:20') }).starts, null)
  assert.equal(plan(changed, '00:06:00', { sinceMs: ms('00:05:20') }).starts, '00:06:00')
})

test('the concurrency policy decides while a job still runs', () => {
  const running = { active: [ref('old')], lastScheduleTime: at('00:01:00') }
  const jobs = [job('old')]
  const forbid = plan(cronJob({ concurrencyPolicy: 'Forbid' }, running), '00:02:00', { jobs })
  assert.equal(forbid.starts, null)
  assert.deepEqual(forbid.events, [
    'JobAlreadyActive: Not starting job because prior execution is running and concurrency policy is Forbid',
  ])
  const replace = plan(cronJob({ concurrencyPolicy: 'Replace' }, running), '00:02:00', { jobs })
  assert.deepEqual([replace.starts, replace.replace], ['00:02:00', ['old']])
  const allow = plan(cronJob({}, running), '00:02:00', { jobs })
  assert.deepEqual([allow.starts, allow.replace], ['00:02:00', []])
})

test('what became of active jobs is told and written', () => {
  const before = { active: [ref('done'), ref('lost'), ref('late')], lastScheduleTime: at('00:09:00') }
  const jobs = [job('done', 'Complete', at('00:03:00')), job('strange'), job('old', 'Complete')]
  const found = plan(cronJob({}, before), '00:09:30', { jobs, gone: new Set(['lost']) })
  assert.deepEqual(found.events, [
    'SawCompletedJob: Saw completed job: done, condition: Complete',
    'MissingJob: Active job went missing: lost',
    'UnexpectedJob: Saw a job that the controller did not create or forgot: strange',
  ])
  assert.deepEqual(found.status, {
    active: [ref('late')],
    lastScheduleTime: at('00:09:00'),
    lastSuccessfulTime: at('00:03:00'),
  })
})

test('of finished jobs as many are kept as the limits say, the oldest go', () => {
  const jobs = [3, 1, 5, 2, 4].map(minute => job(`good-${minute}`, 'Complete', at(`00:0${minute}:00`)))
  const failed = [1, 2].map(minute => job(`bad-${minute}`, 'Failed', at(`00:0${minute}:00`)))
  const found = plan(cronJob({ suspend: true }), '00:09:30', { jobs: [...jobs, ...failed] })
  assert.deepEqual(found.expired, ['good-1', 'good-2', 'bad-1'])
  const none = cronJob({ suspend: true, successfulJobsHistoryLimit: 0 })
  assert.equal(plan(none, '00:09:30', { jobs }).expired.length, 5)
})
