/** Whatever comes and goes, in any order: no node is over-committed, and what must hold of a place holds there. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { seededRandom } from '../../../../src/base/random.ts'
import type { Node, Pod } from '../../../../src/kube/types.ts'
import { ClusterState } from '../../../../src/runtime/scheduler/cluster-state.ts'
import { schedule } from '../../../../src/runtime/scheduler/schedule.ts'

const RUNS = 300
const ZONE = 'topology.kubernetes.io/zone'
const APPS = ['a', 'b'] as const

interface Wish {
  readonly app: (typeof APPS)[number]
  readonly cpu: number
  readonly priority: number
  readonly port: number
  readonly near: boolean
  readonly apart: boolean
  readonly spread: boolean
  readonly tolerant: boolean
}

type Step =
  | { readonly kind: 'pod'; readonly wish: Wish }
  | { readonly kind: 'end'; readonly index: number }
  | { readonly kind: 'node'; readonly index: number; readonly cpu: number; readonly tainted: boolean }
  | { readonly kind: 'lose'; readonly index: number }

const wish: fc.Arbitrary<Wish> = fc.record({
  app: fc.constantFrom(...APPS),
  cpu: fc.integer({ min: 0, max: 3 }),
  priority: fc.integer({ min: 0, max: 2 }),
  port: fc.constantFrom(0, 0, 0, 80),
  near: fc.boolean(),
  apart: fc.boolean(),
  spread: fc.boolean(),
  tolerant: fc.boolean(),
})
const index = fc.nat({ max: 7 })
const cpu = fc.integer({ min: 1, max: 6 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('pod' as const), wish }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('end' as const), index }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('node' as const), index, cpu, tainted: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('lose' as const), index }) },
)

const nodeOf = ({ index: number, cpu: cores, tainted }: Step & { kind: 'node' }): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: {
    name: `n${number}`,
    labels: { [ZONE]: `z${number % 3}`, 'kubernetes.io/hostname': `n${number}` },
  },
  spec: tainted ? { taints: [{ key: 'k', effect: 'NoSchedule' }] } : {},
  status: { allocatable: { cpu: String(cores), memory: '8Gi', pods: '5' } },
})

const onlyApp = (app: string) => ({ labelSelector: { matchLabels: { app } } })

function podOf(number: number, wanted: Wish): Pod {
  const required = (topologyKey: string) => ({
    requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey, ...onlyApp(wanted.app) }],
  })
  const ports = wanted.port === 0 ? [] : [{ containerPort: 80, hostPort: wanted.port }]
  const constraint = { maxSkew: 1, topologyKey: ZONE, whenUnsatisfiable: 'DoNotSchedule' }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `p${number}`, uid: `u${number}`, namespace: 'd', labels: { app: wanted.app } },
    spec: {
      priority: wanted.priority,
      containers: [{ name: 'c', ports, resources: { requests: { cpu: String(wanted.cpu) } } }],
      tolerations: wanted.tolerant ? [{ operator: 'Exists' }] : [],
      affinity: {
        ...(wanted.near ? { podAffinity: required(ZONE) } : {}),
        ...(wanted.apart ? { podAntiAffinity: required('kubernetes.io/hostname') } : {}),
      },
      topologySpreadConstraints: wanted.spread ? [{ ...constraint, ...onlyApp(wanted.app) }] : [],
    },
  }
}

/** The cluster again, in the plainest form. */
class Model {
  readonly state = new ClusterState()
  readonly nodes = new Map<string, Node>()
  readonly placed = new Map<Pod, { readonly node: string; readonly wish: Wish }>()
  #made = 0

  take(next: Step): void {
    if (next.kind === 'node') this.#putNode(nodeOf(next))
    else if (next.kind === 'lose') this.#loseNode(`n${next.index}`)
    else if (next.kind === 'end') this.#end(next.index)
    else this.#place(podOf(this.#made++, next.wish), next.wish)
  }

