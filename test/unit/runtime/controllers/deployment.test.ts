import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { unreachable } from '../../../../src/base/assert.ts'
import type { Deployment, Pod, ReplicaSet } from '../../../../src/kube/types.ts'
import { HASH_LABEL, REVISION } from '../../../../src/runtime/controllers/deployment/annotations.ts'
import { type DeploymentPlan, planDeployment } from '../../../../src/runtime/controllers/deployment/plan.ts'
import { findCondition, withoutZeros } from '../../../../src/runtime/controllers/deployment/status.ts'

const START_MS = Date.parse('2026-01-01T00:00:00Z')

function deployment(spec: object = {}): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'default', uid: 'web', generation: 1 },
    spec: {
      replicas: 4,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'v1' }] } },
      progressDeadlineSeconds: 600,
      ...spec,
    },
  }
}

/** A deployment with its replica sets, whose pods come and go as the test says. */
class Rollout {
  deployment: Deployment
  sets: ReplicaSet[] = []
  pods: Pod[] = []
  nowMs = START_MS
  #created = 0

  constructor(start: Deployment) {
    this.deployment = start
  }

  /** Plans and applies until nothing is left to do; returns what was done. */
  settle(): string[] {
    const done: string[] = []
    for (let round = 0; round < 50; round++) {
      const plan = planDeployment(this)
      this.deployment = { ...this.deployment, status: plan.status }
      if (plan.revision !== null) this.deployment.metadata.annotations = { [REVISION]: plan.revision }
      if (plan.actions.length === 0) return done
      done.push(...this.#apply(plan))
    }
    assert.fail(`does not settle: ${done.join('; ')}`)
  }

  update(spec: object): void {
    const { metadata } = this.deployment
    const next = { ...this.deployment, metadata: { ...metadata, generation: (metadata.generation ?? 0) + 1 } }
    this.deployment = {
      ...next,
      spec: { ...deployment().spec, ...this.deployment.spec, ...spec },
    } as Deployment
  }

  useImage(image: string): void {
    const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } }
    this.update({ template })
  }

  /** Every replica set has the pods it wants, and they are available. */
  becomeReady(most = Number.POSITIVE_INFINITY): void {
    let left = most
    for (const set of this.sets) {
      const wanted = set.spec?.replicas ?? 0
      const had = Math.min(set.status?.availableReplicas ?? 0, wanted)
      const gained = Math.min(left, wanted - had)
      left -= gained
      const available = had + gained
      const observedGeneration = set.metadata.generation ?? 0
      set.status = {
        replicas: wanted,
        readyReplicas: available,
        availableReplicas: available,
        observedGeneration,
      }
    }
  }

  sizes(): string {
    return this.sets.map(set => `${imageOf(set)}=${set.spec?.replicas}`).join(' ')
  }

  #apply(plan: DeploymentPlan): string[] {
    return plan.actions.map((action): string => {
      const set = action.kind === 'create-set' ? action.set : this.#find(action.set)
      switch (action.kind) {
        case 'create-set': {
          const uid = `set-${this.#created++}`
          const creationTimestamp = new Date(START_MS + this.#created * 1_000).toISOString()
          this.sets.push({ ...set, metadata: { ...set.metadata, uid, creationTimestamp, generation: 1 } })
          return `create ${imageOf(set)}=${set.spec?.replicas}`
        }
        case 'update-set':
          Object.assign(set, action.set)
          return `update ${imageOf(set)}`
        case 'resize-set':
          this.#resize(set, action.to)
          return `resize ${imageOf(set)}=${action.to}`
        case 'delete-set':
          this.sets = this.sets.filter(each => each !== set)
          return `delete ${imageOf(set)}`
        default:
          return unreachable(action)
      }
    })
  }

  #resize(set: ReplicaSet, to: number): void {
    const replicas = this.deployment.spec?.replicas ?? 1
    const desired = { 'deployment.kubernetes.io/desired-replicas': String(replicas) }
    set.metadata.annotations = { ...set.metadata.annotations, ...desired, ...this.#maxReplicas(replicas) }
    if (set.spec) set.spec.replicas = to
    if (set.status) set.status.availableReplicas = Math.min(set.status.availableReplicas ?? 0, to)
  }

  #maxReplicas(replicas: number): Record<string, string> {
    const isRolling = this.deployment.spec?.strategy?.type !== 'Recreate'
    const surge = this.deployment.spec?.strategy?.rollingUpdate?.maxSurge ?? Math.ceil(replicas / 4)
    return { 'deployment.kubernetes.io/max-replicas': String(replicas + (isRolling ? Number(surge) : 0)) }
  }

  #find(set: ReplicaSet): ReplicaSet {
    const found = this.sets.find(each => each.metadata.uid === set.metadata.uid)
    assert.ok(found)
    return found
  }
}

