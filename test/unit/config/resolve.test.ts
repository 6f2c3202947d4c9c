import assert from 'node:assert/strict'
import test from 'node:test'
import { Mk8sError } from '../../../src/base/errors.ts'
import { parseConfigDocuments } from '../../../src/config/documents.ts'
import { type ConfigSources, resolveConfig } from '../../../src/config/resolve.ts'

const machine = { nodeName: 'host-1', bindAddress: '10.0.0.5' }
const resolved = (over: Partial<ConfigSources> = {}) =>
  resolveConfig({ flags: {}, env: {}, machine, ...over })

function problemsOf(over: Partial<ConfigSources>): readonly string[] {
  try {
    resolved(over)
  } catch (error) {
    assert.ok(error instanceof Mk8sError)
    assert.equal(error.code, 'config/invalid')
    return error.fields['problems'] as string[]
  }
  return []
}

const node = (text: string) =>
  parseConfigDocuments(`apiVersion: mk8s.io/v1\nkind: NodeConfig\n${text}`, 'f.yaml')
const cluster = (text: string) =>
  parseConfigDocuments(`apiVersion: mk8s.io/v1\nkind: ClusterConfig\n${text}`, 'f.yaml')

test('with nothing given, the machine and the table of options decide', () => {
  const { node, cluster } = resolved()
  assert.equal(node.nodeName, 'host-1')
  assert.equal(node.bindAddress, '10.0.0.5')
  assert.deepEqual({ ...node.ports }, { api: 16443, join: 25000, raft: 19001, kubelet: 10250 })
  assert.deepEqual({ ...cluster.nodePortRange }, { first: 30000, last: 32767 })
})

test('a flag wins over the environment, the environment over the file, the file over the default', () => {
  const file = node('ports: {api: 1001, raft: 1003, join: 1002}')
  const { ports } = resolved({
    file,
    env: { MK8S_API_PORT: '2001', MK8S_JOIN_PORT: '2002' },
    flags: { 'api-port': '3001' },
  }).node
  assert.deepEqual({ ...ports }, { api: 3001, join: 2002, raft: 1003, kubelet: 10250 })
})

test('all problems are reported together, each with its place', () => {
  const problems = problemsOf({
    file: node('nodeNam: x\nports: {api: 70000}'),
    flags: { 'bind-address': 'nonsense', runtime: 'proces' },
    env: { MK8S_BIND_ADRESS: '10.0.0.1' },
  })
  assert.equal(problems.length, 5, problems.join('\n'))
  const text = problems.join('\n')
  for (const part of [/nodeNam; did you mean nodeName/, /ports.api: "70000"/, /--bind-address: "nonsense"/]) {
    assert.match(text, part)
  }
  assert.match(text, /did you mean process/)
  assert.match(text, /MK8S_BIND_ADRESS; did you mean MK8S_BIND_ADDRESS/)
})

test('admission plugins are those that there are, and not on and off at once', () => {
  const file = node('apiServer: {enableAdmissionPlugins: "AlwaysPullImages,EventRateLimit"}')
  assert.equal(
    resolved({ file }).node.apiServer?.['enableAdmissionPlugins'],
    'AlwaysPullImages,EventRateLimit',
  )
  const [unknown = ''] = problemsOf({ flags: { 'enable-admission-plugins': 'AlwaysPullImage' } })
  assert.match(
    unknown,
    /^--enable-admission-plugins: plugin "AlwaysPullImage" is unknown; did you mean Always/,
  )
  assert.match(unknown, /known: .*PodNodeSelector, .*ResourceQuota/)
  assert.deepEqual(
    problemsOf({ file, flags: { 'disable-admission-plugins': 'PodSecurity,EventRateLimit' } }),
    ['EventRateLimit in apiServer.enableAdmissionPlugins and --disable-admission-plugins overlapped'],
  )
})

