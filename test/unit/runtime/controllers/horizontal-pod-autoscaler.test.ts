import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HorizontalPodAutoscaler, MetricSpec, Pod } from '../../../../src/kube/types.ts'
import {
  type History,
  normalize,
} from '../../../../src/runtime/controllers/horizontal-pod-autoscaler/behavior.ts'
import { planAutoscaler } from '../../../../src/runtime/controllers/horizontal-pod-autoscaler/plan.ts'
import type { Measured } from '../../../../src/runtime/controllers/horizontal-pod-autoscaler/proposals.ts'

const NOW_MS = Date.parse('2026-01-01T01:00:00Z')
const at = (secondsAgo: number) => new Date(NOW_MS - secondsAgo * 1_000).toISOString()
const NONE: History = { recommendations: [], ups: [], downs: [] }
/** Something was recommended, so long ago that it means nothing. */
const OLD: History = { ...NONE, recommendations: [{ atMs: NOW_MS - 400_000, replicas: 1 }] }

const autoscaler = (
  spec: object = {},
  metrics: readonly object[] = [cpuPercent(50)],
): HorizontalPodAutoscaler => ({
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    minReplicas: 1,
    maxReplicas: 10,
    metrics: metrics as MetricSpec[],
    ...spec,
  },
})

const cpuPercent = (averageUtilization: number) => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
})

interface PodFacts {
  readonly phase?: string
  readonly ready?: boolean
  readonly startedS?: number
  readonly changedS?: number
  readonly request?: string
  readonly deleting?: boolean
}

function pod(name: string, facts: PodFacts = {}): Pod {
  const { phase = 'Running', ready = true, startedS = 3_600, changedS = 3_500, request = '1' } = facts
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...(facts.deleting ? { deletionTimestamp: at(1) } : {}) },
    spec: { containers: [{ name: 'c', resources: request === '' ? {} : { requests: { cpu: request } } }] },
    status: {
      phase,
      startTime: at(startedS),
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: at(changedS) }],
    },
  }
}

const pods = (count: number, facts?: PodFacts) =>
  Array.from({ length: count }, (_, index) => pod(`p${index}`, facts))
const uses = (...values: number[]): Measured => ({
  kind: 'samples',
  samples: new Map(values.map((value, index) => [`p${index}`, { value, atMs: NOW_MS, windowMs: 30_000 }])),
})

function plan(
  object: HorizontalPodAutoscaler,
  list: readonly Pod[],
  measured: Measured | Measured[],
  history = OLD,
) {
  const specReplicas = list.length
  const all = Array.isArray(measured) ? measured : [measured]
  const facts = {
    specReplicas,
    statusReplicas: specReplicas,
    pods: list,
    measured: all,
    history,
    nowMs: NOW_MS,
  }
  const found = planAutoscaler(object, facts)
  const conditions = (found.status.conditions ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  )
  return { ...found, replicas: found.rescale?.replicas ?? specReplicas, conditions }
}
const replicas = (list: readonly Pod[], ...values: number[]) =>
  plan(autoscaler(), list, uses(...values)).replicas

test('utilization: the ratio to the target, rounded up, unless it is within the tolerance', () => {
  assert.equal(replicas(pods(3), 900, 900, 900), 6)
  assert.equal(replicas(pods(4), 100, 100, 100, 100), 1)
  assert.equal(replicas(pods(3), 540, 540, 540), 3, '8 % above is near enough')
  assert.equal(replicas(pods(3), 560, 560, 560), 4)
  const found = plan(autoscaler(), pods(2), uses(600, 800))
  assert.deepEqual(found.status.currentMetrics, [
    {
      type: 'Resource',
      resource: { name: 'cpu', current: { averageUtilization: 70, averageValue: '700m' } },
    },
  ])
  assert.deepEqual(found.rescale, {
    replicas: 3,
    reason: 'cpu resource utilization (percentage of request) above target',
  })
  assert.deepEqual(found.conditions, [
    'AbleToScale=True ReadyForNewScale',
    'ScalingActive=True ValidMetricFound',
    'ScalingLimited=False DesiredWithinRange',
  ])
})

test('pods that tell nothing are taken to need what speaks against the change', () => {
  const missing = [...pods(2), pod('silent')]
  assert.equal(plan(autoscaler(), missing, uses(900, 900)).replicas, 4, 'of three, one uses nothing')
  assert.equal(plan(autoscaler(), missing, uses(100, 100)).replicas, 3, 'of three, one uses all')
  const starting = [...pods(2), pod('p2', { ready: false, startedS: 20, changedS: 20 })]
  assert.equal(plan(autoscaler(), starting, uses(900, 900, 5_000)).replicas, 4)
  assert.equal(plan(autoscaler(), starting, uses(100, 100, 5_000)).replicas, 1)
  const pending = [...pods(2), pod('p2', { phase: 'Pending' })]
  assert.equal(plan(autoscaler(), pending, uses(600, 600)).replicas, 3)
  const dying = [...pods(2), pod('p2', { deleting: true }), pod('p3', { phase: 'Failed' })]
  assert.equal(plan(autoscaler(), dying, uses(900, 900, 9_000, 9_000)).replicas, 4)
})

