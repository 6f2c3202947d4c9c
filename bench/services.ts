/**
 * The rules of a node in a cluster with 1,000 services of 4 endpoints each: from the change of one endpoint slice in
 * the API until the kernel has it, and what a daemon loads when it starts. Real nft, in a network namespace.
 */
import { ENDPOINT_SLICES, SERVICES } from '../src/client/resources.ts'
import type { EndpointSlice, Service } from '../src/kube/types.ts'
import { startNetworkNode } from '../test/support/network-node.ts'
import { until } from '../test/support/until.ts'
import { type Figure, median } from './figure.ts'

const SERVICE_COUNT = 1_000
const ENDPOINTS = 4
const AT_ONCE = 20
const CHANGES = 25
const STARTS = 3
const SERVICE_CIDR = '10.152.176.0/20'
const GOAL_CHANGE_MS = 100
const GOAL_START_MS = 5_000
const LOAD_MS_MAX = 120_000

const nameOf = (index: number) => `web-${index}`
const addressOf = (index: number, endpoint: number) =>
  `10.1.${100 + (index >> 6)}.${(index & 63) * ENDPOINTS + endpoint}`

const service = (index: number): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: nameOf(index), namespace: 'default' },
  spec: { ports: [{ port: 80 }] },
})

const slice = (index: number): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: nameOf(index),
    namespace: 'default',
    labels: { 'kubernetes.io/service-name': nameOf(index) },
  },
  addressType: 'IPv4',
  ports: [{ name: '', port: 8080, protocol: 'TCP' }],
  endpoints: Array.from({ length: ENDPOINTS }, (_, endpoint) => ({
    addresses: [addressOf(index, endpoint)],
  })),
})

export async function measure(): Promise<Figure[]> {
  // The cluster is in this process, and its timers alone do not keep it alive.
  const held = setInterval(() => {}, 1_000)
  let onText: (text: string) => void = () => {}
  const node = await startNetworkNode({ serviceCidr: SERVICE_CIDR, onRules: text => onText(text) })
  try {
    const { client } = node
    let loaded = 0
    onText = text => {
      loaded += text.match(/^add rule ip \S+ svc-\S+ numgen/gm)?.length ?? 0
    }
    for (let first = 0; first < SERVICE_COUNT; first += AT_ONCE) {
      const indexes = Array.from({ length: AT_ONCE }, (_, offset) => first + offset)
      await Promise.all(indexes.map(index => client.create(ENDPOINT_SLICES, slice(index))))
      await Promise.all(indexes.map(index => client.create(SERVICES, service(index))))
    }
    await until('all rules to be loaded', () => loaded >= SERVICE_COUNT, LOAD_MS_MAX)
    const changes: number[] = []
    for (let change = 0; change < CHANGES; change++) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const address = `10.1.90.${change}`
      onText = text => {
        if (text.includes(`dnat to ${address}:`)) resolve()
      }
      const { endpoints = [], ...rest } = slice(change * 37)
      const changed = { ...rest, endpoints: [...endpoints.slice(1), { addresses: [address] }] }
      const startedMs = performance.now()
      await client.patch(ENDPOINT_SLICES, {
        namespace: 'default',
        name: nameOf(change * 37),
        type: 'merge',
        patch: changed,
      })
      await promise
      changes.push(performance.now() - startedMs)
    }
    const starts: number[] = []
    for (let start = 0; start < STARTS; start++) {
      const startedMs = performance.now()
      await node.startProxy()
      starts.push(performance.now() - startedMs)
    }
    return [
      figure('an endpoint that changes, from the API to the kernel', median(changes), GOAL_CHANGE_MS),
      figure('the slowest of these', Math.max(...changes), GOAL_CHANGE_MS * 2),
      figure('all rules at a start', median(starts), GOAL_START_MS),
    ]
  } finally {
    clearInterval(held)
    await node.stop()
  }
}

const figure = (name: string, us: number, goal: number): Figure => ({
  figure: name,
  us,
  peer: null,
  unit: 'ms',
  goal,
})
