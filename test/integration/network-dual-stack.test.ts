/** Services and policies of both families over real packets: a pod is a network namespace with two addresses. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import {
  ENDPOINT_SLICES,
  IP_ADDRESSES,
  NETWORK_POLICIES,
  NODES,
  SERVICE_CIDRS,
  SERVICES,
} from '../../src/client/resources.ts'
import type {
  EndpointSlice,
  IPAddress,
  NetworkPolicy,
  Node,
  Service,
  ServiceCIDR,
} from '../../src/kube/types.ts'
import { type NetworkNode, NODE, startNetworkNode, whyNoRules } from '../support/network-node.ts'
import type { AskOptions } from '../support/pod-network.ts'
import { until } from '../support/until.ts'

describe('two families', { skip: whyNoRules() ?? false }, () => {
  let node: NetworkNode

  before(async () => {
    node = await startNetworkNode({ isDualStack: true })
    const web = { labels: { app: 'web' }, serves: [8080] }
    await node.addPod({ name: 'first', address: '10.1.0.2', address6: 'fd00:1::2', ...web })
    await node.addPod({ name: 'second', address: '10.1.0.3', address6: 'fd00:1::3', ...web })
    await node.addPod({ name: 'client', address: '10.1.0.9', address6: 'fd00:1::9' })
  })
  after(() => node?.stop())

  const ports = [
    { name: 't', port: 80, targetPort: 8080, nodePort: 30_080, protocol: 'TCP' },
    { name: 'u', port: 80, targetPort: 8080, nodePort: 30_080, protocol: 'UDP' },
  ]
  const ask = (name: string, host: string, port = 80, options: AskOptions = {}) =>
    node.network.ask(name, host, port, options)
  const becomes = (what: string, wanted: RegExp, asked: () => Promise<string>) =>
    until(what, async () => wanted.test(await asked()))
  let addresses: readonly string[] = []

  test('a node gets a range of each family', async () => {
    const ranges = async () =>
      (await node.client.get<Node>(NODES, { name: NODE })).spec?.podCIDRs?.map(range => range.split('/')[1])
    await until('both ranges', async () => (await ranges())?.length === 2)
    assert.deepEqual(await ranges(), ['24', '64'])
  })

  test('a service of both families has two addresses, and a slice of each', async () => {
    const spec = { type: 'NodePort', ipFamilyPolicy: 'RequireDualStack', selector: { app: 'web' }, ports }
    const metadata = { name: 'web', namespace: 'default' }
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec } as Service
    const { spec: made } = await node.client.create<Service>(SERVICES, service)
    assert.deepEqual(made?.ipFamilies, ['IPv4', 'IPv6'])
    addresses = made?.clusterIPs ?? []
    assert.match(addresses.join(' '), /^10\.152\.183\.\d+ fd00:2::[0-9a-f]+$/)
    const types = async () => {
      const { items } = await node.client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace: 'default' })
      const own = items.filter(({ metadata }) => metadata.name?.startsWith('web-') === true)
      return own
        .flatMap(({ addressType, endpoints }) => (endpoints?.length === 2 ? [addressType] : []))
        .sort()
    }
    await until('two slices', async () => (await types()).length === 2)
    assert.deepEqual(await types(), ['IPv4', 'IPv6'])
  })

  test('its addresses and its node port answer by IPv6, TCP and UDP, from everywhere', async () => {
    const [four = '', six = ''] = addresses
    for (const [name, address] of Object.entries({ first: 'fd00:1::2', second: 'fd00:1::3' }))
      await becomes(name, new RegExp(`^${name} `), () => ask('client', address, 8080))
    await becomes('IPv6', /^(first|second) fd00:1::9$/, () => ask('client', six))
    await becomes('IPv4', /^(first|second) 10\.1\.0\.9$/, () => ask('client', four))
    for (const name of ['client', 'node', 'outside', 'first'])
      assert.match(await ask(name, six), /^(first|second) /, name)
    for (const carrier of ['tcp', 'udp'] as const) {
      assert.match(await ask('client', six, 80, { carrier }), /^(first|second) /)
      const outside = await ask('outside', '2001:db8::1', 30_080, { carrier })
      assert.match(outside, /^(first|second) (fd00:1::1|2001:db8::1)$/)
    }
    assert.equal(await ask('client', six, 81), 'refused')
  })

  test('what leaves the pod network takes an address of the node', async () => {
    await node.network.serve('outside', [9090])
    assert.equal(await ask('client', '2001:db8::100', 9090), 'outside 2001:db8::1')
    assert.equal(await ask('client', 'fd00:1::2', 8080), 'first fd00:1::9')
  })

  test('a policy judges both families, by blocks and by pods', async () => {
    const six = addresses[1] ?? ''
    const metadata = { name: 'web', namespace: 'default' }
    const spec = (from: object[]) => ({ podSelector: { matchLabels: { app: 'web' } }, ingress: [{ from }] })
    const blocks = [{ ipBlock: { cidr: 'fd00:1::/64', except: ['fd00:1::9/128'] } }]
    await node.client.create<NetworkPolicy>(NETWORK_POLICIES, {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata },
      spec: spec(blocks),
    } as NetworkPolicy)
    await becomes('the exception to be kept out', /silent/, () => ask('client', 'fd00:1::2', 8080))
    assert.equal(await ask('client', '10.1.0.2', 8080), 'silent')
    assert.match(await ask('second', 'fd00:1::2', 8080), /^first /)
    const change = { ...{ namespace: 'default', name: 'web' }, type: 'merge' as const }
    const patch = { spec: spec([{ podSelector: {} }]) }
    await node.client.patch(NETWORK_POLICIES, { ...change, patch })
    await becomes('pods to be let in', /^(first|second) /, () => ask('client', six))
    assert.equal(await ask('outside', 'fd00:1::2', 8080), 'silent')
    await node.client.delete(NETWORK_POLICIES, { namespace: 'default', name: 'web' })
  })

  test('who gives up a family loses its address and its rules, and may ask for it again', async () => {
    const [four = '', six = ''] = addresses
    const change = (spec: object) =>
      node.client.patch<Service>(SERVICES, { ...own, type: 'merge', patch: { spec } })
    const own = { namespace: 'default', name: 'web' }
    const single = await change({ ipFamilyPolicy: 'SingleStack' })
    assert.deepEqual([single.spec?.clusterIPs, single.spec?.ipFamilies], [[four], ['IPv4']])
    await becomes('no rules for IPv6', /EHOST|ENET|silent|refused/, () => ask('client', six))
    assert.match(await ask('client', four), /^(first|second) /)
    assert.deepEqual(await heldBy('web'), [four])
    const both = await change({ ipFamilyPolicy: 'PreferDualStack' })
    assert.deepEqual(both.spec?.ipFamilies, ['IPv4', 'IPv6'])
    await becomes('IPv6 again', /^(first|second) /, () => ask('client', both.spec?.clusterIPs?.[1] ?? ''))
  })

  test('every address of a service is an object that comes and goes with it, and comes back', async () => {
    const held = addresses[0] ?? ''
    assert.equal((await heldBy('web')).length, 2)
    await node.client.delete(IP_ADDRESSES, { name: held })
    await until('it to be back', async () => (await heldBy('web')).includes(held))
    const reserved = 'fd00:2::77'
    const parentRef = { group: 'example.com', resource: 'things', name: 'other' }
    const object = { apiVersion: 'networking.k8s.io/v1', kind: 'IPAddress', metadata: { name: reserved } }
    await node.client.create<IPAddress>(IP_ADDRESSES, { ...object, spec: { parentRef } } as IPAddress)
    const spec = { ipFamilies: ['IPv6'], clusterIP: 'fd00:2:0::77', ports: [{ port: 80 }] }
    const metadata = { name: 'late', namespace: 'default' }
    const late = { apiVersion: 'v1', kind: 'Service', metadata, spec } as Service
    await assert.rejects(node.client.create(SERVICES, late), /fd00:2::77: provided IP is already allocated/)
    const cidr = async () => node.client.get<ServiceCIDR>(SERVICE_CIDRS, { name: 'kubernetes' })
    await until(
      'the network to be ready',
      async () => (await cidr()).status?.conditions?.[0]?.type === 'Ready',
    )
    assert.deepEqual((await cidr()).spec?.cidrs, ['10.152.183.0/24', 'fd00:2::/112'])
    await node.client.delete(SERVICES, { namespace: 'default', name: 'web' })
    assert.deepEqual(await heldBy('web'), [])
  })

  const heldBy = async (service: string) => {
    const { items } = await node.client.list<IPAddress>(IP_ADDRESSES)
    const own = items.filter(({ spec }) => spec?.parentRef?.name === service)
    return own.map(({ metadata }) => metadata.name ?? '').sort()
  }

  test('a service of IPv6 alone is served by IPv6 alone', async () => {
    const spec = { ipFamilies: ['IPv6'], selector: { app: 'web' }, ports: ports.slice(0, 1) }
    const metadata = { name: 'six', namespace: 'default' }
    const numbered = { ...spec, ports: [{ port: 80, targetPort: 8080 }] }
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec: numbered } as Service
    const made = await node.client.create<Service>(SERVICES, service)
    assert.deepEqual([made.spec?.ipFamilyPolicy, made.spec?.clusterIPs?.length], ['SingleStack', 1])
    await becomes('it', /^(first|second) /, () => ask('client', made.spec?.clusterIP ?? ''))
  })
})