test('a CPU sample from before the pod was ready does not count', () => {
  const young = [...pods(1), pod('p1', { startedS: 100, changedS: 10 })]
  const measured: Measured = {
    kind: 'samples',
    samples: new Map([
      ['p0', { value: 500, atMs: NOW_MS, windowMs: 30_000 }],
      ['p1', { value: 9_000, atMs: NOW_MS, windowMs: 30_000 }],
    ]),
  }
  assert.equal(plan(autoscaler(), young, measured).replicas, 2)
})

test('metrics that cannot be had say so in the words of upstream, and change nothing', () => {
  const why =
    'unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)'
  const found = plan(autoscaler(), pods(2), { kind: 'problem', message: why })
  assert.equal(found.rescale, undefined)
  const inner = `failed to get cpu utilization: unable to get metrics for resource cpu: ${why}`
  const condition = found.status.conditions?.find(each => each.type === 'ScalingActive')
  assert.deepEqual(
    [condition?.status, condition?.reason, condition?.message],
    ['False', 'FailedGetResourceMetric', `the HPA was unable to compute the replica count: ${inner}`],
  )
  assert.deepEqual(found.events, [
    { type: 'Warning', reason: 'FailedGetResourceMetric', message: inner },
    {
      type: 'Warning',
      reason: 'FailedComputeMetricsReplicas',
      message: `invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: ${inner}`,
    },
  ])
  const silent = plan(autoscaler(), pods(2, { request: '' }), uses(900, 900))
  assert.equal(
    silent.events[0]?.message,
    'failed to get cpu utilization: missing request for cpu in container c of Pod p0',
  )
})

test('of several metrics the largest proposal counts; a failed one forbids to scale down only', () => {
  const queue = {
    type: 'External',
    external: { metric: { name: 'queue' }, target: { type: 'AverageValue', averageValue: '10' } },
  }
  const two = autoscaler({}, [cpuPercent(50), queue])
  const value = (amount: number): Measured => ({ kind: 'value', value: amount * 1_000 })
  const failed: Measured = { kind: 'problem', message: 'gone' }
  assert.equal(
    plan(two, pods(2), [uses(500, 500), value(45)]).replicas,
    4,
    'no more than twice as many at once',
  )
  assert.equal(plan(two, pods(4), [uses(500, 500, 500, 500), value(61)]).replicas, 7)
  assert.equal(plan(two, pods(4), [uses(900, 900, 900, 900), failed]).replicas, 8)
  assert.equal(plan(two, pods(4), [uses(100, 100, 100, 100), failed]).rescale, undefined)
  const found = plan(two, pods(4), [uses(100, 100, 100, 100), failed])
  assert.ok(found.conditions.includes('ScalingActive=False FailedGetExternalMetric'))
})

test('object and pods metrics', () => {
  const describedObject = { apiVersion: 'v1', kind: 'Service', name: 'web' }
  const object = { describedObject, metric: { name: 'hits' }, target: { type: 'Value', value: '100' } }
  const hits = autoscaler({}, [{ type: 'Object', object }])
  assert.equal(plan(hits, pods(2), { kind: 'value', value: 300_000 }).replicas, 4, '6 wanted, 4 at once')
  const target = { type: 'AverageValue', averageValue: '100' }
  const packets = autoscaler({}, [{ type: 'Pods', pods: { metric: { name: 'packets' }, target } }])
  const found = plan(packets, pods(2), uses(150_000, 250_000))
  assert.equal(found.replicas, 4)
  assert.deepEqual(found.status.currentMetrics, [
    { type: 'Pods', pods: { metric: { name: 'packets' }, current: { averageValue: '200' } } },
  ])
})

test('bounds decide alone, and a target at zero is left alone', () => {
  assert.equal(plan(autoscaler({ minReplicas: 3 }), pods(2), []).replicas, 3)
  const above = plan(autoscaler({ maxReplicas: 2 }), pods(5), [])
  assert.deepEqual(above.rescale, {
    replicas: 2,
    reason: 'Current number of replicas above Spec.MaxReplicas',
  })
  const off = plan(autoscaler(), [], [])
  assert.equal(off.rescale, undefined)
  assert.ok(off.conditions.includes('ScalingActive=False ScalingDisabled'))
  const before = { ...autoscaler(), status: { desiredReplicas: 3, currentReplicas: 3 } }
  const { status } = plan(before, [], [])
  assert.deepEqual([status.currentReplicas, status.desiredReplicas], [0, 0])
  const most = plan(autoscaler({ maxReplicas: 3 }), pods(2), uses(2_000, 2_000))
  assert.equal(most.replicas, 3)
  assert.ok(most.conditions.includes('ScalingLimited=True TooManyReplicas'))
})

