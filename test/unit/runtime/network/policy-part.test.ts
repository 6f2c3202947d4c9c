/** Which pods are isolated, by which rules, and who is a peer; packets are in `test/integration/network-policies.test.ts`. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NetworkPolicy, Pod } from '../../../../src/kube/types.ts'
import { renderPolicies } from '../../../../src/runtime/network/policy-part.ts'
import type { TablePart } from '../../../../src/runtime/network/table-part.ts'

const pod = (name: string, podIP: string, over: object = {}, nodeName = 'a'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels: { app: name } },
  spec: { nodeName, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 80 }] }], ...over },
  status: { podIP, phase: 'Running' },
})
const policy = (name: string, spec: object): NetworkPolicy => ({
  apiVersion: 'networking.k8s.io/v1',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'default' },
  spec: { podSelector: {}, ...spec },
})
const render = (policies: NetworkPolicy[], pods: Pod[]) =>
  renderPolicies({ nodeName: 'a', policies, pods, namespaces: [] })
const isolated = (part: TablePart, direction: string) => [
  ...(part.elements.get(`isolated-${direction}`)?.keys() ?? []),
]
const linesOf = ({ chains }: TablePart, kind: string) =>
  [...chains].flatMap(([name, lines]) => (name.startsWith(kind) ? lines : []))

test('pods of this node with an address of their own are isolated, in the directions that a policy is about', () => {
  const ended = { ...pod('ended', '10.1.0.3'), status: { podIP: '10.1.0.3', phase: 'Succeeded' } }
  const pods = [
    pod('web', '10.1.0.2'),
    ended,
    pod('host', '192.0.2.1', { hostNetwork: true }),
    pod('away', '10.1.1.2', {}, 'b'),
  ]
  const closed = render([policy('closed', {})], pods)
  assert.deepEqual([isolated(closed, 'ingress'), isolated(closed, 'egress')], [['10.1.0.2'], []])
  assert.deepEqual(linesOf(closed, 'policy-in'), [])
  assert.equal(linesOf(closed, 'in-').at(-1), 'drop')
  const leaving = render([policy('leaving', { egress: [{}] })], pods)
  assert.deepEqual([isolated(leaving, 'ingress'), isolated(leaving, 'egress')], [['10.1.0.2'], ['10.1.0.2']])
  assert.deepEqual(linesOf(leaving, 'policy-out'), ['accept'])
  const both = render([policy('none', { policyTypes: ['Egress'] })], pods)
  assert.deepEqual([isolated(both, 'ingress'), isolated(both, 'egress')], [[], ['10.1.0.2']])
})

test('ranges, names and blocks become these rules; a selector is a set of addresses of all nodes', () => {
  const from = [
    { ipBlock: { cidr: '10.0.0.0/8', except: ['10.2.0.0/16'] } },
    { ipBlock: { cidr: 'fd00::/8' } },
    { podSelector: { matchLabels: { app: 'away' } } },
  ]
  const ports = [{ port: 80, endPort: 90 }, { protocol: 'SCTP' }, { port: 'http' }]
  const pods = [pod('web', '10.1.0.2'), pod('away', '10.1.1.2', {}, 'b')]
  const part = render([policy('some', { ingress: [{ from, ports }] })], pods)
  const lines = linesOf(part, 'policy-in').map(line => line.replaceAll(/-[0-9a-f]{10}-[a-z]+/g, ''))
  const numbers = [
    'meta l4proto tcp th dport 80-90',
    'meta l4proto sctp',
    'ip daddr . meta l4proto . th dport @port',
  ]
  const sources = ['ip saddr 10.0.0.0/8 ip saddr != 10.2.0.0/16', 'ip saddr @peers']
  assert.deepEqual(
    lines,
    sources.flatMap(source => numbers.map(number => `${source} ${number} accept`)),
  )
  const setOf = (kind: string) =>
    [...part.elements].flatMap(([name, each]) => (name.startsWith(kind) ? [...each.keys()] : []))
  assert.deepEqual(setOf('peers'), ['10.1.1.2'])
  assert.deepEqual(setOf('port'), ['10.1.0.2 . tcp . 80', '10.1.1.2 . tcp . 80'])
})

test('what does not belong to a pod of this node leaves no rule behind', () => {
  const part = render([policy('closed', {})], [pod('away', '10.1.1.2', {}, 'b')])
  assert.deepEqual([part.chains.size, part.sets.size, part.elements.size], [0, 0, 0])
})
