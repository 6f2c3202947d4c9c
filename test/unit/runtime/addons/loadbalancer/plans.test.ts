/** Which Service gets which address, and which node announces it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import type { Node, Service } from '../../../../../src/kube/types.ts'
import {
  type AddressPool,
  FROM_POOL,
  parseRange,
  readPools,
} from '../../../../../src/runtime/addons/loadbalancer/address-pool.ts'
import { planAddresses } from '../../../../../src/runtime/addons/loadbalancer/plan-addresses.ts'
import { planAnnouncements } from '../../../../../src/runtime/addons/loadbalancer/plan-announcements.ts'

const pool = (name: string, addresses: string[], autoAssign = true): AddressPool => ({
  ...{ apiVersion: 'addons.mk8s.io/v1', kind: 'AddressPool', metadata: { name } },
  spec: { addresses, autoAssign },
})

interface Wanted {
  readonly spec?: object
  readonly annotations?: Record<string, string>
  readonly has?: readonly string[]
}

const service = (name: string, { spec = {}, annotations = {}, has = [] }: Wanted = {}): Service =>
  ({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'd', annotations },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ipFamilies: ['IPv4'], ...spec },
    status: { loadBalancer: { ingress: has.map(ip => ({ ip })) } },
  }) as Service

/** What is decided about each, as text. */
function decided(services: readonly Service[], ...pools: AddressPool[]): Record<string, string> {
  const decisions = planAddresses(services, readPools(pools)).map(decision => {
    const text =
      decision.kind === 'assign'
        ? `${decision.pool}: ${decision.addresses.join(' ')}`
        : decision.kind === 'refuse'
          ? decision.message.replace(/^Failed to allocate IP for "[^"]*": /, '')
          : 'release'
    return [decision.service.metadata.name ?? '', text] as const
  })
  return Object.fromEntries(decisions)
}

test('ranges are first and last, a network, or one address', () => {
  const texts = ['10.0.0.1-10.0.0.3', '10.0.0.0/30', 'fd00::1', '10.0.0.3-10.0.0.1', 'x', '10.0.0.1-fd00::1']
  const sizes = texts
    .map(parseRange)
    .map(range => (range === null ? null : Number(range.last - range.first) + 1))
  assert.deepEqual(sizes, [3, 4, 1, null, null, null])
})

test('a pool does not have what an earlier one has', () => {
  const [, second] = readPools([pool('b', ['10.0.0.3-10.0.0.9']), pool('a', ['10.0.0.0/29'])])
  assert.deepEqual(second?.ranges, [])
  assert.equal(second?.problem, '10.0.0.3-10.0.0.9 overlaps with pool a')
})

