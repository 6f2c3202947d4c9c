import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../../../src/base/random.ts'
import { podRequests } from '../../../../src/kube/pod-requests.ts'
import type { Node, Pod } from '../../../../src/kube/types.ts'
import { NodeInfo } from '../../../../src/runtime/scheduler/node-info.ts'
import { schedule } from '../../../../src/runtime/scheduler/schedule.ts'
import { SchedulingQueue } from '../../../../src/runtime/scheduler/scheduling-queue.ts'
import { ManualClock } from '../../../support/manual-clock.ts'

let uid = 0
const pod = (spec: object = {}, owner?: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name: 'p',
    uid: `pod-${uid++}`,
    ...(owner
      ? {
          ownerReferences: [
            { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true },
          ],
        }
      : {}),
  },
  spec: { containers: [], ...spec },
})
const asking = (requests: Record<string, string>, more: object = {}) =>
  pod({ containers: [{ name: 'c', resources: { requests } }], ...more })
const node = (
  name: string,
  over: { spec?: object; labels?: Record<string, string>; amounts?: object } = {},
): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels: over.labels ?? {} },
  spec: { ...over.spec },
  status: { allocatable: { cpu: '2', memory: '4Gi', pods: '10', ...over.amounts } },
})
const place = (wanted: Pod, ...nodes: NodeInfo[]) => {
  const result = schedule(wanted, nodes, seededRandom(1))
  return result.kind === 'node' ? result.name : result.message
}
const alone = (wanted: Pod, over: Parameters<typeof node>[1] = {}, pods: Pod[] = []) =>
  place(wanted, new NodeInfo(node('n1', over), pods))

const NOT_HELPFUL =
  'no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.'
const NO_VICTIMS =
  'no new claims to deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.'
const hostPort = (port: number) =>
  pod({ containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: port }] }] })

test('a pod that fits nowhere learns why, in the words of kube-scheduler', () => {
  const full = asking({ cpu: '1500m' })
  const cases: readonly [string, string][] = [
    [alone(asking({ cpu: '1' }), {}, [full]), `0/1 nodes are available: 1 Insufficient cpu. ${NO_VICTIMS}`],
    [alone(asking({ cpu: '3' })), `0/1 nodes are available: 1 Insufficient cpu. ${NOT_HELPFUL}`],
    [
      alone(asking({ cpu: '3', memory: '5Gi' })),
      `0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. ${NOT_HELPFUL}`,
    ],
    [
      alone(pod(), { amounts: { pods: '1' } }, [pod()]),
      `0/1 nodes are available: 1 Too many pods. ${NO_VICTIMS}`,
    ],
    [
      alone(pod(), { spec: { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] } }),
      `0/1 nodes are available: 1 node(s) had untolerated taint(s). ${NOT_HELPFUL}`,
    ],
    [
      alone(pod(), { spec: { unschedulable: true } }),
      `0/1 nodes are available: 1 node(s) were unschedulable. ${NOT_HELPFUL}`,
    ],
    [
      alone(pod({ nodeSelector: { disk: 'ssd' } })),
      `0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ${NOT_HELPFUL}`,
    ],
    [
      alone(hostPort(80), {}, [hostPort(80)]),
      `0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. ${NO_VICTIMS}`,
    ],
    [place(pod()), 'no nodes available to schedule pods'],
  ]
  for (const [found, expected] of cases) assert.equal(found, expected)
})

test('a pod that fits is placed: tolerations, selectors, affinity and other ports', () => {
  const taints = [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }]
  const tolerations = [{ key: 'dedicated', operator: 'Equal', value: 'db', effect: 'NoSchedule' }]
  const term = { matchExpressions: [{ key: 'cores', operator: 'Gt', values: ['4'] }] }
  const nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [term] } }
  assert.equal(alone(asking({ cpu: '2' })), 'n1')
  assert.equal(alone(pod({ tolerations }), { spec: { taints } }), 'n1')
  assert.equal(alone(pod({ nodeSelector: { disk: 'ssd' } }), { labels: { disk: 'ssd' } }), 'n1')
  assert.equal(alone(pod({ affinity: { nodeAffinity } }), { labels: { cores: '8' } }), 'n1')
  assert.equal(alone(hostPort(81), {}, [hostPort(80)]), 'n1')
})

test('the emptier node is better, and pods of one owner spread', () => {
  const crowded = new NodeInfo(node('crowded'), [asking({ cpu: '1', memory: '2Gi' })])
  assert.equal(place(asking({ cpu: '500m' }), crowded, new NodeInfo(node('empty'))), 'empty')
  const first = new NodeInfo(node('n1'), [pod({}, 'web')])
  const second = new NodeInfo(node('n2'), [pod({}, 'db')])
  assert.equal(place(pod({}, 'web'), first, second), 'n2')
})

