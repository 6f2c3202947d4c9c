import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Endpoint, EndpointSlice, Service, ServiceSpec } from '../../../../src/kube/types.ts'
import { type ProxyInput, planProxyRules } from '../../../../src/runtime/network/proxy-rules.ts'

const service = (spec: Partial<ServiceSpec>): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: { type: 'ClusterIP', clusterIP: '10.152.183.12', ports: [{ name: 'http', port: 80 }], ...spec },
})

const endpoint = (address: string, over: Partial<Endpoint> = {}): Endpoint => ({
  addresses: [address],
  nodeName: 'a',
  ...over,
})

const slice = (endpoints: Endpoint[]): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'web-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints,
  ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
})

/** One line per rule. */
function rules(services: Service[], slices: EndpointSlice[], over: Partial<ProxyInput> = {}): string[] {
  const input = {
    node: { name: 'a', zone: null },
    nodeAddresses: ['192.0.2.1', '127.0.0.1'],
    serviceAddress: (ip: string) => ip.replace(/^10/, '127'),
    ...over,
  }
  const planned = planProxyRules({ services, slices, ...input })
  return [...planned.values()].map(rule => {
    const backends = rule.backends.map(({ address, port }) => `${address}:${port}`).join(' ')
    return `${rule.key} → ${backends}${rule.affinityMs === null ? '' : ` for ${rule.affinityMs} ms`}`
  })
}

test('a cluster IP listens on its mirror and leads to ready endpoints only', () => {
  const endpoints = [
    endpoint('127.1.0.2', { conditions: { ready: true } }),
    endpoint('127.1.0.3', { conditions: { ready: false } }),
    endpoint('127.1.0.4'),
  ]
  assert.deepEqual(rules([service({})], [slice(endpoints)]), [
    'TCP 127.152.183.12:80 → 127.1.0.2:8080 127.1.0.4:8080',
  ])
})

test('without ready endpoints, those that serve while they end are taken', () => {
  const conditions = { ready: false, serving: true, terminating: true }
  const endpoints = [
    endpoint('127.1.0.2', { conditions }),
    endpoint('127.1.0.3', { conditions: { ready: false } }),
  ]
  assert.deepEqual(rules([service({})], [slice(endpoints)]), ['TCP 127.152.183.12:80 → 127.1.0.2:8080'])
})

test('a service with no endpoint, no cluster IP or an external name listens nowhere', () => {
  assert.deepEqual(rules([service({})], [slice([])]), [])
  assert.deepEqual(rules([service({ clusterIP: 'None' })], [slice([endpoint('127.1.0.2')])]), [])
  assert.deepEqual(rules([service({ type: 'ExternalName' })], [slice([endpoint('127.1.0.2')])]), [])
})

test('what serves itself at its address is not carried', () => {
  const ports = [
    { name: 'http', port: 8080 },
    { name: 'other', port: 81, targetPort: 8080 },
  ]
  const other = { ...slice([endpoint('127.152.183.12')]), ports: [{ name: 'other', port: 8080 }] }
  const slices = [
    slice([endpoint('127.152.183.12')]),
    { ...other, metadata: { ...other.metadata, name: 'o' } },
  ]
  assert.deepEqual(rules([service({ ports })], slices), ['TCP 127.152.183.12:81 → 127.152.183.12:8080'])
})

test('node ports listen on every node address, and the traffic policies keep traffic on the node', () => {
  const endpoints = [endpoint('127.1.0.2'), endpoint('127.1.1.2', { nodeName: 'b' })]
  const ports = [{ name: 'http', port: 80, nodePort: 30080 }]
  const spec = { type: 'NodePort', ports, externalTrafficPolicy: 'Local' }
  assert.deepEqual(rules([service(spec)], [slice(endpoints)]), [
    'TCP 127.152.183.12:80 → 127.1.0.2:8080 127.1.1.2:8080',
    'TCP 192.0.2.1:30080 → 127.1.0.2:8080',
    'TCP 127.0.0.1:30080 → 127.1.0.2:8080',
  ])
  const internal = { internalTrafficPolicy: 'Local' }
  assert.deepEqual(rules([service(internal)], [slice(endpoints)], { node: { name: 'c', zone: null } }), [])
})

test('session affinity has a time, three hours unless told', () => {
  const spec = { sessionAffinity: 'ClientIP' }
  assert.deepEqual(rules([service(spec)], [slice([endpoint('127.1.0.2')])]), [
    'TCP 127.152.183.12:80 → 127.1.0.2:8080 for 10800000 ms',
  ])
})
