import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Pod, PodDisruptionBudget } from '../../../../src/kube/types.ts'
import {
  needsScales,
  planBudget,
  planFailure,
  staleTargetMs,
} from '../../../../src/runtime/controllers/disruption/plan.ts'
import { disruptionPatch } from '../../../../src/runtime/controllers/shared/disruption.ts'

const NOW_MS = Date.parse('2026-01-01T01:00:00Z')
const at = (secondsAgo: number) => new Date(NOW_MS - secondsAgo * 1_000).toISOString().replace('.000', '')

const budget = (spec: object, status?: object): PodDisruptionBudget => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: { name: 'web', namespace: 'default', generation: 2 },
  spec,
  ...(status === undefined ? {} : { status: { disruptionsAllowed: 0, ...status } as never }),
})

function pod(
  name: string,
  facts: { ready?: boolean; deleting?: boolean; owner?: string; target?: object } = {},
): Pod {
  const { ready = true, deleting = false, owner = 'rs' } = facts
  const reference = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true }
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      ...(owner === '' ? {} : { ownerReferences: [reference] }),
      ...(deleting ? { deletionTimestamp: at(1) } : {}),
    },
    status: {
      phase: 'Running',
      conditions: [...conditions, ...(facts.target ? [facts.target as never] : [])],
    },
  }
}

const pods = (ready: number, unready = 0) => [
  ...Array.from({ length: ready }, (_, index) => pod(`ready-${index}`)),
  ...Array.from({ length: unready }, (_, index) => pod(`unready-${index}`, { ready: false })),
]
const plan = (object: PodDisruptionBudget, list: readonly Pod[], scale = 0) =>
  planBudget(object, { pods: list, scales: new Map([['rs', scale]]), nowMs: NOW_MS })
function numbers(object: PodDisruptionBudget, list: readonly Pod[], scale = 0): unknown[] {
  const { status } = plan(object, list, scale)
  return [status.expectedPods, status.desiredHealthy, status.currentHealthy, status.disruptionsAllowed]
}

test('expected, desired and healthy pods make what is allowed', () => {
  assert.deepEqual(numbers(budget({ minAvailable: 2 }), pods(3)), [3, 2, 3, 1])
  assert.deepEqual(numbers(budget({ minAvailable: 3 }), pods(3)), [3, 3, 3, 0])
  assert.deepEqual(numbers(budget({ minAvailable: 1 }), pods(1, 2)), [3, 1, 1, 0])
  assert.deepEqual(numbers(budget({ minAvailable: '50%' }), pods(5), 5), [5, 3, 5, 2])
  assert.deepEqual(numbers(budget({ maxUnavailable: 1 }), pods(5), 5), [5, 4, 5, 1])
  assert.deepEqual(numbers(budget({ maxUnavailable: 1 }), pods(4, 1), 5), [5, 4, 4, 0])
  assert.deepEqual(numbers(budget({ maxUnavailable: '30%' }), pods(10), 10), [10, 7, 10, 3])
  assert.deepEqual(numbers(budget({ maxUnavailable: 7 }), pods(3), 3), [3, 0, 3, 3])
  assert.deepEqual(
    numbers(budget({ minAvailable: 0 }), []),
    [0, 0, 0, 0],
    'nothing is allowed before pods are seen',
  )
})

test('pods on their way out, and those whose eviction was allowed, are not healthy', () => {
  const disruptedPods = { 'ready-0': at(10), gone: at(10) }
  const found = plan(budget({ minAvailable: 1 }, { disruptedPods }), [
    ...pods(3),
    pod('dying', { deleting: true }),
  ])
  assert.equal(found.status.currentHealthy, 2)
  assert.deepEqual(found.status.disruptedPods, { 'ready-0': at(10) })
  assert.equal(found.againMs, 110_001)
})

test('an eviction whose pod is still there after two minutes is forgotten', () => {
  const disruptedPods = { 'ready-0': at(121) }
  const found = plan(budget({ minAvailable: 1 }, { disruptedPods }), pods(3))
  assert.equal(found.status.currentHealthy, 3)
  assert.equal(found.status.disruptedPods, undefined)
  assert.deepEqual(
    found.notDeleted.map(each => each.metadata.name),
    ['ready-0'],
  )
})

