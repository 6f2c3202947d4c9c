/** A job's decisions over tables: back-off, limits, indexes, policies, counting. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatTime } from '../../../../src/kube/time.ts'
import type { Job, JobSpec, JobStatus, Pod } from '../../../../src/kube/types.ts'
import { formatIndexes, parseIndexes } from '../../../../src/runtime/controllers/job/indexes.ts'
import { planJob } from '../../../../src/runtime/controllers/job/plan.ts'
import { renderPod, TRACKING_FINALIZER } from '../../../../src/runtime/controllers/job/pods.ts'
import { ttlLeftMs } from '../../../../src/runtime/controllers/ttl-after-finished/plan.ts'

const NOW = Date.parse('2026-05-01T12:00:00Z')
const at = (secondsAgo: number) => formatTime(NOW - secondsAgo * 1_000)

function job(spec: Partial<JobSpec> = {}, status: JobStatus = { startTime: at(60) }): Job {
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'i' }] } }
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace: 'ns', uid: 'job-uid' },
    spec: { parallelism: 1, completions: 1, backoffLimit: 6, template, ...spec },
    status,
  }
}

interface PodParts {
  readonly uid: string
  readonly phase: string
  readonly endedAgo?: number
  readonly exitCode?: number
  readonly annotations?: Record<string, string>
  readonly released?: boolean
  readonly restartCount?: number
}

function pod(parts: PodParts): Pod {
  const { uid, phase, endedAgo, exitCode = 1, annotations = {} } = parts
  const terminated = { exitCode, finishedAt: at(endedAgo ?? 0) }
  const state = endedAgo === undefined ? {} : { terminated }
  const container = {
    name: 'c',
    image: 'i',
    imageID: '',
    ready: false,
    restartCount: parts.restartCount ?? 0,
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `pod-${uid}`,
      namespace: 'ns',
      uid,
      creationTimestamp: at(100),
      annotations,
      ...(parts.released ? {} : { finalizers: [TRACKING_FINALIZER] }),
    },
    status: { phase, containerStatuses: [{ ...container, state }] },
  }
}

const index = (value: number, failures?: number) => ({
  'batch.kubernetes.io/job-completion-index': String(value),
  ...(failures === undefined ? {} : { 'batch.kubernetes.io/job-index-failure-count': String(failures) }),
})
const plan = (of: Job, pods: readonly Pod[]) => planJob(of, { pods, nowMs: NOW })

test('completion indexes are written as upstream writes them, and read back', () => {
  for (const [list, text] of [
    [[], ''],
    [[3], '3'],
    [[1, 2], '1,2'],
    [[0, 2, 3, 4, 7], '0,2-4,7'],
  ] as const) {
    assert.equal(formatIndexes(list), text)
    assert.deepEqual([...parseIndexes(text, 10)], [...list])
  }
  assert.deepEqual([...parseIndexes('2-900', 4)], [2, 3], 'no more than there are')
})

test('the back-off after failures doubles from ten seconds and starts over with a success', () => {
  const failed = (uid: string, endedAgo: number) => pod({ uid, phase: 'Failed', endedAgo })
  assert.equal(plan(job(), [failed('a', 4)]).againMs, 6_000)
  assert.equal(plan(job(), [failed('a', 30), failed('b', 4)]).againMs, 16_000)
  assert.deepEqual(plan(job(), [failed('a', 4)]).pods.create, [])
  assert.equal(plan(job(), [failed('a', 11)]).pods.create.length, 1)
  const succeeded = pod({ uid: 's', phase: 'Succeeded', endedAgo: 20, exitCode: 0 })
  const more = plan(job({ completions: 2 }), [failed('a', 30), failed('b', 25), succeeded])
  assert.equal(more.pods.create.length, 1)
})

test('a finished pod is noted, released, and becomes a number when its finalizer is gone', () => {
  const before = job({ completions: 2 })
  const first = plan(before, [pod({ uid: 'a', phase: 'Succeeded', endedAgo: 1, exitCode: 0 })])
  assert.deepEqual(first.status.uncountedTerminatedPods, { succeeded: ['a'] })
  assert.equal(first.status.succeeded, undefined)
  assert.deepEqual(
    first.release.map(each => each.metadata.uid),
    ['a'],
  )
  const noted = job({ completions: 2 }, first.status)
  const held = pod({ uid: 'a', phase: 'Succeeded', endedAgo: 1, exitCode: 0 })
  assert.deepEqual(plan(noted, [held]).status.uncountedTerminatedPods, { succeeded: ['a'] }, 'only once')
  const gone = plan(noted, [pod({ uid: 'a', phase: 'Succeeded', endedAgo: 1, released: true })])
  assert.equal(gone.status.succeeded, 1)
  assert.deepEqual(gone.status.uncountedTerminatedPods, {})
  const done = plan(job({ completions: 1 }, gone.status), [])
  assert.deepEqual(
    done.status.conditions?.map(each => each.type),
    ['SuccessCriteriaMet', 'Complete'],
  )
  assert.deepEqual(done.events, [{ type: 'Normal', reason: 'Completed', message: 'Job completed' }])
})

test('a job ends only when its last pod has ended', () => {
  const ending = { ...pod({ uid: 'b', phase: 'Running', released: true }) }
  ending.metadata = { ...ending.metadata, deletionTimestamp: at(1) }
  const status = { startTime: at(60), succeeded: 1 }
  const waiting = plan(job({}, status), [ending])
  assert.deepEqual(
    waiting.status.conditions?.map(each => each.type),
    ['SuccessCriteriaMet'],
  )
  assert.equal(waiting.status.terminating, 1)
})

test('restarts within a pod count against the limit when the pod restarts its containers', () => {
  const onFailure = { spec: { restartPolicy: 'OnFailure', containers: [{ name: 'c', image: 'i' }] } }
  const running = pod({ uid: 'a', phase: 'Running', restartCount: 2 })
  const types = (backoffLimit: number) =>
    plan(job({ template: onFailure, backoffLimit }), [running]).status.conditions?.map(each => each.reason)
  assert.deepEqual(types(2), ['BackoffLimitExceeded'])
  assert.equal(types(3), undefined)
})

test('a limit per index fails that index alone, and keeps its last pod until it is replaced', () => {
  const spec = { completionMode: 'Indexed', completions: 2, parallelism: 2, backoffLimitPerIndex: 1 } as const
  const running = pod({ uid: 'b', phase: 'Running', annotations: index(1, 0) })
  const once = pod({ uid: 'a', phase: 'Failed', endedAgo: 30, annotations: index(0, 0) })
  const retry = plan(job(spec), [once, running])
  assert.deepEqual(retry.release, [])
  const [create] = retry.pods.create
  assert.equal(create?.index, 0)
  const made = renderPod(job(spec), create ?? {})
  assert.equal(made.metadata.annotations?.['batch.kubernetes.io/job-index-failure-count'], '1')
  assert.equal(made.metadata.generateName, 'work-0-')
  const twice = pod({ uid: 'c', phase: 'Failed', endedAgo: 30, annotations: index(0, 1) })
  const failed = plan(job(spec), [twice, running])
  assert.equal(failed.status.failedIndexes, '0')
  assert.deepEqual(failed.pods.create, [])
  assert.equal(failed.status.conditions, undefined, 'index 1 goes on')
})

test('an index that waits for its back-off keeps its turn', () => {
  const spec = { completionMode: 'Indexed', completions: 4, parallelism: 2, backoffLimitPerIndex: 1 } as const
  const running = pod({ uid: 'b', phase: 'Running', annotations: index(1, 0) })
  const just = pod({ uid: 'a', phase: 'Failed', endedAgo: 0, annotations: index(0, 0) })
  const waits = plan(job(spec), [just, running])
  assert.deepEqual(waits.pods.create, [])
  const later = pod({ uid: 'a', phase: 'Failed', endedAgo: 30, annotations: index(0, 0) })
  assert.deepEqual(
    plan(job(spec), [later, running]).pods.create.map(each => each.index),
    [0],
  )
})

test('failures that the policy ignores are not counted', () => {
  const rules = [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] }]
  const evicted = pod({ uid: 'a', phase: 'Failed', endedAgo: 30 })
  const condition = { type: 'DisruptionTarget', status: 'True' }
  const marked: Pod = { ...evicted, status: { ...evicted.status, conditions: [condition] } }
  const spec = { backoffLimit: 0, podFailurePolicy: { rules }, podReplacementPolicy: 'Failed' }
  const next = plan(job(spec), [marked])
  assert.deepEqual(next.status.uncountedTerminatedPods, {})
  assert.equal(next.status.conditions, undefined)
  assert.equal(next.release.length, 1)
})

test('without a number of completions one success is enough', () => {
  const { completions: _none, ...spec } = job().spec ?? { template: {} }
  const one = { ...job(), spec: { ...spec, parallelism: 2 } }
  assert.equal(plan(one, []).pods.create.length, 2)
  const done = pod({ uid: 'a', phase: 'Succeeded', endedAgo: 1, exitCode: 0 })
  const running = pod({ uid: 'b', phase: 'Running' })
  assert.deepEqual(plan(one, [done, running]).pods, { create: [], drop: [], end: [] })
  assert.equal(plan(one, [done]).status.conditions?.[0]?.type, 'SuccessCriteriaMet')
})

test('a finished job is kept for its time to live', () => {
  const condition = { type: 'Complete', status: 'True', lastTransitionTime: at(10) }
  const finished = job({ ttlSecondsAfterFinished: 15 }, { conditions: [condition] })
  assert.equal(ttlLeftMs(finished, NOW), 5_000)
  assert.equal(ttlLeftMs(job({ ttlSecondsAfterFinished: 15 }), NOW), undefined)
})