const imageOf = (set: ReplicaSet): string => set.spec?.template?.spec?.containers[0]?.image ?? ''
const progressOf = (rollout: Rollout) => findCondition(rollout.deployment.status?.conditions, 'Progressing')

function rolledOut(spec: object = {}): Rollout {
  const rollout = new Rollout(deployment(spec))
  rollout.settle()
  rollout.becomeReady()
  rollout.settle()
  return rollout
}

test('a new deployment gets a replica set of its size, named after its template', () => {
  const rollout = new Rollout(deployment())
  assert.deepEqual(rollout.settle(), ['create v1=4'])
  const [set] = rollout.sets
  assert.equal(set?.metadata.name, `web-${set?.metadata.labels?.[HASH_LABEL]}`)
  assert.equal(set?.spec?.selector.matchLabels?.[HASH_LABEL], set?.metadata.labels?.[HASH_LABEL])
  assert.equal(set?.metadata.annotations?.[REVISION], '1')
  assert.equal(progressOf(rollout)?.reason, 'NewReplicaSetCreated')
  rollout.becomeReady()
  rollout.settle()
  assert.equal(progressOf(rollout)?.reason, 'NewReplicaSetAvailable')
  assert.equal(findCondition(rollout.deployment.status?.conditions, 'Available')?.status, 'True')
})

test('a rolling update never has too many pods nor too few available ones', () => {
  for (const [maxSurge, maxUnavailable] of [
    ['25%', '25%'],
    [1, 0],
    [0, 1],
    [2, 2],
    ['100%', 0],
  ] as const) {
    const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } }
    const rollout = rolledOut({ replicas: 5, strategy })
    rollout.useImage('v2')
    const surge = maxSurge === '25%' ? 2 : maxSurge === '100%' ? 5 : maxSurge
    const missing = maxUnavailable === '25%' ? 1 : maxUnavailable
    for (let step = 0; step < 40 && rollout.sizes() !== 'v1=0 v2=5'; step++) {
      rollout.settle()
      const total = rollout.sets.reduce((sum, set) => sum + (set.spec?.replicas ?? 0), 0)
      const available = rollout.sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0)
      assert.ok(total <= 5 + surge, `${total} pods at surge ${surge}`)
      assert.ok(available >= 5 - missing, `${available} available at ${missing}`)
      rollout.becomeReady(1)
    }
    assert.equal(rollout.sizes(), 'v1=0 v2=5')
    rollout.becomeReady()
    rollout.settle()
    assert.equal(rollout.deployment.metadata.annotations?.[REVISION], '2')
    assert.equal(progressOf(rollout)?.reason, 'NewReplicaSetAvailable')
  }
})

test('going back to an earlier template takes its replica set again, with a new revision', () => {
  const rollout = rolledOut({ replicas: 1 })
  rollout.useImage('v2')
  rollout.settle()
  rollout.becomeReady()
  rollout.settle()
  rollout.useImage('v1')
  rollout.settle()
  rollout.becomeReady()
  rollout.settle()
  assert.equal(rollout.sizes(), 'v1=1 v2=0')
  assert.equal(rollout.deployment.metadata.annotations?.[REVISION], '3')
  const [first] = rollout.sets
  assert.equal(first?.metadata.annotations?.[REVISION], '3')
  assert.equal(first?.metadata.annotations?.['deployment.kubernetes.io/revision-history'], '1')
})

test('Recreate waits for the last old pod before it makes new ones', () => {
  const rollout = rolledOut({ strategy: { type: 'Recreate' } })
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'old', uid: 'set-0', controller: true }
  const old: Pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', uid: 'p', ownerReferences: [owner] },
  }
  rollout.pods = [old]
  rollout.useImage('v2')
  assert.deepEqual(rollout.settle(), ['resize v1=0'])
  rollout.pods = []
  assert.deepEqual(rollout.settle(), ['create v2=4'])
})

test('resizing midway divides the new size in proportion', () => {
  const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } }
  const rollout = rolledOut({ replicas: 10, strategy })
  rollout.useImage('v2')
  rollout.settle()
  assert.equal(rollout.sizes(), 'v1=8 v2=5')
  rollout.update({ replicas: 15 })
  const [scaled] = [planDeployment(rollout)]
  const sizes = scaled.actions.flatMap(action => (action.kind === 'resize-set' ? [action.to] : []))
  assert.equal(
    sizes.reduce((sum, size) => sum + size, 0),
    18,
  )
  assert.deepEqual(sizes.sort(), [11, 7])
})

