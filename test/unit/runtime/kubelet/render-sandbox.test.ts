import assert from 'node:assert/strict'
import { test } from 'node:test'
import { qosClassOf } from '../../../../src/kube/qos.ts'
import type { Pod, PodSpec } from '../../../../src/kube/types.ts'
import { imageNameProblem, registryOf } from '../../../../src/runtime/kubelet/image-name.ts'
import {
  podHostname,
  renderDns,
  renderHostsFile,
  renderIsolation,
  renderResolver,
  sandboxHostname,
} from '../../../../src/runtime/kubelet/render-sandbox.ts'

const DNS = { clusterDns: '10.152.183.10', clusterDomain: 'cluster.local' }
const HOST = 'search example.org\nnameserver 192.0.2.53\noptions edns0 ndots:1\n'
const pod = (spec: Partial<PodSpec>, name = 'web'): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'shop', uid: 'u' },
  spec: { containers: [{ name: 'c' }], ...spec },
})
const withResources = (...resources: object[]) =>
  pod({ containers: resources.map((each, index) => ({ name: `c${index}`, resources: each })) })

test('each DNS policy has its resolver', () => {
  const cluster = renderDns(pod({}), DNS, HOST)
  assert.deepEqual(cluster, {
    servers: ['10.152.183.10'],
    searches: ['shop.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'example.org'],
    options: ['ndots:5'],
  })
  assert.equal(renderDns(pod({ dnsPolicy: 'Default' }), DNS, HOST), undefined)
  assert.equal(renderDns(pod({ hostNetwork: true }), DNS, HOST), undefined)
  const both = pod({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })
  assert.deepEqual(renderDns(both, DNS, HOST), cluster)
  const dnsConfig = {
    nameservers: ['192.0.2.1'],
    searches: ['a.b'],
    options: [{ name: 'ndots', value: '2' }, { name: 'rotate' }],
  }
  assert.deepEqual(renderDns(pod({ dnsPolicy: 'None', dnsConfig }), DNS, HOST), {
    servers: ['192.0.2.1'],
    searches: ['a.b'],
    options: ['ndots:2', 'rotate'],
  })
  assert.deepEqual(renderDns(pod({ dnsPolicy: 'Default', dnsConfig }), DNS, HOST), {
    servers: ['192.0.2.53', '192.0.2.1'],
    searches: ['example.org', 'a.b'],
    options: ['edns0', 'ndots:2', 'rotate'],
  })
})

test('the hosts file names the pod, its domain and its aliases', () => {
  const facts = { podAddresses: ['10.1.0.5'], clusterDomain: 'cluster.local', hostHosts: '127.0.0.1 host\n' }
  const named = pod({
    hostname: 'a',
    subdomain: 'b',
    hostAliases: [{ ip: '192.0.2.9', hostnames: ['x', 'y'] }],
  })
  const text = renderHostsFile(named, facts)
  assert.match(text, /^# Kubernetes-managed hosts file\.\n127\.0\.0\.1\tlocalhost\n/)
  assert.match(text, /^10\.1\.0\.5\ta\.b\.shop\.svc\.cluster\.local\ta$/m)
  assert.match(text, /\n# Entries added by HostAliases\.\n192\.0\.2\.9\tx\ty\n$/)
  const host = renderHostsFile(pod({ hostNetwork: true }), facts)
  assert.equal(host, '# Kubernetes-managed hosts file (host network).\n127.0.0.1 host\n')
})

test('a long name is cut to a hostname', () => {
  assert.equal(podHostname(pod({}, `${'a'.repeat(62)}.b`)), 'a'.repeat(62))
  assert.equal(podHostname(pod({ hostname: 'own' })), 'own')
})

test('the class of a pod follows from its requests and limits', () => {
  const all = { cpu: '1', memory: '1Gi' }
  assert.equal(qosClassOf(withResources({}, {})), 'BestEffort')
  assert.equal(qosClassOf(withResources({ requests: { cpu: '0' } })), 'BestEffort')
  assert.equal(qosClassOf(withResources({ limits: all })), 'Guaranteed')
  assert.equal(qosClassOf(withResources({ limits: all, requests: all })), 'Guaranteed')
  assert.equal(qosClassOf(withResources({ limits: all }, {})), 'Burstable')
  assert.equal(qosClassOf(withResources({ limits: all, requests: { cpu: '500m' } })), 'Burstable')
})

test('one privileged container makes the sandbox privileged, and only ports of the host are mapped', () => {
  const containers = [
    { name: 'a', ports: [{ containerPort: 80 }, { containerPort: 81, hostPort: 8081 }] },
    { name: 'b', securityContext: { privileged: true } },
  ]
  const isolation = renderIsolation(pod({ containers }), DNS, HOST)
  assert.equal(isolation.privileged, true)
  assert.deepEqual(isolation.hostPorts, [{ protocol: 'TCP', containerPort: 81, hostPort: 8081, hostIp: '' }])
})

test('image names are checked as the reference library does', () => {
  for (const good of [
    'web',
    'web:1',
    'a/b/c',
    'localhost:5000/x@sha256:'.concat('a'.repeat(64)),
    'r.io/a__b:v1',
  ]) {
    assert.equal(imageNameProblem(good), undefined, good)
  }
  assert.match(imageNameProblem('Web') ?? '', /must be lowercase/)
  assert.equal(imageNameProblem('web:'), 'invalid reference format')
  assert.equal(imageNameProblem(''), 'invalid reference format')
  assert.equal(registryOf('nginx'), 'docker.io')
  assert.equal(registryOf('library/nginx'), 'docker.io')
  assert.equal(registryOf('localhost/x'), 'localhost')
  assert.equal(registryOf('r.io:5000/a/b'), 'r.io:5000')
})

test('a pod that wants its whole name as its host name gets it, if the kernel can keep it', () => {
  const nameOf = (spec: Partial<PodSpec>, name?: string) => sandboxHostname(pod(spec, name), 'cluster.local')
  assert.equal(nameOf({ setHostnameAsFQDN: true, subdomain: 'team' }), 'web.team.shop.svc.cluster.local')
  assert.equal(nameOf({ setHostnameAsFQDN: true }), 'web')
  assert.equal(nameOf({ subdomain: 'team' }), 'web')
  const long = { setHostnameAsFQDN: true, subdomain: 't'.repeat(38) }
  assert.throws(() => nameOf(long), /is too long \(64 characters is the max, 65 characters requested\)$/)
})

test('a resolver is written as runtimes write it', () => {
  const text = renderResolver({
    servers: ['1.1.1.1', '::1'],
    searches: ['a', 'b'],
    options: ['ndots:5', 'edns0'],
  })
  assert.equal(text, 'search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5 edns0\n')
})
