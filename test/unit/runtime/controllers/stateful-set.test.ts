/** Stateful sets in any order of events: never more missing than allowed, the order kept, and an end that is reached. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { PersistentVolumeClaim, Pod, StatefulSet } from '../../../../src/kube/types.ts'
import { planClaimOwners, renderClaims } from '../../../../src/runtime/controllers/stateful-set/claims.ts'
import {
  isInRange,
  ordinalOf,
  type Revision,
  revisionOf,
} from '../../../../src/runtime/controllers/stateful-set/identity.ts'
import {
  maxUnavailable,
  planStatefulSet,
  type StatefulSetAction,
} from '../../../../src/runtime/controllers/stateful-set/plan.ts'
import {
  isPodAvailable,
  planStatefulSetStatus,
} from '../../../../src/runtime/controllers/stateful-set/status.ts'
import { admitPod, deleted, failed, withReadiness } from '../../../support/fake-pods.ts'

const START_MS = Date.parse('2026-01-01T00:00:00Z')

type Spec = NonNullable<StatefulSet['spec']>

function makeSet(spec: Partial<Spec> = {}): StatefulSet {
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'web', namespace: 'default', uid: 'set', generation: 1 },
    spec: { replicas: 3, serviceName: 'web', selector: { matchLabels: { app: 'web' } }, template, ...spec },
  }
}

/** A set with its pods; every change of the template is a number. */
class World {
  set: StatefulSet
  pods: Pod[] = []
  nowMs = START_MS
  template = 1

  constructor(set: StatefulSet) {
    this.set = set
  }

  get current(): Revision {
    return { name: this.set.status?.currentRevision ?? this.update.name, template: this.update.template }
  }

  get update(): Revision {
    return { name: `web-${this.template}`, template: this.set.spec?.template ?? {} }
  }

  plan(): StatefulSetAction[] {
    return planStatefulSet({ ...this.view(), claims: new Map() })
  }

  view() {
    const { set, pods, current, update, nowMs } = this
    return { set, pods, current, update, nowMs }
  }

  apply(actions: readonly StatefulSetAction[]): void {
    for (const action of actions) {
      if (action.kind === 'create-pod') this.pods.push(admitPod(action.pod, this.nowMs))
      if (action.kind === 'delete-pod') this.change(action.pod, pod => deleted(pod, this.nowMs))
    }
    this.set = {
      ...this.set,
      status: planStatefulSetStatus({
        set: this.set,
        pods: this.pods,
        current: this.current.name,
        update: this.update.name,
        collisionCount: 0,
        nowMs: this.nowMs,
      }),
    }
  }

  scale(replicas: number): void {
    const spec = { ...this.set.spec, replicas } as Spec
    this.set = { ...this.set, spec }
  }

  change(target: Pod | undefined, next: (pod: Pod) => Pod): void {
    this.pods = this.pods.map(pod => (pod.metadata.uid === target?.metadata.uid ? next(pod) : pod))
  }

  isWell = (pod: Pod): boolean =>
    pod.metadata.deletionTimestamp === undefined && isPodAvailable(this.set, pod, this.nowMs)

  wellBelow(ordinal: number): boolean {
    const start = this.set.spec?.ordinals?.start ?? 0
    return Array.from({ length: ordinal - start }, (_, index) => start + index).every(each =>
      this.pods.some(pod => ordinalOf(this.set, pod) === each && this.isWell(pod)),
    )
  }

  /** A kubelet that does all it should. */
  playKubelet(): void {
    this.pods = this.pods
      .filter(pod => pod.metadata.deletionTimestamp === undefined)
      .map(pod => (pod.status?.phase === 'Pending' ? withReadiness(pod, true, this.nowMs) : pod))
      .map(pod =>
        pod.status?.phase === 'Failed' || this.isReady(pod) ? pod : withReadiness(pod, true, this.nowMs),
      )
    this.nowMs += 60_000
  }

  isReady = (pod: Pod): boolean => pod.status?.conditions?.[0]?.status === 'True'
}

const names = (actions: readonly StatefulSetAction[]) =>
  actions.map(action => `${action.kind} ${action.kind === 'change-claim' ? '' : action.pod.metadata.name}`)

