import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../src/kube/object.ts'
import type { Endpoint, EndpointSlice, Node, Pod, ReplicaSet, Service } from '../../../../src/kube/types.ts'
import { planSlices } from '../../../../src/runtime/controllers/endpoint-slice/plan.ts'
import { planEndpoints } from '../../../../src/runtime/controllers/endpoints/plan.ts'
import { planGarbage } from '../../../../src/runtime/controllers/garbage-collector/plan.ts'
import { planConditions } from '../../../../src/runtime/controllers/namespace/plan.ts'
import { planPodCidr } from '../../../../src/runtime/controllers/node-ipam/plan.ts'
import { ZoneTally } from '../../../../src/runtime/controllers/node-lifecycle/disruption.ts'
import {
  nodeGraceMs,
  planTaints,
  planUnknown,
} from '../../../../src/runtime/controllers/node-lifecycle/plan.ts'
import { planReplicaSetStatus, planReplicas } from '../../../../src/runtime/controllers/replica-set/plan.ts'
import { planClaims } from '../../../../src/runtime/controllers/shared/owners.ts'
import { planEviction } from '../../../../src/runtime/controllers/taint-eviction/plan.ts'

const NOW_MS = Date.parse('2026-01-01T01:00:00Z')
const at = (secondsAgo: number) => new Date(NOW_MS - secondsAgo * 1_000).toISOString()

interface PodFacts {
  readonly ready?: boolean
  readonly phase?: string
  readonly node?: string
  readonly deleting?: boolean
  readonly ip?: string
  readonly ageS?: number
  readonly cost?: string
  readonly labels?: Record<string, string>
  readonly owner?: string
}

function pod(name: string, facts: PodFacts = {}): Pod {
  const { ready = true, phase = 'Running', node = 'n1', ageS = 60 } = facts
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: at(ageS) }]
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: 'web',
    uid: facts.owner ?? '',
    controller: true,
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      uid: name,
      labels: facts.labels ?? { app: 'web' },
      creationTimestamp: at(ageS),
      ...(facts.cost ? { annotations: { 'controller.kubernetes.io/pod-deletion-cost': facts.cost } } : {}),
      ...(facts.deleting ? { deletionTimestamp: at(1) } : {}),
      ...(facts.owner ? { ownerReferences: [owner] } : {}),
    },
    spec: { nodeName: node, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }] },
    status: { phase, conditions, ...(facts.ip ? { podIP: facts.ip, podIPs: [{ ip: facts.ip }] } : {}) },
  }
}

const replicaSet = (replicas: number, spec: object = {}): ReplicaSet => ({
  apiVersion: 'apps/v1',
  kind: 'ReplicaSet',
  metadata: { name: 'web', namespace: 'default', uid: 'web', generation: 3 },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } } },
    ...spec,
  },
})

const victims = (replicas: number, ...pods: Pod[]) => {
  const plan = planReplicas(replicaSet(replicas), { pods, related: pods, nowMs: NOW_MS })
  return plan.kind === 'delete' ? plan.pods.map(each => each.metadata.name) : plan
}

const zoneOf = () => undefined

test('a replica set makes what is missing; finished and deleted pods do not count', () => {
  assert.deepEqual(victims(3, pod('a'), pod('b', { phase: 'Failed' }), pod('c', { deleting: true })), {
    kind: 'create',
    count: 2,
  })
  assert.deepEqual(victims(1, pod('a')), { kind: 'nothing' })
})

test('the least useful pods are deleted first', () => {
  assert.deepEqual(victims(1, pod('on-node'), pod('unassigned', { node: '' })), ['unassigned'])
  assert.deepEqual(victims(1, pod('running'), pod('pending', { phase: 'Pending' })), ['pending'])
  assert.deepEqual(victims(1, pod('ready'), pod('unready', { ready: false })), ['unready'])
  assert.deepEqual(victims(1, pod('cheap', { cost: '-5' }), pod('dear')), ['cheap'])
  assert.deepEqual(victims(2, pod('a'), pod('b'), pod('c', { node: 'n2' })), ['a'])
  assert.deepEqual(victims(1, pod('old', { ageS: 6_000 }), pod('young', { ageS: 5 })), ['young'])
})

test('a replica set counts ready and available pods, and terminating ones by themselves', () => {
  const pods = [pod('a'), pod('b', { ageS: 5 }), pod('c', { ready: false }), pod('d', { deleting: true })]
  const status = planReplicaSetStatus(replicaSet(3, { minReadySeconds: 10 }), {
    pods,
    nowMs: NOW_MS,
    failure: null,
  })
  assert.deepEqual(status, {
    replicas: 3,
    fullyLabeledReplicas: 3,
    readyReplicas: 2,
    availableReplicas: 1,
    terminatingReplicas: 1,
    observedGeneration: 3,
  })
})

