/** Daemon sets in any order of events: never more missing or doubled than allowed, and an end that is reached. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { DaemonSet, Node, Pod } from '../../../../src/kube/types.ts'
import {
  eligibilityOf,
  isUpdated,
  renderPod,
  targetNode,
} from '../../../../src/runtime/controllers/daemon-set/daemon-pod.ts'
import { FailedPods } from '../../../../src/runtime/controllers/daemon-set/failed-pods.ts'
import { rolloutLimits } from '../../../../src/runtime/controllers/daemon-set/limits.ts'
import { type DaemonNode, daemonNodes } from '../../../../src/runtime/controllers/daemon-set/nodes.ts'
import { planDaemonSet } from '../../../../src/runtime/controllers/daemon-set/plan.ts'
import { planDaemonSetStatus } from '../../../../src/runtime/controllers/daemon-set/status.ts'
import { isAvailable } from '../../../../src/runtime/controllers/shared/pods.ts'
import { admitPod, deleted, failed, withReadiness } from '../../../support/fake-pods.ts'

const START_MS = Date.parse('2026-01-01T00:00:00Z')

type Spec = NonNullable<DaemonSet['spec']>

function makeSet(spec: Partial<Spec> = {}): DaemonSet {
  const template = { metadata: { labels: { app: 'a' } }, spec: { containers: [{ name: 'c', image: 'i' }] } }
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace: 'default', uid: 'set', generation: 1 },
    spec: { selector: { matchLabels: { app: 'a' } }, template, ...spec },
  }
}

const makeNode = (name: string, spec: object = {}, labels: Record<string, string> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
  spec,
})

const withPodSpec = (podSpec: object): DaemonSet =>
  makeSet({ template: { spec: { containers: [], ...podSpec } } })

test('a node is to have a daemon as its labels, its name and its taints say', () => {
  const ask = (podSpec: object, node: Node) => {
    const { shouldRun, shouldContinue } = eligibilityOf(withPodSpec(podSpec), node)
    return `${shouldRun} ${shouldContinue}`
  }
  const tainted = (key: string, effect: string) => makeNode('n', { taints: [{ key, effect }] })
  assert.equal(ask({}, makeNode('n')), 'true true')
  assert.equal(ask({ nodeSelector: { disk: 'fast' } }, makeNode('n')), 'false false')
  assert.equal(ask({ nodeSelector: { disk: 'fast' } }, makeNode('n', {}, { disk: 'fast' })), 'true true')
  assert.equal(ask({ nodeName: 'other' }, makeNode('n')), 'false false')
  assert.equal(ask({}, tainted('own', 'NoSchedule')), 'false true')
  assert.equal(ask({}, tainted('own', 'NoExecute')), 'false false')
  assert.equal(ask({}, tainted('own', 'PreferNoSchedule')), 'true true')
  assert.equal(ask({ tolerations: [{ operator: 'Exists' }] }, tainted('own', 'NoExecute')), 'true true')
  assert.equal(ask({}, tainted('node.kubernetes.io/not-ready', 'NoExecute')), 'true true')
  assert.equal(ask({}, tainted('node.kubernetes.io/unschedulable', 'NoSchedule')), 'true true')
  const offline = tainted('node.kubernetes.io/network-unavailable', 'NoSchedule')
  assert.equal(ask({}, offline), 'false true')
  assert.equal(ask({ hostNetwork: true }, offline), 'true true')
})

test('a pod is bound to its node by affinity, keeps its preferences and says where it is to run', () => {
  const preferred = [{ weight: 1, preference: { matchExpressions: [{ key: 'a', operator: 'Exists' }] } }]
  const required = { nodeSelectorTerms: [{ matchExpressions: [{ key: 'b', operator: 'Exists' }] }] }
  const nodeAffinity = {
    preferredDuringSchedulingIgnoredDuringExecution: preferred,
    requiredDuringSchedulingIgnoredDuringExecution: required,
  }
  const pod = renderPod(withPodSpec({ affinity: { nodeAffinity } }), 'node-7', 'hash')
  assert.deepEqual(pod.spec?.affinity?.nodeAffinity, {
    preferredDuringSchedulingIgnoredDuringExecution: preferred,
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['node-7'] }] }],
    },
  })
  assert.equal(targetNode(pod), 'node-7')
})

test('a daemon that keeps failing waits longer each time', () => {
  const pods = new FailedPods()
  const waits: number[] = []
  let nowMs = START_MS
  for (let round = 0; round < 12; round++) {
    pods.fail('key', nowMs)
    waits.push(pods.waitMs('key', nowMs))
    nowMs += pods.waitMs('key', nowMs)
    assert.equal(pods.waitMs('key', nowMs), 0)
  }
  assert.deepEqual(waits.slice(0, 3), [1_000, 2_000, 4_000])
  assert.equal(waits.at(-1), 900_000)
  pods.fail('key', nowMs + 3_600_000)
  assert.equal(pods.waitMs('key', nowMs + 3_600_000), 1_000, 'after a good hour it starts anew')
})

class World {
  readonly set: DaemonSet
  readonly failures = new FailedPods()
  nodes: Node[] = [1, 2, 3, 4].map(id => makeNode(`n${id}`))
  pods: Pod[] = []
  nowMs = START_MS
  template = 1

  constructor(set: DaemonSet) {
    this.set = set
  }

  get hash(): string {
    return `hash-${this.template}`
  }

  view() {
    const nodes = daemonNodes(this.set, this.nodes, this.pods)
    const backoffMs = (node: string) => this.failures.waitMs(node, this.nowMs)
    return { set: this.set, nodes, hash: this.hash, nowMs: this.nowMs, backoffMs }
  }

  isWell = (pod: Pod): boolean => isAvailable(pod, this.set.spec?.minReadySeconds ?? 0, this.nowMs)
  isNew = (pod: Pod): boolean => isUpdated(this.set, pod, this.hash)

  change(target: Pod | undefined, next: (pod: Pod) => Pod): void {
    this.pods = this.pods.map(pod => (pod.metadata.uid === target?.metadata.uid ? next(pod) : pod))
  }

  playKubelets(): void {
    const live = this.pods.filter(pod => pod.metadata.deletionTimestamp === undefined)
    this.pods = live.map(pod => {
      const bound = { ...pod, spec: { containers: [], ...pod.spec, nodeName: targetNode(pod) ?? '' } }
      const isSettled = pod.status?.phase === 'Failed' || pod.status?.conditions?.[0]?.status === 'True'
      return isSettled ? bound : withReadiness(bound, true, this.nowMs)
    })
    this.nowMs += 60_000
  }
}

const staying = (node: DaemonNode): Pod[] =>
  node.pods.filter(pod => pod.metadata.deletionTimestamp === undefined)

/** Plans, checks what no plan may do, and applies. */
function checkPlan(world: World): void {
  const view = world.view()
  const plan = planDaemonSet(view)
  const wanted = view.nodes.filter(node => node.shouldRun)
  const limits = rolloutLimits(world.set, wanted.length)
  const unserved = (gone: readonly Pod[]) =>
    wanted.filter(node => !staying(node).some(pod => !gone.includes(pod) && world.isWell(pod))).length
  const allowed = Math.max(unserved([]), limits.maxUnavailable)
  assert.ok(unserved(plan.delete) <= allowed, 'never more nodes without a daemon than allowed')
  for (const node of plan.create) {
    const found = view.nodes.find(each => each.name === node)
    assert.equal(found?.shouldRun, true)
    const [beside, ...more] = found === undefined ? [] : staying(found)
    assert.deepEqual(more, [])
    if (limits.maxSurge === 0) assert.deepEqual(found?.pods, [], 'a successor waits')
    if (beside !== undefined) assert.ok(!world.isNew(beside), 'two only in a surge')
  }
  const surging = (names: readonly string[]) =>
    view.nodes.filter(node => {
      const pods = staying(node)
      const isDouble = pods.length > 1 || (pods.length === 1 && names.includes(node.name))
      return (
        isDouble &&
        pods.some(pod => !world.isNew(pod) && world.isWell(pod)) &&
        !pods.some(pod => world.isNew(pod) && world.isWell(pod))
      )
    }).length
  assert.ok(surging(plan.create) <= Math.max(surging([]), limits.maxSurge), 'never more doubled than allowed')
  for (const { node } of plan.failed) world.failures.fail(node, world.nowMs)
  for (const pod of plan.delete) world.change(pod, each => deleted(each, world.nowMs))
  for (const node of plan.create)
    world.pods.push(admitPod(renderPod(world.set, node, world.hash), world.nowMs))
}