test('a hostname in upper case is refused with the name that would do', () => {
  const [problem = ''] = problemsOf({ machine: { ...machine, nodeName: 'My_Host.local' } })
  assert.match(problem, /"my-host-local" would do/)
})

test('an address that means every address is no address of a node', () => {
  for (const address of ['0.0.0.0', '::']) {
    assert.match(problemsOf({ flags: { 'bind-address': address } }).join(), /every address/)
  }
})

test('networks that would meet in 127.0.0.0/8 are refused', () => {
  assert.match(problemsOf({ file: cluster('podCidr: 192.152.0.0/16') }).join(), /overlap/)
  assert.match(problemsOf({ file: cluster('podCidr: 10.0.0.0/16') }).join(), /127\.0\.0\.0\/24/)
  assert.match(problemsOf({ file: cluster('podCidr: 10.2.0.0/25') }).join(), /\/24 or larger/)
  assert.match(problemsOf({ file: cluster('serviceCidr: 10.96.0.1/24') }).join(), /host bits/)
})

test('networks are of one family or of both, in one order', () => {
  const [pods, services] = ['10.1.0.0/16,fd00:1::/48', '10.152.183.0/24,fd00:2::/112']
  const { cluster: both } = resolved({ file: cluster(`podCidr: ${pods}\nserviceCidr: ${services}`) })
  assert.deepEqual(both.ipv6, { serviceCidr: 'fd00:2::/112', podCidr: 'fd00:1::/48' })
  assert.deepEqual([both.podCidr, both.serviceCidr], ['10.1.0.0/16', '10.152.183.0/24'])
  assert.equal('ipv6' in resolved({}).cluster, false)
  const refused = (pod: string, service: string) =>
    problemsOf({ file: cluster(`podCidr: ${pod}\nserviceCidr: ${service}`) }).join()
  assert.match(refused(pods, '10.152.183.0/24'), /both need a network of each family/)
  assert.match(refused('fd00:1::/48,10.1.0.0/16', services), /in the same order/)
  assert.match(refused(`${pods},fd00:9::/48`, services), /more than one network of IPv4 and one of IPv6/)
  assert.match(refused('10.1.0.0/16,fd00:1::/32', services), /podCidr: .* must be a \/48 to \/64/)
  assert.match(refused('10.1.0.0/16,fd00:1::5/48', services), /not an IPv6 network in its one spelling/)
  assert.match(refused('10.1.0.0/16,fd00:2::/64', services), /overlap/)
})

test("where IPv6 is first, its networks are the cluster's own and the node is known by an address of it", () => {
  const six = { ...machine, bindAddress6: 'fd77::1' }
  const [pods, services] = ['fd00:1::/48,10.1.0.0/16', 'fd00:2::/112,10.152.183.0/24']
  const file = cluster(`podCidr: ${pods}\nserviceCidr: ${services}`)
  const { cluster: both, node } = resolved({ file, machine: six })
  assert.deepEqual(both.ipv4, { serviceCidr: '10.152.183.0/24', podCidr: '10.1.0.0/16' })
  assert.deepEqual([both.podCidr, both.serviceCidr, both.ipv6], ['fd00:1::/48', 'fd00:2::/112', undefined])
  assert.equal(node.bindAddress, 'fd77::1')
  const alone = cluster('podCidr: fd00:1::/48\nserviceCidr: fd00:2::/112')
  assert.equal('ipv4' in resolved({ file: alone, machine: six }).cluster, false)
  const refused = problemsOf({ file: alone, flags: { 'bind-address': '192.0.2.1' } }).join()
  assert.match(
    refused,
    /--bind-address: the first family of the cluster is IPv6, and 192\.0\.2\.1 is of IPv4/,
  )
})

test('ports must differ from each other and from the node ports', () => {
  assert.match(problemsOf({ flags: { 'api-port': '10250' } }).join(), /are both 10250/)
  assert.match(problemsOf({ flags: { 'raft-port': '30001' } }).join(), /range of node ports/)
})