test('claims: own and matching, orphans to adopt, strangers left alone, mismatches released', () => {
  const found = planClaims(replicaSet(1), { matchLabels: { app: 'web' } }, [
    pod('mine', { owner: 'web' }),
    pod('orphan'),
    pod('dying-orphan', { deleting: true }),
    pod('stranger', { owner: 'other' }),
    pod('moved', { owner: 'web', labels: { app: 'debug' } }),
  ])
  const names = (pods: readonly Pod[]) => pods.map(each => each.metadata.name)
  assert.deepEqual(
    [names(found.mine), names(found.adopt), names(found.release)],
    [['mine'], ['orphan'], ['moved']],
  )
})

const service = (spec: object = {}): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 's' },
  spec: { clusterIP: '10.0.0.1', ports: [{ name: 'http', port: 80, targetPort: 'http' }], ...spec },
})

test('endpoints are ready, serving and terminating as their pods are', () => {
  const pods = [
    pod('ready', { ip: '10.1.0.1' }),
    pod('starting', { ip: '10.1.0.2', ready: false }),
    pod('ending', { ip: '10.1.0.3', deleting: true }),
    pod('done', { ip: '10.1.0.4', phase: 'Succeeded' }),
    pod('without-ip'),
  ]
  const plan = planSlices(service(), { pods, slices: [], zoneOf })
  assert.equal(plan.create.length, 1)
  const [slice] = plan.create
  assert.deepEqual(slice?.ports, [{ name: 'http', port: 8080, protocol: 'TCP' }])
  const seen = slice?.endpoints?.map(each => [each.addresses[0], Object.values(each.conditions ?? {})])
  assert.deepEqual(seen, [
    ['10.1.0.1', [true, true, false]],
    ['10.1.0.2', [false, false, false]],
    ['10.1.0.3', [false, true, true]],
  ])
})

test('slices hold a hundred endpoints, keep them in place and settle', () => {
  const pods = Array.from({ length: 150 }, (_, index) => pod(`p${index}`, { ip: `10.1.0.${index}` }))
  const named = (slices: readonly EndpointSlice[]) =>
    slices.map((slice, index) => ({ ...slice, metadata: { ...slice.metadata, name: `s${index}` } }))
  const first = named(planSlices(service(), { pods, slices: [], zoneOf }).create)
  const sizes = (slices: readonly { endpoints?: Endpoint[] }[]) => slices.map(each => each.endpoints?.length)
  assert.deepEqual(sizes(first), [100, 50])
  const again = planSlices(service(), { pods, slices: first, zoneOf })
  assert.deepEqual([again.create.length, again.update.length, again.delete.length], [0, 0, 0])
  const fewer = planSlices(service(), { pods: pods.slice(1), slices: first, zoneOf })
  assert.deepEqual([fewer.create.length, sizes(fewer.update), fewer.delete.length], [0, [99], 0])
  const none = planSlices(service(), { pods: [], slices: first, zoneOf })
  assert.deepEqual([none.create.length, sizes(none.update), none.delete.length], [0, [0], 1])
})

test('an object goes with its last owner, and how depends on the owners', () => {
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      uid: 'p',
      ownerReferences: ['a', 'b'].map(uid => ({ apiVersion: 'v1', kind: 'X', name: uid, uid })),
    },
  }
  const own = { hasDependents: true, dependentsWait: false }
  const plan = (a: 'solid' | 'absent' | 'waiting', b: typeof a) =>
    planGarbage(object, new Map([['a', a] as const, ['b', b] as const]), own)
  assert.deepEqual(plan('solid', 'solid'), { kind: 'nothing' })
  assert.deepEqual(plan('solid', 'absent'), { kind: 'drop-owners', uids: ['b'] })
  assert.deepEqual(plan('absent', 'absent'), { kind: 'delete', policy: 'Background', unblock: false })
  assert.deepEqual(plan('waiting', 'absent'), { kind: 'delete', policy: 'Foreground', unblock: false })
})

const node = (ready: string, spec: object = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1', uid: 'n1' },
  spec,
  status: { conditions: [{ type: 'Ready', status: ready, lastHeartbeatTime: at(100) }] },
})