const pick = fc.nat({ max: 7 })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'plan' } as const) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('ready' as const), pod: pick }) },
  fc.record({
    kind: fc.constantFrom('unready', 'fail', 'gone', 'delete', 'taint', 'evict', 'clear'),
    pod: pick,
  }),
  fc.record({ kind: fc.constantFrom('template', 'later') }),
)
const shape = fc.record({
  minReadySeconds: fc.constantFrom(0, 30),
  updateStrategy: fc.record({
    type: fc.constantFrom('RollingUpdate', 'RollingUpdate', 'OnDelete'),
    rollingUpdate: fc.constantFrom(
      { maxUnavailable: 1, maxSurge: 0 },
      { maxUnavailable: 2, maxSurge: 0 },
      { maxUnavailable: '50%', maxSurge: 0 },
      { maxUnavailable: 0, maxSurge: 1 },
      { maxUnavailable: 0, maxSurge: '50%' },
    ),
  }),
})

type Step = { readonly kind: string; readonly pod?: number }

function happen(world: World, { kind, pod: index = 0 }: Step): void {
  const target = world.pods[index % Math.max(1, world.pods.length)]
  const isOver = target?.status?.phase === 'Failed'
  const taint = (effect?: string) => {
    const spec = effect === undefined ? {} : { taints: [{ key: 'own', effect }] }
    world.nodes = world.nodes.map((node, at) => (at === index % 4 ? { ...node, spec } : node))
  }
  if (kind === 'plan') checkPlan(world)
  else if (kind === 'ready' && !isOver) world.change(target, pod => withReadiness(pod, true, world.nowMs))
  else if (kind === 'unready' && !isOver) world.change(target, pod => withReadiness(pod, false, world.nowMs))
  else if (kind === 'fail') world.change(target, failed)
  else if (kind === 'delete') world.change(target, pod => deleted(pod, world.nowMs))
  else if (kind === 'gone')
    world.pods = world.pods.filter(pod => pod.metadata.deletionTimestamp === undefined)
  else if (kind === 'template') world.template++
  else if (kind === 'later') world.nowMs += 20_000
  else if (kind === 'taint') taint('NoSchedule')
  else if (kind === 'evict') taint('NoExecute')
  else if (kind === 'clear') taint()
}

/** All goes well for a while. */
function settle(world: World): void {
  for (let round = 0; round < 40; round++) {
    checkPlan(world)
    world.playKubelets()
  }
}

test('in any order of events no plan takes or adds more than it may, and all of them end', () => {
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 60 }), (spec, steps) => {
      const world = new World(makeSet(spec as unknown as Spec))
      settle(world)
      world.template++
      for (const each of steps) happen(world, each)
      settle(world)
      const { create, delete: gone } = planDaemonSet(world.view())
      assert.deepEqual([create, gone], [[], []], 'nothing is left to do')
      const { nodes } = world.view()
      for (const node of nodes) {
        if (node.shouldRun) assert.equal(node.pods.length, 1)
        if (!node.shouldContinue) assert.equal(node.pods.length, 0)
      }
      const status = planDaemonSetStatus({ ...world.view(), collisionCount: 0 })
      assert.equal(status.numberAvailable ?? 0, status.desiredNumberScheduled)
      if (spec.updateStrategy.type === 'OnDelete') return
      assert.equal(status.updatedNumberScheduled ?? 0, status.desiredNumberScheduled)
    }),
    { numRuns: 600 },
  )
})
