/** What Kubernetes' conformance asks of the objects of sig-network: EndpointSlice, Endpoints, Ingress, IPAddress, Service. */
import assert from 'node:assert/strict'
import test, { after, before, describe } from 'node:test'
import { must } from '../../src/base/assert.ts'
import { at, itemsOf, type Namespace, named, nameOf, type Suite, startSuite } from '../support/conformance.ts'
import { labelled, type Operated, tryOperations } from '../support/operations.ts'
import { until } from '../support/until.ts'

const SLICE = {
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.0.0.1'] }],
  ports: [{ name: 'p', port: 80 }],
}
const BACKEND = { service: { name: 'backend', port: { number: 80 } } }
const NETWORKING = 'networking.k8s.io'

const operated: readonly Operated[] = [
  {
    ...{ group: 'discovery.k8s.io', resource: 'endpointslices', kind: 'EndpointSlice', namespaced: true },
    body: index => ({ ...named('discovery.k8s.io/v1', 'EndpointSlice', `e2e-${index}`), ...SLICE }),
  },
  {
    ...{ group: NETWORKING, resource: 'ingresses', kind: 'Ingress', namespaced: true, hasStatus: true },
    body: index =>
      named('networking.k8s.io/v1', 'Ingress', `e2e-${index}`, { spec: { defaultBackend: BACKEND } }),
  },
  {
    ...{ group: NETWORKING, resource: 'ingressclasses', kind: 'IngressClass', namespaced: false },
    body: index =>
      named('networking.k8s.io/v1', 'IngressClass', `e2e-${index}`, {
        spec: { controller: 'example.com/controller' },
      }),
  },
  {
    ...{ group: NETWORKING, resource: 'ipaddresses', kind: 'IPAddress', namespaced: false },
    body: index =>
      named('networking.k8s.io/v1', 'IPAddress', `192.168.87.${index}`, {
        spec: { parentRef: { group: '', resource: 'services', name: 'x', namespace: 'default' } },
      }),
  },
  {
    ...{
      group: NETWORKING,
      resource: 'servicecidrs',
      kind: 'ServiceCIDR',
      namespaced: false,
      hasStatus: true,
    },
    body: index =>
      named('networking.k8s.io/v1', 'ServiceCIDR', `e2e-${index}`, {
        spec: { cidrs: [`10.19${index}.0.0/24`] },
      }),
  },
]