test('a silent node is unknown and gets taints, which leave with its return', () => {
  const silent = planUnknown(node('True'), NOW_MS)
  assert.deepEqual(
    silent?.map(each => [each.type, each.status, each.reason]),
    [
      ['Ready', 'Unknown', 'NodeStatusUnknown'],
      ['MemoryPressure', 'Unknown', 'NodeStatusNeverUpdated'],
      ['DiskPressure', 'Unknown', 'NodeStatusNeverUpdated'],
      ['PIDPressure', 'Unknown', 'NodeStatusNeverUpdated'],
    ],
  )
  const taints = planTaints(node('Unknown'), NOW_MS)
  assert.deepEqual(
    taints?.map(each => `${each.key}:${each.effect}`),
    ['node.kubernetes.io/unreachable:NoSchedule', 'node.kubernetes.io/unreachable:NoExecute'],
  )
  const own = { key: 'dedicated', effect: 'NoSchedule' }
  assert.deepEqual(planTaints(node('True', { taints: [...(taints ?? []), own] }), NOW_MS), [own])
  assert.equal(planTaints(node('True'), NOW_MS), null)
})

test('a node whose lease holds longer may be silent for longer, but not for ever', () => {
  const lease = (leaseDurationSeconds: number) => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name: 'n' },
    spec: { leaseDurationSeconds },
  })
  assert.equal(nodeGraceMs(9_000, undefined), 9_000)
  assert.equal(nodeGraceMs(9_000, lease(10)), 9_000)
  assert.equal(nodeGraceMs(4_000, lease(4)), 4_000)
  assert.equal(nodeGraceMs(9_000, lease(40)), 36_000)
  assert.equal(nodeGraceMs(9_000, lease(86_400)), 60_000)
})

test('nobody is evicted while most nodes of a zone, or all nodes of the cluster, are silent', () => {
  const nodes = (...states: string[]): Node[] =>
    states.map((state, index) => ({ ...node(state), metadata: { name: `n${index}`, uid: `n${index}` } }))
  const inZone = (zone: string, list: Node[]): Node[] =>
    list.map(each => ({
      ...each,
      metadata: { ...each.metadata, labels: { 'topology.kubernetes.io/zone': zone } },
    }))
  const isOn = (list: Node[]) => new ZoneTally(list).evictionFor(list[0] ?? node('Unknown')).isOn
  assert.equal(isOn(nodes('Unknown')), false)
  assert.equal(isOn(nodes('Unknown', 'True')), true)
  assert.equal(isOn(nodes('Unknown', 'False', 'True')), true)
  assert.equal(isOn(nodes('Unknown', 'Unknown', 'False', 'True', 'True')), false)
  // A zone that is gone as a whole, while others are there.
  const zones = [...inZone('a', nodes('Unknown', 'Unknown', 'Unknown')), ...inZone('b', nodes('True'))]
  assert.equal(isOn(zones), true)
  // Nodes that change, move to another zone and go are counted as they are now.
  const tally = new ZoneTally(nodes('Unknown', 'True'))
  for (const each of nodes('Unknown', 'Unknown')) tally.put(each)
  assert.equal(tally.isEverythingDown, true)
  for (const each of inZone('a', nodes('True', 'Unknown'))) tally.put(each)
  assert.equal(tally.isEverythingDown, false)
  tally.remove('n0')
  assert.equal(tally.isEverythingDown, true)
  const down = node('Unknown')
  const keys = (will: 'evict' | 'keep' | 'stop', each = down) =>
    planTaints(each, NOW_MS, will)?.map(taint => taint.effect)
  assert.deepEqual(keys('keep'), ['NoSchedule'])
  const evicted = { ...down, spec: { taints: planTaints(down, NOW_MS) ?? [] } }
  assert.equal(keys('keep', evicted), undefined)
  assert.deepEqual(keys('stop', evicted), ['NoSchedule'])
})

