/** What the DNS is told of Services and endpoint slices. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mirrorOf } from '../../../../src/kube/mirror-address.ts'
import type { EndpointSlice, Service } from '../../../../src/kube/types.ts'
import { dnsServiceOf, dnsSliceOf } from '../../../../src/runtime/dns/service-records.ts'

const service = (spec: Service['spec']): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop' },
  ...(spec === undefined ? {} : { spec }),
})
const asIs = (address: string) => address

test('a service is what its addresses and its type make of it', () => {
  const ports = [
    { name: 'http', port: 80 },
    { port: 53, protocol: 'UDP' },
  ]
  const wanted = [
    { name: 'http', protocol: 'tcp', port: 80 },
    { name: '', protocol: 'udp', port: 53 },
  ]
  const kindOf = (spec: Service['spec']) => dnsServiceOf(service(spec), asIs)?.kind
  assert.deepEqual(dnsServiceOf(service({ clusterIP: '10.152.183.5', ports }), mirrorOf), {
    ...{ kind: 'cluster-ip', addresses: ['127.152.183.5'], ports: wanted, target: '' },
  })
  assert.equal(kindOf({ clusterIP: 'None', clusterIPs: ['None'] }), 'headless')
  assert.equal(kindOf({ type: 'ExternalName', externalName: 'Example.com.' }), 'external-name')
  assert.equal(kindOf({ clusterIP: '' }), undefined)
})

test('an endpoint that is not ready is left out, unless its service publishes it, which marks it as ready', () => {
  const slice = (ready: boolean | undefined): EndpointSlice => ({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    addressType: 'IPv4',
    endpoints: [
      {
        addresses: ['10.1.0.5'],
        hostname: 'Pod-0',
        ...(ready === undefined ? {} : { conditions: { ready } }),
      },
    ],
    ports: [{ name: 'http', port: 80 }],
  })
  const endpoints = [{ hostname: 'pod-0', addresses: ['10.1.0.5'] }]
  const ports = [{ name: 'http', protocol: 'tcp', port: 80 }]
  assert.deepEqual(dnsSliceOf(slice(true)), { service: 'shop/web', endpoints, ports })
  assert.deepEqual(dnsSliceOf(slice(undefined)), { service: 'shop/web', endpoints, ports })
  assert.deepEqual(dnsSliceOf(slice(false)), { service: 'shop/web', endpoints: [], ports })
})
