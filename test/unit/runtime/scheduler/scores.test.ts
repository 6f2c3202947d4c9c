/** Which of several nodes suits a pod best: upstream's scores, worked out by hand. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { requirementsOf } from '../../../../src/kube/labels.ts'
import type { Node, Pod } from '../../../../src/kube/types.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import {
  DEFAULT_PROFILE,
  nodesToScore,
  type Profile,
  type Weights,
} from '../../../../src/runtime/scheduler/profile.ts'
import { scoreNodes } from '../../../../src/runtime/scheduler/scores.ts'
import { EMPTY_WORLD, type World } from '../../../../src/runtime/scheduler/world.ts'

let made = 0
const pod = (spec: object = {}, labels: Record<string, string> = {}, namespace = 'default'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: `p${made}`, uid: `uid-${made++}`, namespace, labels },
  spec: { containers: [], ...spec },
})
const asking = (cpu: string, memory: string, more: object = {}): Pod =>
  pod({ containers: [{ name: 'c', image: 'web:1', resources: { requests: { cpu, memory } } }], ...more })
const info = (name: string, pods: Pod[] = [], over: Partial<Node> = {}): NodeInfo =>
  new NodeInfo(
    {
      apiVersion: 'v1',
      kind: 'Node',
      status: { allocatable: { cpu: '4', memory: '8Gi', pods: '110' }, ...over.status },
      spec: over.spec ?? {},
      metadata: { name, labels: { 'kubernetes.io/hostname': name, ...over.metadata?.labels } },
    },
    pods,
  )
const inZone = (name: string, zone: string, pods: Pod[] = []): NodeInfo =>
  info(name, pods, { metadata: { labels: { 'topology.kubernetes.io/zone': zone } } })

/** The scores of one plugin alone. */
function scoresOf(
  plugin: keyof Weights,
  wanted: Pod,
  nodes: NodeInfo[],
  over: Partial<World> = {},
): number[] {
  const none = Object.fromEntries(Object.keys(DEFAULT_PROFILE.weights).map(name => [name, 0]))
  const weights = { ...(none as unknown as Weights), [plugin]: 1 }
  const profile = { ...DEFAULT_PROFILE, ...over.profile, weights }
  return scoreNodes(wanted, nodes, nodes, { ...EMPTY_WORLD, ...over, profile })
}

test('NodeResourcesFit: the share that stays free, with defaults for containers that ask for nothing', () => {
  const half = info('half', [asking('2', '4Gi')])
  assert.deepEqual(scoresOf('NodeResourcesFit', asking('1', '2Gi'), [half, info('empty')]), [25, 75])
  const silent = pod({ containers: [{ name: 'c' }, { name: 'd' }] })
  // 200m of 4 and 400Mi of 8Gi.
  assert.deepEqual(scoresOf('NodeResourcesFit', silent, [info('n')]), [95])
  const scored = (fit: Partial<Profile['fit']>, wanted = asking('1', '2Gi')) => {
    const profile = { ...DEFAULT_PROFILE, fit: { ...DEFAULT_PROFILE.fit, ...fit } }
    return scoresOf('NodeResourcesFit', wanted, [half, info('empty')], { profile })
  }
  assert.deepEqual(scored({ type: 'MostAllocated' }), [75, 25])
  const shape = [
    { utilization: 20, score: 0 },
    { utilization: 70, score: 100 },
  ]
  assert.deepEqual(scored({ type: 'RequestedToCapacityRatio', shape }), [100, 10])
  // What the pod does not ask for does not count.
  const resources = [
    { name: 'cpu', weight: 1 },
    { name: 'example.com/gpu', weight: 9 },
  ]
  assert.deepEqual(scored({ resources }), [25, 75])
})

test('NodeResourcesBalancedAllocation: what the pod does to the balance, nothing for a pod without requests', () => {
  const tilted = info('tilted', [asking('2', '0')])
  assert.deepEqual(
    scoresOf('NodeResourcesBalancedAllocation', asking('0', '4Gi'), [tilted, info('level')]),
    [87, 62],
  )
  assert.deepEqual(scoresOf('NodeResourcesBalancedAllocation', pod(), [tilted]), [0])
  const gpu = { 'example.com/gpu': '1' }
  const three = { profile: { ...DEFAULT_PROFILE, balanced: ['cpu', 'memory', 'example.com/gpu'] } }
  const equipped = info('equipped', [], { status: { allocatable: { cpu: '4', memory: '8Gi', ...gpu } } })
  const wanted = pod({ containers: [{ name: 'c', resources: { requests: { cpu: '1', ...gpu } } }] })
  // A quarter, nothing and all of it.
  assert.deepEqual(scoresOf('NodeResourcesBalancedAllocation', wanted, [equipped], three), [53])
})

