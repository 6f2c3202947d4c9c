/** Endpoints that somebody keeps by hand become endpoint slices; the real API server, in this process. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { KubeClient } from '../../src/client/kube-client.ts'
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '../../src/client/resources.ts'
import type { EndpointSlice } from '../../src/kube/types.ts'
import { type InProcessCluster, startInProcessCluster } from '../support/in-process-cluster.ts'
import { until } from '../support/until.ts'

const WAIT_MS = 120_000
const namespace = 'default'
let cluster: InProcessCluster
let client: KubeClient

before(async () => {
  cluster = await startInProcessCluster()
  client = cluster.client
})
after(() => cluster.stop())

const slicesOf = async (service: string) =>
  (await client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace })).items.filter(
    ({ metadata }) => metadata.labels?.['kubernetes.io/service-name'] === service,
  )
const untilSlices = (service: string, count: number) =>
  until(
    `${count} slices of ${service}`,
    async () => {
      const slices = await slicesOf(service)
      return slices.length === count && slices
    },
    WAIT_MS,
  )

async function make(name: string, labels: Record<string, string>, ...ips: string[]): Promise<void> {
  const ports = [{ name: 'http', port: 80, protocol: 'TCP' }]
  await client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { ports },
  })
  await client.create(ENDPOINTS, {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name, namespace, labels },
    subsets: [{ addresses: ips.map(ip => ({ ip })), notReadyAddresses: [{ ip: '192.0.2.99' }], ports }],
  } as never)
}

test('should mirror a custom Endpoints resource through create update and delete', async () => {
  await make('outside', { team: 'db' }, '192.0.2.1', '2001:db8::1')
  const slices = await untilSlices('outside', 2)
  const four = slices.find(slice => slice.addressType === 'IPv4')
  assert.equal(
    four?.metadata.labels?.['endpointslice.kubernetes.io/managed-by'],
    'endpointslicemirroring-controller.k8s.io',
  )
  assert.equal(four?.metadata.labels?.['team'], 'db')
  assert.equal(four?.metadata.ownerReferences?.[0]?.kind, 'Endpoints')
  assert.deepEqual(four?.ports, [{ name: 'http', port: 80, protocol: 'TCP' }])
  assert.deepEqual(
    four?.endpoints?.map(({ addresses, conditions }) => [addresses[0], conditions?.ready]),
    [
      ['192.0.2.1', true],
      ['192.0.2.99', false],
    ],
  )
  const subsets = [{ addresses: [{ ip: '192.0.2.7' }], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] }]
  await client.patch(ENDPOINTS, { namespace, name: 'outside', type: 'merge', patch: { subsets } })
  const [only] = await untilSlices('outside', 1)
  await until(
    'the other address',
    async () => (await slicesOf('outside'))[0]?.endpoints?.[0]?.addresses[0] === '192.0.2.7',
    WAIT_MS,
  )
  assert.equal(only?.metadata.uid, four?.metadata.uid, 'the slice is changed, not replaced')
  await client.delete(ENDPOINTS, { namespace, name: 'outside' })
  await untilSlices('outside', 0)
})

test('Endpoints that ask for it, and those of a service that selects pods, are not mirrored', async () => {
  await make('skipped', { 'endpointslice.kubernetes.io/skip-mirror': 'true' }, '192.0.2.2')
  await make('selected-later', {}, '192.0.2.3')
  await untilSlices('selected-later', 1)
  assert.deepEqual(await slicesOf('skipped'), [])
  const patch = { spec: { selector: { app: 'web' } } }
  await client.patch(SERVICES, { namespace, name: 'selected-later', type: 'merge', patch })
  await until(
    'no mirror of it',
    async () =>
      (await slicesOf('selected-later')).every(({ metadata }) =>
        metadata.labels?.['endpointslice.kubernetes.io/managed-by']?.startsWith('endpointslice-controller'),
      ),
    WAIT_MS,
  )
})