describe('in order', () => {
  test('one pod after the other starts, and only when all before it have been ready long enough', () => {
    const world = new World(makeSet({ minReadySeconds: 10, ordinals: { start: 4 } }))
    assert.deepEqual(names(world.plan()), ['create-pod web-4'])
    world.apply(world.plan())
    assert.deepEqual(world.plan(), [])
    world.change(world.pods[0], pod => withReadiness(pod, true, world.nowMs))
    assert.deepEqual(world.plan(), [])
    world.nowMs += 10_000
    assert.deepEqual(names(world.plan()), ['create-pod web-5'])
  })

  test('the highest goes first, and waits for all others to be well', () => {
    const world = new World(makeSet())
    for (let round = 0; round < 3; round++) {
      world.apply(world.plan())
      world.playKubelet()
    }
    world.scale(1)
    world.change(world.pods[0], pod => withReadiness(pod, false, world.nowMs))
    assert.deepEqual(world.plan(), [])
    world.change(world.pods[0], pod => withReadiness(pod, true, world.nowMs))
    assert.deepEqual(names(world.plan()), ['delete-pod web-2'])
  })
})

test('a set that is being deleted does nothing more', () => {
  const set = makeSet()
  const world = new World({
    ...set,
    metadata: { ...set.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
  })
  assert.deepEqual(world.plan(), [])
})

test('claims belong to the set or to the pod that is scaled away, as the policy says', () => {
  const volumeClaimTemplates = [
    { metadata: { name: 'data' }, spec: {} },
  ] as unknown as PersistentVolumeClaim[]
  const pod = admitPod({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web-1' } }, START_MS)
  const ownersBy = (whenScaled: string, whenDeleted: string, replicas: number) => {
    const persistentVolumeClaimRetentionPolicy = { whenScaled, whenDeleted }
    const set = makeSet({ volumeClaimTemplates, persistentVolumeClaimRetentionPolicy, replicas })
    const claims = new Map(renderClaims(set, 1).map(claim => [claim.metadata.name ?? '', claim]))
    return planClaimOwners(set, pod, { ordinal: 1, claims }).flatMap(change =>
      (change.claim.metadata.ownerReferences ?? []).map(owner => owner.kind),
    )
  }
  assert.deepEqual(ownersBy('Retain', 'Retain', 1), [])
  assert.deepEqual(ownersBy('Retain', 'Delete', 1), ['StatefulSet'])
  assert.deepEqual(ownersBy('Delete', 'Retain', 1), ['Pod'])
  assert.deepEqual(ownersBy('Delete', 'Retain', 2), [])
  assert.deepEqual(ownersBy('Delete', 'Delete', 1), ['Pod'])
  assert.deepEqual(ownersBy('Delete', 'Delete', 2), ['StatefulSet'])
})

const pick = fc.nat({ max: 7 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'plan' } as const) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('ready' as const), pod: pick }) },
  fc.record({ kind: fc.constantFrom('unready', 'fail', 'gone', 'delete'), pod: pick }),
  fc.record({ kind: fc.constantFrom('template', 'later') }),
  fc.record({ kind: fc.constant('scale' as const), replicas: fc.nat({ max: 5 }) }),
)
const shape = fc.record({
  podManagementPolicy: fc.constantFrom('OrderedReady', 'Parallel'),
  minReadySeconds: fc.constantFrom(0, 30),
  ordinals: fc.record({ start: fc.constantFrom(0, 3) }),
  updateStrategy: fc.record({
    type: fc.constantFrom('RollingUpdate', 'OnDelete'),
    rollingUpdate: fc.record({ partition: fc.nat({ max: 2 }), maxUnavailable: fc.constantFrom(1, 2, '50%') }),
  }),
})

type Step = { readonly kind: string; readonly pod?: number; readonly replicas?: number }