  #putNode(node: Node): void {
    this.nodes.set(node.metadata.name ?? '', node)
    this.state.putNode(node)
  }

  #loseNode(name: string): void {
    this.nodes.delete(name)
    this.state.removeNode(name)
  }

  #end(number: number): void {
    const [pod] = [...this.placed.keys()].slice(number)
    if (pod === undefined) return
    this.placed.delete(pod)
    this.state.removePod(pod.metadata.uid ?? '')
  }

  #place(pod: Pod, wanted: Wish): void {
    const result = schedule(pod, this.state.nodes(), seededRandom(this.#made))
    if (result.kind === 'unschedulable') {
      this.#checkVictims(pod, wanted, result.preemption)
      return
    }
    this.#checkPlace(pod, wanted, result.name)
    this.placed.set(pod, { node: result.name, wish: wanted })
    this.state.assume(pod, result.name)
    this.state.putPod({ ...pod, spec: { containers: [], ...pod.spec, nodeName: result.name } })
  }

  on = (node: string): readonly Wish[] =>
    [...this.placed.values()].filter(place => place.node === node).map(each => each.wish)

  #checkPlace(pod: Pod, wanted: Wish, name: string): void {
    const node = this.nodes.get(name)
    assert.ok(node, `${pod.metadata.name} is on a node that is not there`)
    assertRoom(node, wanted, this.on(name))
    if (!wanted.tolerant) assert.deepEqual(node.spec?.taints ?? [], [])
    const alike = this.on(name).filter(({ app }) => app === wanted.app)
    assert.ok(!wanted.apart || alike.length === 0, 'one alike is there')
    assert.ok(
      alike.every(({ apart }) => !apart),
      'one that keeps it away is there',
    )
    this.#checkZones(wanted, node)
  }

  #checkZones(wanted: Wish, node: Node): void {
    const zoneOf = (each: Node) => each.metadata.labels?.[ZONE] ?? ''
    const counts = new Map([...this.nodes.values()].map(each => [zoneOf(each), 0]))
    for (const [name, each] of this.nodes) {
      const alike = this.on(name).filter(({ app }) => app === wanted.app).length
      counts.set(zoneOf(each), (counts.get(zoneOf(each)) ?? 0) + alike)
    }
    const here = counts.get(zoneOf(node)) ?? 0
    if (wanted.spread) assert.ok(here + 1 - Math.min(...counts.values()) <= 1, 'the zones are uneven')
    const isFirst = [...counts.values()].every(count => count === 0)
    if (wanted.near) assert.ok(here > 0 || isFirst, 'nobody alike is in the zone')
  }

  /** Only less important ones have to leave, and they are enough. */
  #checkVictims(_pod: Pod, wanted: Wish, preemption: ReturnType<typeof asPreemption>): void {
    if (preemption?.kind !== 'victims') return
    const node = this.nodes.get(preemption.node)
    assert.ok(node && preemption.victims.length > 0)
    const names = new Set(preemption.victims.map(({ metadata }) => metadata.uid))
    const others = [...this.placed].filter(([, place]) => place.node === preemption.node)
    for (const [pod, { wish: theirs }] of others) {
      if (names.has(pod.metadata.uid)) assert.ok(theirs.priority < wanted.priority)
    }
    const staying = others.filter(([pod]) => !names.has(pod.metadata.uid)).map(([, each]) => each.wish)
    assertRoom(node, wanted, staying)
  }
}

const asPreemption = (result: ReturnType<typeof schedule>) =>
  result.kind === 'unschedulable' ? result.preemption : null

function assertRoom(node: Node, wanted: Wish, others: readonly Wish[]): void {
  const cores = Number(node.status?.allocatable?.['cpu'])
  const used = others.reduce((sum, other) => sum + other.cpu, 0)
  assert.ok(wanted.cpu === 0 || used + wanted.cpu <= cores, `${used} and ${wanted.cpu} of ${cores} cores`)
  assert.ok(others.length < 5, 'more pods than the node takes')
  assert.ok(wanted.port === 0 || others.every(({ port }) => port === 0), 'the port is taken')
}

test('no node is ever over-committed, and no hard constraint ever broken by a placement', () => {
  const run = (steps: readonly Step[]) => {
    const model = new Model()
    for (const next of steps) model.take(next)
  }
  fc.assert(fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), run), { numRuns: RUNS, seed: 36 })
})