test('TaintToleration and NodeAffinity are relative to the best or worst node', () => {
  const avoid = (count: number) =>
    Array.from({ length: count }, (_none, index) => ({ key: `k${index}`, effect: 'PreferNoSchedule' }))
  const nodes = [0, 1, 2].map(count => info(`n${count}`, [], { spec: { taints: avoid(count) } }))
  assert.deepEqual(scoresOf('TaintToleration', pod(), nodes), [100, 50, 0])
  const tolerations = [{ key: 'k0', operator: 'Exists', effect: 'NoSchedule' }]
  assert.deepEqual(scoresOf('TaintToleration', pod({ tolerations }), nodes), [100, 50, 0], 'another effect')
  const prefer = (weight: number, value: string) => ({
    weight,
    preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [value] }] },
  })
  const nodeAffinity = {
    preferredDuringSchedulingIgnoredDuringExecution: [prefer(80, 'n1'), prefer(20, 'n2')],
  }
  assert.deepEqual(scoresOf('NodeAffinity', pod({ affinity: { nodeAffinity } }), nodes), [0, 100, 25])
})

const term = (over: object = {}) => ({
  topologyKey: 'topology.kubernetes.io/zone',
  labelSelector: { matchLabels: { app: 'db' } },
  ...over,
})
const preferring = (weight: number, over: object = {}) => ({
  preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm: term(over) }],
})

test('InterPodAffinity: what the pod prefers, and what pods that are there think of it', () => {
  const db = () => pod({}, { app: 'db' })
  const nodes = [inZone('a', 'za', [db(), db()]), inZone('b', 'zb', [db()]), inZone('c', 'zc')]
  const near = pod({ affinity: { podAffinity: preferring(10) } })
  assert.deepEqual(scoresOf('InterPodAffinity', near, nodes), [100, 50, 0])
  const far = pod({ affinity: { podAntiAffinity: preferring(10) } })
  assert.deepEqual(scoresOf('InterPodAffinity', far, nodes), [0, 50, 100])
  const required = { requiredDuringSchedulingIgnoredDuringExecution: [term()] }
  const host = [
    inZone('a', 'za', [pod({ affinity: { podAntiAffinity: preferring(5) } })]),
    inZone('b', 'zb', [pod({ affinity: { podAffinity: required } })]),
    inZone('c', 'zc', [pod({ affinity: { podAffinity: preferring(5) } })]),
  ]
  assert.deepEqual(scoresOf('InterPodAffinity', db(), host), [0, 60, 100])
  assert.deepEqual(scoresOf('InterPodAffinity', pod({}, { app: 'web' }), host), [0, 0, 0])
})

test('InterPodAffinity: a namespace selector goes by the labels of namespaces', () => {
  const there = pod({}, { app: 'db' }, 'data')
  const nodes = [inZone('a', 'za'), inZone('b', 'zb', [there])]
  const wanted = pod({
    affinity: { podAffinity: preferring(1, { namespaceSelector: { matchLabels: { team: 'x' } } }) },
  })
  const labels = (team: string, version: number) => ({
    namespaces: { labelsOf: () => ({ team }), version },
  })
  assert.deepEqual(scoresOf('InterPodAffinity', wanted, nodes, labels('x', 1)), [0, 100])
  assert.deepEqual(scoresOf('InterPodAffinity', wanted, nodes, labels('y', 2)), [0, 0])
})

test('PodTopologySpread: own soft constraints, or the system defaults for what services and owners select', () => {
  const web = () => pod({}, { app: 'web' })
  const nodes = [inZone('a', 'za', [web(), web()]), inZone('b', 'zb', [web()]), inZone('c', 'zc'), info('d')]
  const soft = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'ScheduleAnyway',
    labelSelector: { matchLabels: { app: 'web' } },
  }
  const own = pod({ topologySpreadConstraints: [soft] }, { app: 'web' })
  // 2, 1 and 0 pods times ln 5; the node without a zone is no domain.
  assert.deepEqual(scoresOf('PodTopologySpread', own, nodes), [0, 33, 100, 0])
  const selectorOf = () => requirementsOf({ matchLabels: { app: 'web' } })
  const byDefault = scoresOf('PodTopologySpread', web(), nodes, { selectorOf })
  assert.deepEqual(
    byDefault.map((score, index) => score - (byDefault[index - 1] ?? 0) > 0),
    [true, true, true, true],
  )
  assert.deepEqual(scoresOf('PodTopologySpread', web(), nodes), [0, 0, 0, 0], 'nobody selects it')
})

test('ImageLocality: the bytes a node has already, less the fewer nodes have them', () => {
  const mebibytes = (count: number) => count * 1024 * 1024
  const has = { status: { images: [{ names: ['web:1'], sizeBytes: mebibytes(1_000) }] } }
  const nodes = [info('a', [], has), info('b')]
  // Half of the nodes have it: 500 MiB of 1,000, less the 23 that do not count.
  assert.deepEqual(scoresOf('ImageLocality', asking('1', '1Gi'), nodes), [48, 0])
})

test('with many nodes fewer of them are scored', () => {
  const share = (all: number, percentageOfNodesToScore = 0) =>
    nodesToScore(all, { ...DEFAULT_PROFILE, percentageOfNodesToScore })
  assert.deepEqual(
    [99, 100, 150, 1_000, 5_000, 10_000].map(all => share(all)),
    [99, 100, 100, 420, 500, 500],
  )
  assert.deepEqual([share(1_000, 100), share(1_000, 30), share(200, 10)], [1_000, 300, 100])
})