test('a paused deployment is resized but not rolled out', () => {
  const rollout = rolledOut()
  rollout.update({ paused: true, replicas: 6 })
  rollout.useImage('v2')
  assert.deepEqual(rollout.settle(), ['resize v1=6'])
  assert.equal(progressOf(rollout)?.reason, 'DeploymentPaused')
  rollout.update({ paused: false })
  assert.match(rollout.settle().join(), /create v2/)
})

test('a deployment that is paused in the middle of a rollout stands still', () => {
  const rollout = rolledOut()
  rollout.useImage('broken')
  rollout.settle()
  rollout.update({ paused: true })
  assert.deepEqual(rollout.settle(), [])
})

test('a rollout that stands still for too long has exceeded its deadline', () => {
  const rollout = rolledOut()
  rollout.useImage('broken')
  rollout.settle()
  rollout.nowMs += 599_000
  rollout.settle()
  assert.equal(progressOf(rollout)?.status, 'True')
  rollout.nowMs += 2_000
  rollout.settle()
  assert.equal(progressOf(rollout)?.reason, 'ProgressDeadlineExceeded')
  assert.equal(progressOf(rollout)?.status, 'False')
})

test('only as many old replica sets are kept as the history limit says', () => {
  const rollout = rolledOut({ revisionHistoryLimit: 1, replicas: 1 })
  for (const image of ['v2', 'v3', 'v4']) {
    rollout.useImage(image)
    for (let step = 0; step < 4; step++) {
      rollout.settle()
      rollout.becomeReady()
    }
  }
  rollout.settle()
  assert.equal(rollout.sizes(), 'v3=0 v4=1')
})

const total = (rollout: Rollout) => rollout.sets.reduce((sum, set) => sum + (set.spec?.replicas ?? 0), 0)
const available = (rollout: Rollout) =>
  rollout.sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0)

/** So many available pods are no longer that, of the oldest replica sets first. */
function lose(rollout: Rollout, count: number): void {
  let left = count
  for (const set of rollout.sets) {
    const had = set.status?.availableReplicas ?? 0
    const lost = Math.min(had, left)
    left -= lost
    if (set.status) Object.assign(set.status, { availableReplicas: had - lost, readyReplicas: had - lost })
  }
}

const happening = fc.oneof(
  fc.record({ kind: fc.constantFrom('ready', 'lost'), count: fc.nat({ max: 4 }) }),
  fc.record({ kind: fc.constant('image'), count: fc.nat({ max: 3 }) }),
  fc.record({ kind: fc.constant('scale'), count: fc.nat({ max: 12 }) }),
)

test('in any order of events a rollout adds and takes no more than it may, and ends', () => {
  const limits = fc.constantFrom([1, 0], [0, 1], [2, 1], [0, 3])
  fc.assert(
    fc.property(
      limits,
      fc.array(happening, { maxLength: 30 }),
      ([maxSurge = 0, maxUnavailable = 0], events) => {
        const rollout = new Rollout(deployment({ strategy: { rollingUpdate: { maxSurge, maxUnavailable } } }))
        rollout.settle()
        rollout.becomeReady()
        rollout.settle()
        for (const { kind, count } of events) {
          if (kind === 'ready') rollout.becomeReady(count)
          if (kind === 'lost') lose(rollout, count)
          if (kind === 'image') rollout.useImage(`v${count}`)
          if (kind === 'scale') rollout.update({ replicas: count })
          const before = { total: total(rollout), available: available(rollout) }
          rollout.settle()
          const replicas = rollout.deployment.spec?.replicas ?? 0
          assert.ok(total(rollout) <= Math.max(before.total, replicas + maxSurge), 'never more than allowed')
          if (kind === 'scale') continue
          const least = Math.min(before.available, replicas - maxUnavailable)
          assert.ok(available(rollout) >= least, 'never fewer than allowed')
        }
        for (let round = 0; round < 40; round++) {
          rollout.becomeReady()
          rollout.settle()
        }
        const replicas = rollout.deployment.spec?.replicas ?? 0
        const image = rollout.deployment.spec?.template.spec?.containers[0]?.image
        const sizes = rollout.sets
          .filter(set => set.spec?.replicas !== 0)
          .map(set => set.spec?.template?.spec?.containers[0]?.image)
        assert.deepEqual(sizes, replicas === 0 ? [] : [image])
        assert.equal(total(rollout), replicas)
      },
    ),
    { numRuns: 300 },
  )
})

test('counts of nothing are left out of the status that is written, but for the pods that end', () => {
  const status = { observedGeneration: 2, replicas: 3, readyReplicas: 0, availableReplicas: 0 }
  const rest = { updatedReplicas: 3, unavailableReplicas: 3, terminatingReplicas: 0, conditions: [] }
  const kept = { observedGeneration: 2, replicas: 3, ...rest }
  assert.deepEqual(withoutZeros({ ...status, ...rest }), kept)
})