test('a pod needs the larger of its running containers and its largest start', () => {
  const container = (name: string, cpu: string, more: object = {}) => ({
    name,
    resources: { requests: { cpu } },
    ...more,
  })
  const sidecar = { restartPolicy: 'Always' }
  const cpu = (spec: object) => podRequests(pod(spec)).get('cpu')
  assert.equal(cpu({ containers: [container('a', '100m'), container('b', '200m')] }), 300)
  assert.equal(cpu({ containers: [container('a', '100m')], initContainers: [container('i', '1')] }), 1_000)
  assert.equal(
    cpu({
      containers: [container('a', '100m')],
      initContainers: [container('s', '50m', sidecar), container('i', '200m')],
    }),
    250,
  )
  assert.equal(cpu({ containers: [container('a', '100m')], overhead: { cpu: '10m' } }), 110)
})

test('an unschedulable pod is tried again when something changes, after its back-off', () => {
  const clock = new ManualClock()
  const queue = new SchedulingQueue({ clock, onReady: () => {} })
  queue.add({ key: 'low', priority: 0 })
  queue.add({ key: 'high', priority: 10 })
  assert.deepEqual([queue.take(), queue.take(), queue.take()], ['high', 'low', null])
  queue.parkUnschedulable('low')
  queue.wake()
  assert.equal(queue.take(), null)
  clock.advance(1_000)
  assert.equal(queue.take(), 'low')
  queue.parkUnschedulable('low')
  clock.advance(60_000)
  assert.equal(queue.take(), null)
  queue.wake()
  assert.equal(queue.take(), 'low')
  queue.remove('low')
  queue.wake()
  clock.advance(600_000)
  assert.equal(queue.take(), null)
})

const inZone = (name: string, zone: string, pods: Pod[] = []) =>
  new NodeInfo(node(name, { labels: { zone } }), pods)
const labelled = (app: string, spec: object = {}): Pod => {
  const made = pod(spec)
  return { ...made, metadata: { ...made.metadata, namespace: 'default', labels: { app } } }
}
const rule = (app: string) => [{ topologyKey: 'zone', labelSelector: { matchLabels: { app } } }]
const near = (app: string) => ({
  affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: rule(app) } },
})
const away = (app: string) => ({
  affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: rule(app) } },
})

test('required affinity between pods holds in both directions', () => {
  const db = inZone('a1', 'a', [labelled('db')])
  assert.equal(place(labelled('web', near('db')), db, inZone('b1', 'b')), 'a1')
  assert.equal(place(labelled('web', away('db')), db, inZone('b1', 'b')), 'b1')
  assert.equal(
    place(labelled('db'), inZone('a1', 'a', [labelled('web', away('db'))]), inZone('b1', 'b')),
    'b1',
  )
  assert.equal(place(labelled('db', near('db')), inZone('b1', 'b')), 'b1')
  assert.match(place(labelled('web', near('db')), inZone('b1', 'b')), /didn't match pod affinity rules/)
  assert.match(place(labelled('db', away('db')), db), /didn't match pod anti-affinity rules/)
})

test('a spread that must hold keeps domains level', () => {
  const labelSelector = { matchLabels: { app: 'web' } }
  const constraint = { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector }
  const web = () => labelled('web', { topologySpreadConstraints: [constraint] })
  assert.equal(place(web(), inZone('a1', 'a', [web()]), inZone('b1', 'b')), 'b1')
  const full = inZone('b1', 'b', [asking({ cpu: '2' })])
  const greedy = {
    ...web(),
    spec: { ...asking({ cpu: '1' }).spec, topologySpreadConstraints: [constraint] },
  } as Pod
  const message = place(greedy, inZone('a1', 'a', [web()]), full)
  assert.match(message, /1 Insufficient cpu, 1 node\(s\) didn't match pod topology spread constraints\./)
})

test('a pod goes only where the node declares what it needs', () => {
  const rule = { action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [1] } }
  const needy = pod({ initContainers: [{ name: 'c', restartPolicyRules: [rule] }], containers: [] })
  const name = 'RestartAllContainersOnContainerExits'
  const why = `1 node declared features check failed - unsatisfied requirements: ${name}`
  assert.equal(alone(needy), `0/1 nodes are available: ${why}. ${NOT_HELPFUL}`)
  const able = node('n2')
  const status = { ...able.status, declaredFeatures: [name] }
  assert.equal(place(needy, new NodeInfo(node('n1')), new NodeInfo({ ...able, status })), 'n2')
  assert.equal(alone(pod()), 'n1', 'others need nothing')
})