function happen(world: World, { kind, pod: index = 0, replicas = 0 }: Step): void {
  const target = world.pods[index % Math.max(1, world.pods.length)]
  const isOver = target?.status?.phase === 'Failed'
  if (kind === 'plan') checkPlan(world)
  else if (kind === 'ready' && !isOver) world.change(target, pod => withReadiness(pod, true, world.nowMs))
  else if (kind === 'unready' && !isOver) world.change(target, pod => withReadiness(pod, false, world.nowMs))
  else if (kind === 'fail') world.change(target, failed)
  else if (kind === 'delete') world.change(target, pod => deleted(pod, world.nowMs))
  else if (kind === 'gone')
    world.pods = world.pods.filter(pod => pod.metadata.deletionTimestamp === undefined)
  else if (kind === 'template') world.template++
  else if (kind === 'later') world.nowMs += 20_000
  else if (kind === 'scale') world.scale(replicas)
}

/** Plans, checks what no plan may do, and applies. */
function checkPlan(world: World): void {
  const actions = world.plan()
  const { set } = world
  const isOrdered = set.spec?.podManagementPolicy === 'OrderedReady'
  const partition =
    (set.spec?.ordinals?.start ?? 0) + (set.spec?.updateStrategy?.rollingUpdate?.partition ?? 0)
  const ordinal = (pod: Pod) => ordinalOf(set, pod) ?? -1
  const created = actions.flatMap(action => (action.kind === 'create-pod' ? [action.pod] : []))
  const gone = actions.flatMap(action => (action.kind === 'delete-pod' ? [action.pod] : []))
  for (const pod of created) {
    assert.ok(isInRange(set, ordinal(pod)))
    assert.ok(!world.pods.some(other => other.metadata.name === pod.metadata.name), 'a name is free first')
    assert.equal(revisionOf(pod), (ordinal(pod) < partition ? world.current : world.update).name)
    if (isOrdered) assert.ok(world.wellBelow(ordinal(pod)), 'all before it are well')
  }
  if (isOrdered)
    assert.ok(created.length <= 1 && created.length + gone.length <= Math.max(1, maxUnavailable(set)))
  const lost = gone.filter(pod => isInRange(set, ordinal(pod)) && world.isWell(pod))
  const missing =
    (set.spec?.replicas ?? 0) -
    world.pods.filter(pod => isInRange(set, ordinal(pod)) && world.isWell(pod)).length
  assert.ok(lost.length <= Math.max(0, maxUnavailable(set) - missing), 'never more missing than allowed')
  for (const pod of lost) {
    assert.equal(set.spec?.updateStrategy?.type, 'RollingUpdate')
    assert.ok(ordinal(pod) >= partition, 'none below the partition')
    assert.notEqual(revisionOf(pod), world.update.name)
    const higher = world.pods.filter(other => isInRange(set, ordinal(other)) && ordinal(other) > ordinal(pod))
    assert.ok(
      higher.every(
        other =>
          gone.includes(other) || revisionOf(other) === world.update.name || other.metadata.deletionTimestamp,
      ),
    )
  }
  if (isOrdered) {
    const condemned = gone.filter(pod => !isInRange(set, ordinal(pod)))
    const highest = Math.max(...world.pods.filter(pod => !isInRange(set, ordinal(pod))).map(ordinal))
    for (const pod of condemned) assert.equal(ordinal(pod), highest, 'the highest goes first')
  }
  world.apply(actions)
}

/** All goes well for a while. */
function settle(world: World): void {
  for (let round = 0; round < 40; round++) {
    checkPlan(world)
    world.playKubelet()
  }
}

test('in any order of events no plan takes more than it may, and all of them end', () => {
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 60 }), (spec, steps) => {
      const world = new World(makeSet(spec as unknown as Spec))
      settle(world)
      world.template++
      for (const each of steps) happen(world, each)
      settle(world)
      assert.deepEqual(world.plan(), [], 'nothing is left to do')
      const wanted = world.set.spec?.replicas ?? 0
      assert.equal(world.pods.length, wanted)
      assert.ok(world.pods.every(pod => isInRange(world.set, ordinalOf(world.set, pod) ?? -1)))
      if (spec.updateStrategy.type === 'OnDelete') return
      const first = spec.ordinals.start + spec.updateStrategy.rollingUpdate.partition
      const old = world.pods.filter(pod => revisionOf(pod) !== world.update.name)
      assert.ok(old.every(pod => (ordinalOf(world.set, pod) ?? 0) < first))
    }),
    { numRuns: 400 },
  )
})
