/** Services over real packets: a pod is a network namespace, its neighbour outside another. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { NODES, PODS, SERVICES } from '../../src/client/resources.ts'
import type { Service, ServiceSpec } from '../../src/kube/types.ts'
import { type NetworkNode, NODE, startNetworkNode, whyNoRules } from '../support/network-node.ts'
import type { AskOptions } from '../support/pod-network.ts'
import { until } from '../support/until.ts'

const IP = '10.152.183.30'
const FIRST = '10.1.0.2'
const SECOND = '10.1.0.3'

describe('services in nftables', { skip: whyNoRules() ?? false }, () => {
  let node: NetworkNode

  before(async () => {
    node = await startNetworkNode()
    await node.addPod({ name: 'first', address: FIRST, labels: { app: 'web' }, serves: [8080] })
    await node.addPod({ name: 'second', address: SECOND, labels: { app: 'web' }, serves: [8080] })
    await node.addPod({ name: 'client', address: '10.1.0.9' })
  })
  after(() => node?.stop())

  const ports = [
    { name: 't', port: 80, targetPort: 8080, nodePort: 30_080, protocol: 'TCP' },
    { name: 'u', port: 80, targetPort: 8080, nodePort: 30_080, protocol: 'UDP' },
  ]
  const create = async (spec: Partial<ServiceSpec>, name = 'web') => {
    const metadata = { name, namespace: 'default' }
    const whole = { type: 'NodePort', clusterIP: IP, selector: { app: 'web' }, ports, ...spec }
    return node.client.create<Service>(SERVICES, { apiVersion: 'v1', kind: 'Service', metadata, spec: whole })
  }
  const change = (spec: object) =>
    node.client.patch(SERVICES, { namespace: 'default', name: 'web', type: 'merge', patch: { spec } })
  const ask = (name: string, host = IP, port = 80, options: AskOptions = {}) =>
    node.network.ask(name, host, port, options)
  const becomes = (what: string, wanted: RegExp, asked: () => Promise<string>) =>
    until(what, async () => wanted.test(await asked()))
  const answers = async (count: number, asked: () => Promise<string>) =>
    new Set((await Promise.all(Array.from({ length: count }, asked))).map(text => text.split(' ')[0]))

  test('a cluster IP and a node port reach all endpoints, by TCP and UDP, from everywhere', async () => {
    await create({})
    await becomes('the service', /^(first|second) 10\.1\.0\.9$/, () => ask('client'))
    for (const name of ['client', 'node', 'outside', 'first'])
      assert.match(await ask(name), /^(first|second) /)
    for (const carrier of ['tcp', 'udp'] as const) {
      assert.match(await ask('client', IP, 80, { carrier }), /^(first|second) /)
      assert.match(await ask('outside', '192.0.2.1', 30_080, { carrier }), /^(first|second) 10\.1\.0\.1$/)
    }
    assert.match(await ask('node', '127.0.0.1', 30_080), /^(first|second) /)
    assert.deepEqual([...(await answers(12, () => ask('client')))].sort(), ['first', 'second'])
  })

  test('an endpoint that asks its own service is answered, also by itself', async () => {
    assert.deepEqual([...(await answers(12, () => ask('first')))].sort(), ['first', 'second'])
  })

  test('a client keeps its endpoint while it is affine, and no longer', async () => {
    await change({
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 900 } },
    })
    await until('one endpoint', async () => (await answers(8, () => ask('client'))).size === 1)
    const own = await answers(8, () => ask('client'))
    assert.equal(own.size, 1)
    // Also when another daemon takes over: by chance it would hardly be the same one every time.
    for (let count = 0; count < 5; count++) {
      await node.startProxy()
      assert.deepEqual(await answers(1, () => ask('client')), own)
    }
    await change({ sessionAffinity: 'None', sessionAffinityConfig: null })
    await until('both endpoints', async () => (await answers(12, () => ask('client'))).size === 2)
  })

  test('endpoints near by are preferred where hints say so', async () => {
    await node.addPod({ name: 'away', address: '10.1.1.2', labels: { app: 'web' }, node: 'n2' })
    await until('the far one to be tried', async () => (await answers(10, () => ask('client'))).has('silent'))
    await change({ trafficDistribution: 'PreferSameZone' })
    await until('only near ones', async () => !(await answers(10, () => ask('client'))).has('silent'))
    assert.equal((await answers(10, () => ask('client'))).has('silent'), false)
    await change({ trafficDistribution: null })
  })

  test('externalTrafficPolicy Local keeps to this node and shows who asks', async () => {
    await change({ externalTrafficPolicy: 'Local' })
    await becomes('the asker', /^(first|second) 192\.0\.2\.100$/, () => ask('outside', '192.0.2.1', 30_080))
    assert.equal((await answers(10, () => ask('outside', '192.0.2.1', 30_080))).has('silent'), false)
    await change({ externalTrafficPolicy: 'Cluster' })
    await node.client.delete(PODS, { namespace: 'default', name: 'away', gracePeriodSeconds: 0 })
  })

  test('external addresses and those of a load balancer, for some sources only', async () => {
    const balancer = { type: 'LoadBalancer', externalIPs: ['203.0.113.7'] }
    await change({ ...balancer, loadBalancerSourceRanges: ['192.0.2.0/24'] })
    const patch = { status: { loadBalancer: { ingress: [{ ip: '203.0.113.8' }] } } }
    await node.client.patch(SERVICES, {
      ...{ namespace: 'default', name: 'web', subresource: 'status', type: 'merge' as const },
      patch,
    })
    for (const address of ['203.0.113.7', '203.0.113.8']) {
      await becomes(address, /^(first|second) /, () => ask('outside', address))
    }
    await change({ loadBalancerSourceRanges: ['198.51.100.0/24'] })
    await becomes('the outside to be kept out', /silent/, () => ask('outside', '203.0.113.8'))
    assert.match(await ask('outside', '203.0.113.7'), /^(first|second) /)
    await change({ type: 'NodePort', externalIPs: null, loadBalancerSourceRanges: null })
  })

  test('a UDP client follows to another endpoint when its own has gone', async () => {
    const talk = () => ask('client', IP, 80, { carrier: 'udp', from: 5_000 })
    const before = (await talk()).split(' ')[0] as string
    assert.equal((await talk()).split(' ')[0], before)
    const patch = { metadata: { labels: { app: 'gone' } } }
    await node.client.patch(PODS, { namespace: 'default', name: before, type: 'merge', patch })
    const other = before === 'first' ? /^second/ : /^first/
    await becomes('the other one', other, talk)
    await node.client.patch(PODS, {
      ...{ namespace: 'default', name: before, type: 'merge' as const },
      patch: { metadata: { labels: { app: 'web' } } },
    })
  })

  test('a UDP client that asked a node port before a Service had it is answered once one has', async () => {
    const ports = [{ port: 80, targetPort: 8080, protocol: 'UDP' }]
    const late = '10.152.183.40'
    await create({ type: 'ClusterIP', clusterIP: late, ports } as Partial<ServiceSpec>, 'late')
    await becomes('the service', /^(first|second)/, () => ask('client', late, 80, { carrier: 'udp' }))
    const talk = () => ask('outside', '192.0.2.1', 30_090, { carrier: 'udp', from: 5_001 })
    assert.doesNotMatch(await talk(), /first|second/)
    const patch = { spec: { type: 'NodePort', ports: [{ ...ports[0], nodePort: 30_090 }] } }
    await node.client.patch(SERVICES, { namespace: 'default', name: 'late', type: 'merge', patch })
    await becomes('an answer', /^(first|second)/, talk)
    await node.client.delete(SERVICES, { namespace: 'default', name: 'late' })
  })

  test('without endpoints, and at ports that nobody has, connections are refused', async () => {
    await change({ selector: { app: 'nobody' } })
    await becomes('a refusal', /refused/, () => ask('client'))
    assert.equal(await ask('outside', '192.0.2.1', 30_080), 'refused')
    assert.equal(await ask('node'), 'refused')
    assert.equal(await ask('client', IP, 81), 'refused')
    await change({ selector: { app: 'web' } })
    await becomes('the service again', /^(first|second)/, () => ask('client'))
  })

  test('internalTrafficPolicy Local is silent where other nodes have the endpoints', async () => {
    const labels = { 'kubernetes.io/hostname': NODE }
    await node.client.patch(NODES, { name: NODE, type: 'merge', patch: { metadata: { labels } } })
    await node.addPod({ name: 'far', address: '10.1.1.3', labels: { app: 'far' }, node: 'n2' })
    await change({ selector: { app: 'far' }, internalTrafficPolicy: 'Local' })
    await becomes('silence', /silent/, () => ask('client'))
    await node.client.delete(SERVICES, { namespace: 'default', name: 'web' })
    await until('the rules to be gone', async () => {
      const { stdout } = await node.network.run('nft', ['list', 'table', 'ip', 'mk8s-test'])
      return !stdout.includes('default-web')
    })
  })

  test('rules that somebody flushed come back with a new daemon', async () => {
    await create({ clusterIP: '10.152.183.31' })
    await becomes('the service', /^(first|second)/, () => ask('client', '10.152.183.31'))
    await node.network.run('nft', ['flush', 'ruleset'])
    await node.startProxy()
    assert.match(await ask('client', '10.152.183.31'), /^(first|second)/)
  })
})