test('the condition says whether disruptions are allowed, and since when', () => {
  const condition = (object: PodDisruptionBudget, list: readonly Pod[]) =>
    plan(object, list).status.conditions?.[0]
  const first = condition(budget({ minAvailable: 1 }), pods(2))
  assert.deepEqual(first, {
    type: 'DisruptionAllowed',
    status: 'True',
    reason: 'SufficientPods',
    message: '',
    lastTransitionTime: at(0),
    observedGeneration: 2,
  })
  const before = { ...first, lastTransitionTime: at(60) }
  const same = condition(budget({ minAvailable: 1 }, { conditions: [before] }), pods(2))
  assert.equal(same?.lastTransitionTime, at(60))
  const none = condition(budget({ minAvailable: 2 }, { conditions: [before] }), pods(2))
  assert.deepEqual(
    [none?.status, none?.reason, none?.lastTransitionTime],
    ['False', 'InsufficientPods', at(0)],
  )
})

test('numbers that cannot be found allow nothing, and say why', () => {
  const status = planFailure(budget({}, { disruptionsAllowed: 3, currentHealthy: 4 }), 'no scale', NOW_MS)
  assert.equal(status.disruptionsAllowed, 0)
  assert.equal(status.currentHealthy, 4)
  assert.deepEqual(
    [status.conditions?.[0]?.reason, status.conditions?.[0]?.message],
    ['SyncFailed', 'no scale'],
  )
})

test('only shares ask for scales, and tell of pods that have none', () => {
  assert.equal(needsScales(budget({ minAvailable: 2 })), false)
  assert.equal(needsScales(budget({ minAvailable: '10%' })), true)
  assert.equal(needsScales(budget({ maxUnavailable: 1 })), true)
  const lonely = [pod('lonely', { owner: '' }), pod('owned')]
  assert.deepEqual(plan(budget({ maxUnavailable: 1 }), lonely).unmanaged, ['lonely'])
  assert.deepEqual(plan(budget({ minAvailable: 1 }), lonely).unmanaged, [])
})

test('a disruption target that nobody acts on is stale after two minutes', () => {
  const target = (reason: string, secondsAgo: number) =>
    pod('p', {
      target: { type: 'DisruptionTarget', status: 'True', reason, lastTransitionTime: at(secondsAgo) },
    })
  assert.equal(staleTargetMs(target('EvictionByEvictionAPI', 20), NOW_MS), 100_000)
  assert.equal(staleTargetMs(target('EvictionByEvictionAPI', 500), NOW_MS), 0)
  assert.equal(staleTargetMs(target('TerminationByKubelet', 500), NOW_MS), undefined)
  assert.equal(staleTargetMs(pod('p'), NOW_MS), undefined)
})

test('never more evictions are allowed than leave the wanted pods, in any order of evictions and recoveries', () => {
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed % below
  }
  for (let round = 0; round < 200; round++) {
    const size = 1 + random(8)
    const wanted = random(size + 1)
    let list = pods(size)
    let object = budget({ minAvailable: wanted })
    for (let step = 0; step < 30; step++) {
      object = { ...object, status: plan(object, list).status }
      const allowed = object.status?.disruptionsAllowed ?? 0
      for (let taken = 0; taken < allowed; taken++) {
        const [victim] = list.filter(
          each =>
            !each.metadata.deletionTimestamp && !object.status?.disruptedPods?.[each.metadata.name ?? ''],
        )
        if (victim === undefined) break
        const name = victim.metadata.name ?? ''
        const disruptedPods = { ...object.status?.disruptedPods, [name]: at(0) }
        object = { ...object, status: { ...object.status, disruptedPods } as never }
        if (random(2) === 0) list = list.map(each => (each === victim ? pod(name, { deleting: true }) : each))
      }
      const disrupted = object.status?.disruptedPods ?? {}
      const up = list.filter(
        each => !each.metadata.deletionTimestamp && !Object.hasOwn(disrupted, each.metadata.name ?? ''),
      )
      assert.ok(up.length >= Math.min(wanted, size), `${up.length} of ${size} are up, ${wanted} are wanted`)
      if (random(3) === 0) {
        list = list.map(each => (each.metadata.deletionTimestamp ? pod(`new-${round}-${step}`) : each))
      }
    }
  }
})

test('the word why the control plane ends a pod says which generation of the pod it is about', () => {
  const ended = pod('p')
  ended.metadata.generation = 3
  assert.deepEqual(disruptionPatch(ended, { reason: 'DeletionByPodGC', message: 'gone' }, NOW_MS), {
    status: {
      conditions: [
        {
          type: 'DisruptionTarget',
          observedGeneration: 3,
          status: 'True',
          lastTransitionTime: '2026-01-01T01:00:00Z',
          reason: 'DeletionByPodGC',
          message: 'gone',
        },
      ],
    },
  })
})
