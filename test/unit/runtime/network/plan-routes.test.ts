/** Which nodes a route leads to. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node } from '../../../../src/kube/types.ts'
import { changesOf, type LocalLink, planRoutes } from '../../../../src/runtime/network/plan-routes.ts'

const node = (name: string, address: string, podCIDR?: string): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name },
  spec: podCIDR === undefined ? {} : { podCIDR },
  status: { addresses: [{ type: 'InternalIP', address }] },
})

const link = (device: string, address: string): LocalLink => ({
  device,
  address,
  prefixLength: 24,
  mtu: 1_500,
})

test('a route leads to every other machine that has pods', () => {
  const { routes, tunnel, podMtu } = planRoutes({
    nodeName: 'a',
    links: [link('eth0', '10.0.0.1'), link('eth0', '10.0.0.9')],
    nodes: [
      node('c', '10.0.0.3', '10.1.2.0/24'),
      node('a', '10.0.0.1', '10.1.0.0/24'),
      node('b', '10.0.0.2', '10.1.1.0/24'),
      node('no-range', '10.0.0.4'),
      node('same-machine', '10.0.0.9', '10.1.4.0/24'),
      node('loopback', '127.0.0.2', '10.1.5.0/24'),
      node('other-family', 'fd00::6', '10.1.6.0/24'),
    ],
  })
  assert.deepEqual(routes, [
    { range: '10.1.1.0/24', via: '10.0.0.2', isTunnel: false },
    { range: '10.1.2.0/24', via: '10.0.0.3', isTunnel: false },
  ])
  assert.equal(tunnel, null)
  assert.equal(podMtu, 1_500)
})

test('a node of another network is reached through a tunnel, whose ends follow from the ranges', () => {
  const nodes = [
    node('a', '10.0.0.1', '10.1.0.0/24'),
    node('b', '10.0.0.2', '10.1.1.0/24'),
    node('far', '192.0.2.4', '10.1.17.0/24'),
  ]
  const { routes, tunnel, podMtu } = planRoutes({ nodeName: 'a', links: [link('eth0', '10.0.0.1')], nodes })
  assert.deepEqual(routes, [
    { range: '10.1.1.0/24', via: '10.0.0.2', isTunnel: false },
    { range: '10.1.17.0/24', via: '10.1.17.0', isTunnel: true },
  ])
  assert.deepEqual(tunnel, {
    ...{ inner: '10.1.0.0', mac: '02:8e:0a:01:00:00', outer: '10.0.0.1', mtu: 1_450 },
    peers: [{ range: '10.1.17.0/24', inner: '10.1.17.0', mac: '02:8e:0a:01:11:00', outer: '192.0.2.4' }],
  })
  assert.equal(podMtu, 1_450)
})

test('nodes of IPv6 alone reach each other as those of IPv4 do, with a little less in a packet', () => {
  const nodes = [
    node('a', 'fd77::1', 'fd00:1::/64'),
    node('b', 'fd77::2', 'fd00:1:0:1::/64'),
    node('far', 'fd78::3', 'fd00:1:0:2::/64'),
  ]
  const links = [{ ...link('eth0', 'fd77::1'), prefixLength: 64 }]
  const { routes, tunnel, podMtu } = planRoutes({ nodeName: 'a', links, nodes })
  assert.deepEqual(routes, [
    { range: 'fd00:1:0:1::/64', via: 'fd77::2', isTunnel: false },
    { range: 'fd00:1:0:2::/64', via: 'fd00:1:0:2::', isTunnel: true },
  ])
  const far = { range: 'fd00:1:0:2::/64', inner6: 'fd00:1:0:2::', mac: '02:8e:00:00:00:02', outer: 'fd78::3' }
  const own = { inner6: 'fd00:1::', mac: '02:8e:00:00:00:00', outer: 'fd77::1', mtu: 1_430 }
  assert.deepEqual(tunnel, { ...own, peers: [far] })
  assert.equal(podMtu, 1_430)
})

test('a node on loopback has neither a tunnel nor a limit of its own', () => {
  const links = [{ device: 'lo', address: '127.0.0.1', prefixLength: 8, mtu: 65_536 }]
  const plan = planRoutes({ nodeName: 'a', links, nodes: [node('a', '127.0.0.1', '10.1.0.0/24')] })
  assert.deepEqual(plan, { routes: [], tunnel: null, podMtu: null })
})

test('a route that leads elsewhere now is replaced, and one that leads to nobody goes', () => {
  const present = [
    { range: '10.1.1.0/24', via: '10.0.0.2', isTunnel: false },
    { range: '10.1.2.0/24', via: '10.0.0.3', isTunnel: false },
    { range: '10.1.3.0/24', via: '10.0.0.4', isTunnel: false },
  ]
  const wanted = [
    { range: '10.1.1.0/24', via: '10.0.0.2', isTunnel: false },
    { range: '10.1.2.0/24', via: '10.0.0.5', isTunnel: false },
  ]
  assert.deepEqual(changesOf(present, wanted), {
    add: [{ range: '10.1.2.0/24', via: '10.0.0.5', isTunnel: false }],
    remove: [{ range: '10.1.3.0/24', via: '10.0.0.4', isTunnel: false }],
  })
})
