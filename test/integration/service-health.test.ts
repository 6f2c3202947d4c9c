/** A load balancer asks a node at the health port whether it has endpoints of a service. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { systemClock } from '../../src/base/clock.ts'
import type { Component } from '../../src/base/component.ts'
import { silentLog } from '../../src/base/log.ts'
import { systemRandom } from '../../src/base/random.ts'
import { ENDPOINT_SLICES, SERVICES } from '../../src/client/resources.ts'
import type { EndpointSlice, Service } from '../../src/kube/types.ts'
import { ServiceFeed } from '../../src/runtime/network/service-feed.ts'
import { createServiceHealth } from '../../src/runtime/network/service-health.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const ADDRESS = '127.77.0.9'
const aborter = new AbortController()
let cluster: InProcessCluster
let health: Component | undefined

before(async () => {
  cluster = await startInProcessCluster()
  const shared = { clock: systemClock, random: systemRandom, log: silentLog }
  const feed = new ServiceFeed({ ...shared, client: cluster.client })
  await feed.start(() => {}, { ending: aborter.signal, signal: aborter.signal })
  const node = { nodeName: 'n1', address: ADDRESS, isProxyHealthy: () => true }
  health = createServiceHealth({ ...shared, ...node, feed })
  await health.start(aborter.signal)
})
after(async () => {
  aborter.abort()
  await health?.stop()
  await cluster.stop()
})

test('the health port answers 200 with endpoints on this node, 503 without, and goes with its service', async () => {
  const metadata = { name: 'web', namespace: 'default' }
  const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }] }
  const service = await cluster.client.create<Service>(SERVICES, {
    ...{ apiVersion: 'v1', kind: 'Service' },
    ...{ metadata, spec },
  })
  const port = service.spec?.healthCheckNodePort
  assert.ok(port)
  const ask = async () => {
    const response = await fetch(`http://${ADDRESS}:${port}/healthz`).catch(() => null)
    if (response === null) return null
    const weight = response.headers.get('x-load-balancing-endpoint-weight')
    return { status: response.status, weight, body: await response.json() }
  }
  await until('the port to answer', async () => (await ask()) !== null)
  const body = (localEndpoints: number) => ({
    service: { namespace: 'default', name: 'web' },
    localEndpoints,
    serviceProxyHealthy: true,
  })
  assert.deepEqual(await ask(), { status: 503, weight: '0', body: body(0) })
  const publish = (name: string, addressType: string, endpoints: EndpointSlice['endpoints']) =>
    cluster.client.create<EndpointSlice>(ENDPOINT_SLICES, {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, name, labels: { 'kubernetes.io/service-name': 'web' } },
      ...{ addressType, ports: [{ port: 8080 }], endpoints },
    })
  // Pods with an address of each family are counted once.
  await publish('web-6', 'IPv6', [{ addresses: ['fd00:1::2'], nodeName: 'n1' }])
  await publish('web-4', 'IPv4', [
    { addresses: ['10.1.0.2', '10.1.0.3'], nodeName: 'n1' },
    { addresses: ['10.1.0.4'], nodeName: 'n1', conditions: { ready: false } },
    { addresses: ['10.1.1.5'], nodeName: 'n2' },
  ])
  await until('both to be seen', async () => (await ask())?.weight === '2')
  assert.deepEqual(await ask(), { status: 200, weight: '2', body: body(2) })
  await cluster.client.delete(SERVICES, { namespace: 'default', name: 'web' })
  await until('the port to be closed', async () => (await ask()) === null)
})