describe('the objects of the network', () => {
  let suite: Suite
  let home: Namespace
  before(async () => {
    suite = await startSuite()
    home = await suite.namespace('network')
  })
  after(() => suite?.cluster.remove())

  const service = (name: string, spec: object, labels: object = {}) => ({
    ...named('v1', 'Service', name),
    metadata: { name, labels },
    spec: { ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...spec },
  })
  const subsets = (ip: string, port: number) => [
    { addresses: [{ ip }], ports: [{ name: 'http', port, protocol: 'TCP' }] },
  ]
  const slicesOf = (name: string) =>
    `${home.of('discovery.k8s.io/v1', 'endpointslices')}?labelSelector=kubernetes.io/service-name=${name}`
  const names = async (path: string) => itemsOf(await suite.ok('GET', path)).map(nameOf)

  const tried = (kind: string) => () =>
    tryOperations(
      suite,
      home,
      must(
        operated.find(each => each.kind === kind),
        kind,
      ),
    )
  test('EndpointSlice should support creating EndpointSlice API operations', tried('EndpointSlice'))
  test('Ingress API should support creating Ingress API operations', tried('Ingress'))
  test('IngressClass API should support creating IngressClass API operations', tried('IngressClass'))
  test('ServiceCIDR and IPAddress API should support IPAddress API operations', tried('IPAddress'))
  test('ServiceCIDR and IPAddress API should support ServiceCIDR API operations', tried('ServiceCIDR'))

  test('a Service has an address of another ServiceCIDR, which goes when nobody needs it any more', async () => {
    const cidr = named(`${NETWORKING}/v1`, 'ServiceCIDR', 'more', { spec: { cidrs: ['10.19.200.0/29'] } })
    await suite.kubectl.ok(['create', '-f', '-'], { input: JSON.stringify(cidr) })
    await suite.kubectl.ok(['wait', '--for=condition=Ready', 'servicecidr/more', '--timeout=30s'])
    await suite.ok('POST', home.core('services'), service('elsewhere', { clusterIP: '10.19.200.5' }))
    assert.ok(await suite.exists('/apis/networking.k8s.io/v1/ipaddresses/10.19.200.5'))
    const refused = await suite.refused(
      'POST',
      home.core('services'),
      service('nowhere', { clusterIP: '10.19.201.5' }),
    )
    assert.match(refused.text, /10\.19\.201\.5\) is not in the valid range/)
    await suite.kubectl.ok(['delete', 'servicecidr', 'more', '--wait=false'])
    const reason = ['get', 'servicecidr', 'more', '-o', 'jsonpath={.status.conditions[0].reason}']
    await until('it to wait', async () => (await suite.kubectl.ok(reason)) === 'Terminating')
    await suite.refused('POST', home.core('services'), service('late', { clusterIP: '10.19.200.4' }))
    await suite.ok('DELETE', `${home.core('services')}/elsewhere`)
    await suite.kubectl.ok(['wait', '--for=delete', 'servicecidr/more', '--timeout=30s'])
  })

  test('API Server should provide secure master service', async () => {
    const shown = await suite.kubectl.ok([
      ...['get', 'service', 'kubernetes', '-n', 'default'],
      ...['-o', 'jsonpath={.spec.clusterIP} {.spec.ports[*].name} {.spec.ports[*].port}'],
    ])
    assert.match(shown, /^10\.\d+\.\d+\.1 https 443$/)
  })

  test('API Server should have Endpoints and EndpointSlices pointing to API Server', async () => {
    const endpoints = await suite.ok('GET', '/api/v1/namespaces/default/endpoints/kubernetes')
    const listed = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
    const slices = itemsOf(
      await suite.ok('GET', `${listed}?labelSelector=kubernetes.io/service-name=kubernetes`),
    )
    const [slice] = slices
    const address = at(slice, 'endpoints.0.addresses.0')
    assert.ok(address)
    assert.equal(at(endpoints, 'subsets.0.addresses.0.ip'), address)
    assert.equal(at(endpoints, 'subsets.0.ports.0.port'), at(slice, 'ports.0.port'))
    const server = new URL(
      String(/server: (\S+)/.exec(await suite.kubectl.ok(['config', 'view', '--minify']))?.[1]),
    )
    assert.equal(`${address}:${at(slice, 'ports.0.port')}`, server.host)
  })

  test('Endpoints should test the lifecycle of an Endpoint', async () => {
    const endpoints = { ...labelled(named('v1', 'Endpoints', 'living')), subsets: subsets('10.0.0.24', 80) }
    const path = `${home.core('endpoints')}/living`
    const watch = await suite.watch(`${home.core('endpoints')}?watch=true&labelSelector=special=label`)
    await suite.ok('POST', home.core('endpoints'), endpoints)
    const everywhere = itemsOf(await suite.ok('GET', '/api/v1/endpoints?labelSelector=special=label'))
    assert.deepEqual(everywhere.map(nameOf), ['living'])
    const read = await suite.ok('GET', path)
    const labels = { special: 'label', updated: 'yes' }
    await suite.ok('PUT', path, { ...read, metadata: { ...(read['metadata'] as object), labels } })
    const patch = { subsets: subsets('10.0.0.25', 8080), metadata: { labels: { updated: 'twice' } } }
    const patched = await suite.ok('PATCH', path, patch, 'merge')
    assert.equal(at(patched, 'subsets.0.addresses.0.ip'), '10.0.0.25')
    assert.equal(at(patched, 'subsets.0.ports.0.port'), 8080)
    assert.equal(at(patched, 'metadata.labels.updated'), 'twice')
    await suite.ok('DELETE', `${home.core('endpoints')}?labelSelector=special=label`)
    assert.equal(await suite.exists(path), false)
    for (const type of ['ADDED', 'MODIFIED', 'DELETED']) {
      await watch.find(type, event => event.type === type && nameOf(event.object) === 'living')
    }
    watch.close()
  })

  test('EndpointSliceMirroring should mirror a custom Endpoints resource through create update and delete', async () => {
    const path = `${home.core('endpoints')}/custom`
    await suite.ok('POST', home.core('services'), service('custom', {}))
    await suite.ok('POST', home.core('endpoints'), {
      ...labelled(named('v1', 'Endpoints', 'custom')),
      subsets: subsets('10.1.2.3', 80),
    })
    const slices = slicesOf('custom')
    const mirrored = async () => {
      const [slice] = itemsOf(await suite.ok('GET', slices))
      return slice === undefined ? '' : `${at(slice, 'endpoints.0.addresses.0')}:${at(slice, 'ports.0.port')}`
    }
    await until('a mirror', async () => (await mirrored()) === '10.1.2.3:80')
    await suite.ok('PATCH', path, { subsets: subsets('10.2.3.4', 9090) }, 'merge')
    await until('the mirror to follow', async () => (await mirrored()) === '10.2.3.4:9090')
    await suite.ok('DELETE', `${home.core('endpoints')}?labelSelector=special=label`)
    await until('the mirror to be gone', async () => (await mirrored()) === '')
  })

  test('EndpointsController should create and delete Endpoints for a Service with a selector that matches no pods', async () => {
    const endpoints = `${home.core('endpoints')}/nobody`
    await suite.ok('POST', home.core('services'), service('nobody', { selector: { does: 'not-match' } }))
    await until('empty endpoints', () => suite.exists(endpoints))
    assert.equal(at(await suite.ok('GET', endpoints), 'subsets.0'), undefined)
    await suite.ok('DELETE', `${home.core('services')}/nobody`)
    await until('them to be gone', async () => !(await suite.exists(endpoints)))
  })

  test('EndpointSlice should create and delete EndpointSlices for a Service with a selector that matches no pods', async () => {
    await suite.ok('POST', home.core('services'), service('none', { selector: { does: 'not-match' } }))
    await until('an empty slice', async () => (await names(slicesOf('none'))).length === 1)
    const [slice] = itemsOf(await suite.ok('GET', slicesOf('none')))
    assert.deepEqual(at(slice, 'endpoints') ?? [], [])
    assert.equal(at(slice, 'metadata.ownerReferences.0.name'), 'none')
    await suite.ok('DELETE', `${home.core('services')}/none`)
    await until('it to be gone', async () => (await names(slicesOf('none'))).length === 0)
  })

  test('Services should complete a service status lifecycle', async () => {
    const path = `${home.core('services')}/lifecycle`
    await suite.ok(
      'POST',
      home.core('services'),
      service('lifecycle', { type: 'LoadBalancer' }, { test: 'life' }),
    )
    assert.deepEqual(at(await suite.ok('GET', `${path}/status`), 'status.loadBalancer'), {})
    const ingress = { status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } } }
    const patched = await suite.ok('PATCH', `${path}/status`, ingress, 'merge')
    assert.equal(at(patched, 'status.loadBalancer.ingress.0.ip'), '203.0.113.1')
    const condition = {
      ...{ type: 'StatusUpdate', status: 'True', reason: 'E2E', message: 'Set from e2e test' },
      lastTransitionTime: '2026-01-01T00:00:00Z',
    }
    const { status } = patched as unknown as { status: object }
    const updated = await suite.ok('PUT', `${path}/status`, {
      ...patched,
      status: { ...status, conditions: [condition] },
    })
    assert.equal(at(updated, 'status.conditions.0.message'), 'Set from e2e test')
    const labelledAgain = await suite.ok(
      'PATCH',
      path,
      { metadata: { labels: { test: 'patched' } } },
      'strategic',
    )
    assert.equal(at(labelledAgain, 'metadata.labels.test'), 'patched')
    await suite.ok('DELETE', path)
    assert.equal(await suite.exists(path), false)
  })

  test('Services should delete a collection of services', async () => {
    for (const name of ['one', 'two']) {
      await suite.ok('POST', home.core('services'), service(name, {}, { kept: 'no' }))
    }
    await suite.ok('POST', home.core('services'), service('three', {}, { kept: 'yes' }))
    await suite.ok('DELETE', `${home.core('services')}?labelSelector=kept=no`)
    const left = await names(`${home.core('services')}?labelSelector=kept`)
    assert.deepEqual(left, ['three'])
  })

  test('Services should find a service from listing all namespaces', async () => {
    const listed = await suite.kubectl.ok(['get', 'services', '-A', '-o', 'name'])
    assert.match(listed, /^service\/kubernetes$/m)
  })

  test('Service endpoints latency should not be very high', async () => {
    await suite.ok('POST', home.core('pods'), {
      ...named('v1', 'Pod', 'endpoint'),
      metadata: { name: 'endpoint', labels: { app: 'latency' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'localhost/sleep', command: ['/bin/sleep', '3600'] }],
      },
    })
    const isReady = async () => {
      const pod = await suite.ok('GET', `${home.core('pods')}/endpoint`)
      return itemsOf({ items: at(pod, 'status.conditions') }).some(
        each => each['type'] === 'Ready' && each['status'] === 'True',
      )
    }
    await until('the pod to be ready', isReady, 60_000)
    const times: number[] = []
    for (let round = 0; round < 20; round++) {
      const startedMs = performance.now()
      await suite.ok(
        'POST',
        home.core('services'),
        service(`latency-${round}`, { selector: { app: 'latency' } }),
      )
      const endpoints = `${home.core('endpoints')}/latency-${round}`
      await until('its endpoints', async () => {
        const { status, body } = await suite.api(endpoints)
        return status === 200 && at(body, 'subsets.0.addresses.0.ip') !== undefined
      })
      times.push(performance.now() - startedMs)
    }
    const [middle = Number.POSITIVE_INFINITY] = times.toSorted((a, b) => a - b).slice(times.length / 2)
    assert.ok(middle < 20_000, `${middle} ms`)
  })

  test('a network policy that the runtime cannot enforce says so', async () => {
    const path = home.of('networking.k8s.io/v1', 'networkpolicies')
    await suite.ok(
      'POST',
      path,
      named('networking.k8s.io/v1', 'NetworkPolicy', 'closed', { spec: { podSelector: {} } }),
    )
    const selected = `${home.core('events')}?fieldSelector=reason=NetworkPolicyNotEnforced`
    await until('an event', async () => (await names(selected)).length > 0)
    const [event] = itemsOf(await suite.ok('GET', selected))
    assert.match(String(at(event, 'message')), /^Node \S+ does not enforce this policy: /)
  })
})
