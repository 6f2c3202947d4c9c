/** Which pods a node takes in that name it themselves. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, ObjectMeta, Pod, PodSpec, Taint } from '../../../../../src/kube/types.ts'
import { judgePod, type NodeView } from '../../../../../src/runtime/kubelet/admission/judge-pod.ts'

const nodeOf = (taints: readonly Taint[] = [], allocatable: Record<string, string> = {}): Node => ({
  ...{ apiVersion: 'v1', kind: 'Node' },
  metadata: { name: 'n', uid: 'node', labels: { 'kubernetes.io/os': 'linux', disk: 'ssd' } },
  spec: { taints: [...taints] },
  status: {
    allocatable: { cpu: '1900m', memory: '1Gi', 'ephemeral-storage': '10Gi', pods: '3', ...allocatable },
  },
})
const view = (over: Partial<NodeView> = {}): NodeView => ({
  ...{ node: nodeOf(), operatingSystem: 'linux', others: [], given: {} },
  ...over,
})
const podOf = (spec: Partial<PodSpec> = {}, metadata: Partial<ObjectMeta> = {}): Pod => ({
  ...{ apiVersion: 'v1', kind: 'Pod' },
  metadata: { name: 'p', namespace: 'default', uid: 'p', ...metadata },
  spec: { containers: [], ...spec },
})
const asking = (requests: Record<string, string>, more: Partial<PodSpec> = {}): Pod =>
  podOf({ containers: [{ name: 'c', image: 'i', resources: { requests } }], ...more })
const onPort = (hostPort: number): Pod =>
  podOf({ containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort }] }] })
const staticPod = (spec: Partial<PodSpec>): Pod =>
  podOf(spec, { annotations: { 'kubernetes.io/config.source': 'file' } })

const refuses = (pod: Pod, over: Partial<NodeView>, reason: string, message: string): void =>
  assert.deepEqual(judgePod(pod, view(over)), { reason, message: `Pod was rejected: ${message}` })
const admits = (pod: Pod, over: Partial<NodeView> = {}): void => assert.equal(judgePod(pod, view(over)), null)
const lacks = (resource: string, requested: number, used: number, capacity: number): string =>
  `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`

test('a pod is refused that asks for more than those before it have left', () => {
  const others = [asking({ cpu: '100m', memory: '512Mi' })]
  admits(asking({ cpu: '1800m', memory: '512Mi' }), { others })
  refuses(asking({ cpu: '2' }), { others }, 'OutOfcpu', lacks('cpu', 2000, 100, 1900))
  const memory = lacks('memory', 2 ** 30, 2 ** 29, 2 ** 30)
  refuses(asking({ memory: '1Gi' }), { others }, 'OutOfmemory', memory)
  const disk = lacks('ephemeral-storage', 11 * 2 ** 30, 0, 10 * 2 ** 30)
  refuses(asking({ 'ephemeral-storage': '11Gi' }), {}, 'OutOfephemeral-storage', disk)
  refuses(podOf(), { others: [podOf(), podOf(), podOf()] }, 'OutOfpods', lacks('pods', 1, 3, 3))
})

test('overhead and what the pod as a whole asks for count', () => {
  const overhead = asking({ cpu: '1' }, { overhead: { cpu: '1' } })
  refuses(overhead, {}, 'OutOfcpu', lacks('cpu', 2000, 0, 1900))
  const whole = asking({ cpu: '100m' }, { resources: { requests: { cpu: '2' } } })
  refuses(whole, {}, 'OutOfcpu', lacks('cpu', 2000, 0, 1900))
})

test('extended resources are judged that the node has, unless their device plugin has given them', () => {
  const asks = asking({ 'example.com/dongle': '2' })
  admits(asks)
  const node = nodeOf([], { 'example.com/dongle': '1' })
  refuses(asks, { node }, 'OutOfexample.com/dongle', lacks('example.com/dongle', 2, 0, 1))
  admits(asks, { node, given: { 'example.com/dongle': '1' } })
  refuses(asking({ 'hugepages-2Mi': '2Mi' }), {}, 'OutOfhugepages-2Mi', lacks('hugepages-2Mi', 2 ** 21, 0, 0))
})

test('for critical pods others may have to end, but they must match', () => {
  admits(asking({ cpu: '2' }, { priority: 2_000_000_000 }))
  refuses(
    asking({ cpu: '2' }, { priority: 2_000_000_000, nodeSelector: { disk: 'tape' } }),
    {},
    'NodeAffinity',
    "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
  )
})

test("the pod's selector and its required node affinity must match the node", () => {
  const failed = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
  admits(podOf({ nodeSelector: { disk: 'ssd' } }))
  refuses(podOf({ nodeSelector: { disk: 'tape' } }), {}, 'NodeAffinity', failed)
  const affine = (value: string) => {
    const nodeSelectorTerms = [{ matchExpressions: [{ key: 'disk', operator: 'In', values: [value] }] }]
    return { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } }
  }
  admits(podOf({ affinity: affine('ssd') }))
  refuses(podOf({ affinity: affine('tape') }), {}, 'NodeAffinity', failed)
})

test('labels of a node that is not registered yet are not known to be missing', () => {
  const node = { ...nodeOf(), metadata: { name: 'n' } }
  admits(podOf({ nodeSelector: { disk: 'tape' } }), { node })
})

test('a host port is given out once', () => {
  const failed = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
  admits(onPort(81), { others: [onPort(80)] })
  refuses(onPort(80), { others: [onPort(80)] }, 'NodePorts', failed)
})

test('taints that evict keep pods away, except static ones; others are for the scheduler', () => {
  const node = nodeOf([{ key: 'gone', effect: 'NoExecute' }])
  const failed = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
  refuses(podOf(), { node }, 'TaintToleration', failed)
  admits(podOf({ tolerations: [{ key: 'gone', operator: 'Exists' }] }), { node })
  admits(staticPod({}), { node })
  admits(podOf(), { node: nodeOf([{ key: 'gone', effect: 'NoSchedule' }]) })
})

test('pods of another operating system are refused', () => {
  const field = "Failed to admit pod as the OS field doesn't match node OS"
  const label = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
  admits(podOf({ os: { name: 'linux' } }, { labels: { 'kubernetes.io/os': 'linux' } }))
  refuses(podOf({ os: { name: 'windows' } }), {}, 'PodOSNotSupported', field)
  const labelled = podOf({ os: { name: 'windows' } }, { labels: { 'kubernetes.io/os': 'windows' } })
  refuses(labelled, {}, 'PodOSSelectorNodeLabelDoesNotMatch', label)
})