test('addresses are kept, chosen, asked for and refused', () => {
  const kept = service('kept', { has: ['10.0.0.1'], annotations: { [FROM_POOL]: 'default' } })
  const asking = (ip: string) => ({ 'metallb.universe.tf/loadBalancerIPs': ip })
  assert.deepEqual(
    decided(
      [
        kept,
        service('any'),
        service('asks', { spec: { loadBalancerIP: '10.0.0.7' } }),
        service('taken', { annotations: asking('10.0.0.1') }),
        service('outside', { annotations: asking('10.9.9.9') }),
        service('hidden', { annotations: { 'metallb.io/address-pool': 'reserve' } }),
        service('nowhere', { annotations: { 'metallb.io/address-pool': 'none' } }),
        service('foreign', { spec: { loadBalancerClass: 'example.com/x' } }),
        service('former', { spec: { type: 'ClusterIP' }, annotations: { [FROM_POOL]: 'default' } }),
        service('v6', { spec: { ipFamilies: ['IPv6'] } }),
        service('both', { spec: { ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' } }),
      ],
      pool('default', ['10.0.0.1-10.0.0.9']),
      pool('reserve', ['10.1.0.1', 'fd00::/126'], false),
    ),
    {
      any: 'default: 10.0.0.2',
      asks: 'default: 10.0.0.7',
      taken: `can't change sharing key or "10.0.0.1" is in use by another service`,
      outside: '"10.9.9.9" is not allowed in any pool',
      hidden: 'reserve: 10.1.0.1',
      nowhere: 'unknown pool "none"',
      former: 'release',
      v6: 'no available IPs',
      both: 'no available IPs',
    },
  )
})

test('services of one key share an address unless their ports meet', () => {
  const annotations = { 'metallb.universe.tf/allow-shared-ip': 'k' }
  const on = (name: string, port: number, spec: object = {}) =>
    service(name, { annotations, spec: { ports: [{ port }], ...spec } })
  assert.deepEqual(
    decided(
      [on('a', 80), on('b', 81), on('c', 80), on('d', 82, { externalTrafficPolicy: 'Local' })],
      pool('p', ['10.0.0.1', '10.0.0.2']),
    ),
    { a: 'p: 10.0.0.1', b: 'p: 10.0.0.1', c: 'p: 10.0.0.2', d: 'no available IPs' },
  )
})

test('whatever the rounds are cut into, no two services have one address', () => {
  const pools = readPools([pool('p', ['10.0.0.1-10.0.0.3'])])
  let state = [...'abcde'].map(name => service(name))
  const has = (one: Service) => (one.status?.loadBalancer?.ingress ?? []).map(({ ip }) => ip ?? '')
  // Each step one decision only is carried out, another one each time, and the wishes change in between.
  for (let step = 0; step < 300; step++) {
    const decisions = planAddresses(state, pools)
    const decision = decisions[step % Math.max(decisions.length, 1)]
    state = state.map((each, index) => {
      const wish = step % 7 === index ? { loadBalancerIP: `10.0.0.${1 + (step % 3)}` } : {}
      const name = each.metadata.name ?? ''
      const { [FROM_POOL]: _, ...none } = each.metadata.annotations ?? {}
      const spec = { ...each.spec, ...wish }
      if (decision?.service !== each) return service(name, { ...each.metadata, spec, has: has(each) })
      if (decision.kind !== 'assign') return service(name, { annotations: none, spec, has: [] })
      return service(name, { annotations: { [FROM_POOL]: decision.pool }, spec, has: decision.addresses })
    })
    const all = state.flatMap(has)
    assert.equal(new Set(all).size, all.length, `step ${step}: ${all}`)
  }
})

const nodeNamed = (name: string): Node => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } }) as Node

test('every address has one node, all nodes have some, and a lost node moves only its own', () => {
  const services = Array.from({ length: 90 }, (_, index) =>
    service(`s${index}`, { has: [`10.0.0.${index}`], annotations: { [FROM_POOL]: 'p' } }),
  )
  const plan = (...alive: string[]) =>
    planAnnouncements({ services, slicesOf: () => [], alive: new Set(alive), node: nodeNamed })
  const [before, after] = [plan('n1', 'n2', 'n3'), plan('n1', 'n3')]
  assert.equal(before.size, 90)
  const counts = ['n1', 'n2', 'n3'].map(
    name => [...before.values()].filter(({ node }) => node === name).length,
  )
  assert.ok(
    counts.every(count => count >= 10),
    `spread as ${counts}`,
  )
  for (const [address, { node }] of before) if (node !== 'n2') assert.equal(after.get(address)?.node, node)
  assert.equal(plan().size, 0)
})

test('what stays on its node is announced where a ready endpoint is, or nowhere', () => {
  const one = service('s', {
    ...{ has: ['10.0.0.1'], annotations: { [FROM_POOL]: 'p' } },
    spec: { externalTrafficPolicy: 'Local' },
  })
  const on = (...nodes: [string, boolean][]) => {
    const endpoints = nodes.map(([nodeName, ready]) => ({ addresses: [], nodeName, conditions: { ready } }))
    const slice = { apiVersion: 'v1', kind: 'EndpointSlice', metadata: {}, addressType: 'IPv4', endpoints }
    const alive = new Set(['n1', 'n2', 'n3'])
    const plan = planAnnouncements({
      ...{ services: [one], alive, node: nodeNamed, slicesOf: () => [slice] },
    })
    return plan.get('10.0.0.1')?.node
  }
  assert.equal(on(['n2', true], ['n1', false]), 'n2')
  assert.equal(on(['n3', false]), undefined)
})