const history = (over: Partial<History>): History => ({ ...NONE, ...over })
const decide = (behavior: object | undefined, wish: readonly [number, number], known = NONE) => {
  const object = autoscaler({ maxReplicas: 100, ...(behavior === undefined ? {} : { behavior }) })
  const found = normalize(object, { current: wish[0], desired: wish[1], nowMs: NOW_MS }, known)
  return [found.replicas, found.ableToScale.reason, found.limited.reason]
}
const recommended = (replicas: number, secondsAgo: number) => ({
  replicas,
  atMs: NOW_MS - secondsAgo * 1_000,
})
const changed = (change: number, secondsAgo: number) => ({ change, atMs: NOW_MS - secondsAgo * 1_000 })

test('fewer replicas wait until the highest recommendation of five minutes is old', () => {
  const recent = history({ recommendations: [recommended(8, 200)] })
  assert.deepEqual(decide(undefined, [8, 2], recent), [8, 'ScaleDownStabilized', 'DesiredWithinRange'])
  const old = history({ recommendations: [recommended(8, 301)] })
  assert.deepEqual(decide(undefined, [8, 2], old), [2, 'ReadyForNewScale', 'DesiredWithinRange'])
  const quick = { scaleDown: { stabilizationWindowSeconds: 60 } }
  assert.deepEqual(decide(quick, [8, 2], recent), [2, 'ReadyForNewScale', 'DesiredWithinRange'])
})

test('more replicas wait for a window of their own, when there is one', () => {
  const calm = { scaleUp: { stabilizationWindowSeconds: 60 } }
  const recent = history({ recommendations: [recommended(4, 30)] })
  assert.deepEqual(decide(calm, [3, 9], recent), [4, 'ScaleUpStabilized', 'DesiredWithinRange'])
})

test('policies limit how fast replicas come and go', () => {
  const pods4 = { type: 'Pods', value: 4, periodSeconds: 60 }
  const half = { type: 'Percent', value: 50, periodSeconds: 60 }
  const up = (selectPolicy: string, ...policies: object[]) => ({ scaleUp: { selectPolicy, policies } })
  const down = (selectPolicy: string, ...policies: object[]) => ({
    scaleDown: { stabilizationWindowSeconds: 0, selectPolicy, policies },
  })
  assert.deepEqual(decide(up('Max', pods4, half), [20, 90]), [30, 'ReadyForNewScale', 'ScaleUpLimit'])
  assert.deepEqual(decide(up('Min', pods4, half), [20, 90])[0], 24)
  assert.deepEqual(decide(up('Disabled', pods4), [20, 90])[0], 20)
  assert.deepEqual(decide(up('Max', pods4), [23, 90], history({ ups: [changed(3, 30)] }))[0], 24)
  assert.deepEqual(decide(up('Max', pods4), [24, 90], history({ ups: [changed(4, 61)] }))[0], 28)
  assert.deepEqual(decide(down('Max', pods4, half), [20, 1]), [10, 'ReadyForNewScale', 'ScaleDownLimit'])
  assert.deepEqual(decide(down('Min', pods4, half), [20, 1])[0], 16)
  assert.deepEqual(decide(down('Disabled', pods4), [20, 1])[0], 20)
})

test('never outside of the bounds, and never faster than the policies, whatever the metrics say', () => {
  let seed = 11
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % below
  }
  const behavior = {
    scaleUp: {
      stabilizationWindowSeconds: 0,
      selectPolicy: 'Max',
      policies: [{ type: 'Pods', value: 3, periodSeconds: 60 }],
    },
    scaleDown: {
      stabilizationWindowSeconds: 30,
      selectPolicy: 'Max',
      policies: [{ type: 'Pods', value: 2, periodSeconds: 60 }],
    },
  }
  for (let round = 0; round < 40; round++) {
    const object = autoscaler({ minReplicas: 2, maxReplicas: 20, behavior })
    let size = 2 + random(18)
    let known = NONE
    const sizes: number[] = [size]
    for (let step = 0; step < 60; step++) {
      const nowMs = NOW_MS + step * 15_000
      const list = pods(size)
      const measured = [uses(...list.map(() => random(2_000)))]
      const facts = { specReplicas: size, statusReplicas: size, pods: list, measured, history: known, nowMs }
      const found = planAutoscaler(object, facts)
      known = found.history
      size = found.rescale?.replicas ?? size
      sizes.push(size)
      assert.ok(size >= 2 && size <= 20)
      const window = sizes.slice(-5)
      const steps = window.slice(1).map((each, index) => each - (window[index] ?? each))
      const net = steps.reduce((sum, each) => sum + each, 0)
      assert.ok(net <= 3 && net >= -2, `${net} within a minute: ${window}`)
    }
  }
})