test('a pod stays on a tainted node as long as it tolerates', () => {
  const taint = { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute', timeAdded: at(100) }
  const tolerating = (tolerationSeconds?: number): Pod => {
    const toleration = { key: taint.key, operator: 'Exists', effect: 'NoExecute' }
    const tolerations = [tolerationSeconds === undefined ? toleration : { ...toleration, tolerationSeconds }]
    return { ...pod('p'), spec: { containers: [], tolerations } }
  }
  assert.deepEqual(planEviction(pod('p'), [taint], NOW_MS), { kind: 'evict' })
  assert.deepEqual(planEviction(tolerating(), [taint], NOW_MS), { kind: 'stay' })
  assert.deepEqual(planEviction(tolerating(300), [taint], NOW_MS), { kind: 'wait', delayMs: 200_000 })
  assert.deepEqual(planEviction(tolerating(100), [taint], NOW_MS), { kind: 'evict' })
  assert.deepEqual(planEviction(pod('p'), [], NOW_MS), { kind: 'stay' })
  const { timeAdded: _, ...undated } = taint
  const since = (seenMs: number) => planEviction(tolerating(100), [undated], NOW_MS, seenMs)
  assert.deepEqual(since(NOW_MS - 40_000), { kind: 'wait', delayMs: 60_000 })
  assert.deepEqual(since(NOW_MS - 100_000), { kind: 'evict' })
})

test('a node gets the first free range of the pod network', () => {
  assert.equal(planPodCidr('10.1.0.0/16', new Set()), '10.1.0.0/24')
  assert.equal(planPodCidr('10.1.0.0/16', new Set(['10.1.0.0/24', '10.1.1.0/24'])), '10.1.2.0/24')
  assert.equal(planPodCidr('10.1.0.0/24', new Set(['10.1.0.0/24'])), null)
})

test('endpoints hold ready and unready pods by the ports that they share, and nothing that is ending', () => {
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default', labels: { team: 'a' } },
    spec: {
      clusterIP: '10.152.183.9',
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    },
  }
  const pods = [
    pod('b', { ip: '10.1.0.3' }),
    pod('a', { ip: '10.1.0.2' }),
    pod('slow', { ip: '10.1.0.4', ready: false }),
    pod('ending', { ip: '10.1.0.5', deleting: true }),
    pod('done', { ip: '10.1.0.6', phase: 'Succeeded' }),
  ]
  const plan = planEndpoints(service, { pods, existing: undefined })
  if (plan.kind === 'nothing') return assert.fail('there is something to do')
  assert.equal(plan.kind, 'create')
  assert.deepEqual(plan.endpoints.metadata.labels, {
    team: 'a',
    'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
  })
  const [subset] = plan.endpoints.subsets ?? []
  assert.deepEqual(
    [subset?.addresses?.map(each => each.ip), subset?.notReadyAddresses?.map(each => each.ip), subset?.ports],
    [['10.1.0.2', '10.1.0.3'], ['10.1.0.4'], [{ name: 'http', port: 8080, protocol: 'TCP' }]],
  )
  assert.equal(planEndpoints(service, { pods: pods.toReversed(), existing: plan.endpoints }).kind, 'nothing')
  const gone = planEndpoints(service, { pods: [], existing: plan.endpoints })
  assert.equal(gone.kind === 'update' && gone.endpoints.subsets, undefined)
})

test('endpoints hold a thousand addresses at most, ready ones first', () => {
  const service: Service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'web', namespace: 'default' },
    spec: { clusterIP: 'None', selector: { app: 'web' } },
  }
  const pods = Array.from({ length: 1_100 }, (_, at) =>
    pod(`p${at}`, { ip: `10.1.${at >> 8}.${at & 255}`, ready: at >= 200 }),
  )
  const plan = planEndpoints(service, { pods, existing: undefined })
  if (plan.kind === 'nothing') return assert.fail('there is something to do')
  const [subset] = plan.endpoints.subsets ?? []
  assert.deepEqual([subset?.addresses?.length, subset?.notReadyAddresses?.length], [900, 100])
  assert.equal(plan.endpoints.metadata.annotations?.['endpoints.kubernetes.io/over-capacity'], 'truncated')
  assert.equal(plan.endpoints.metadata.labels?.['service.kubernetes.io/headless'], '')
})

test('a namespace that goes speaks of its pods first, and of the rest when they are gone', () => {
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' } }
  const left = (resource: string, count: number, finalizer?: string) => ({
    resource: { group: '', version: 'v1', resource, namespaced: true },
    count,
    finalizers: new Map(finalizer === undefined ? [] : [[finalizer, count]]),
  })
  const messages = (pods: number) =>
    planConditions(namespace, {
      undiscovered: null,
      remaining: [left('pods', pods, 'a/b'), left('configmaps', 2, 'c/d')],
      failure: null,
      nowMs: NOW_MS,
    })
      .slice(3)
      .map(each => each.message)
  assert.deepEqual(messages(1), [
    'Some resources are remaining: pods. has 1 resource instances',
    'Some content in the namespace has finalizers remaining: a/b in 1 resource instances',
  ])
  assert.deepEqual(messages(0), [
    'Some resources are remaining: configmaps. has 2 resource instances',
    'Some content in the namespace has finalizers remaining: c/d in 2 resource instances',
  ])
})
