/** What the endpoint slices of kube-dns say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Log, silentLog } from '../../../src/base/log.ts'
import type { Node, Service } from '../../../src/kube/types.ts'
import { createDnsEndpoints, planDnsSlices } from '../../../src/runtime/dns-endpoints.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const four = { serviceCidr: '10.152.183.0/24', podCidr: '10.1.0.0/16', clusterDomain: 'cluster.local' }
const six = { ...four, serviceCidr: 'fd00:2::/112', podCidr: 'fd00:1::/48' }
const service = (spec: Service['spec'] = {}): Service => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'kube-dns', uid: 'u' }, spec },
})
const node = (name: string, runtime: string, ready = 'True') =>
  ({
    ...{ apiVersion: 'v1', kind: 'Node', metadata: { name } },
    status: {
      conditions: [{ type: 'Ready', status: ready }],
      nodeInfo: { containerRuntimeVersion: `${runtime}://1` },
    },
  }) as Node
const nodes = [
  node('b', 'runc'),
  node('a', 'containerd', 'Unknown'),
  node('p', 'process'),
  node('s', 'simulated'),
]

test('each node is an endpoint where it alone is reached, ready while it is', () => {
  const slices = planDnsSlices(service(), nodes, { cluster: four, isOn: true })
  const told = slices.map(({ endpoints = [], ports = [], metadata }) => [
    metadata.name,
    endpoints.map(each => `${each.nodeName} ${each.addresses.join()} ${each.conditions?.ready}`),
    ports.map(({ name, port }) => `${name} ${port}`),
  ])
  assert.deepEqual(told, [
    [
      'kube-dns-nodes-0',
      ['a 127.152.183.10 false', 'b 127.152.183.10 true'],
      ['dns 10053', 'dns-tcp 10053', 'metrics 9153'],
    ],
    ['kube-dns-processes-0', ['p 127.152.183.10 true'], ['dns 53', 'dns-tcp 53', 'metrics 9153']],
  ])
  const [first] = planDnsSlices(service(), nodes.slice(0, 1), { cluster: six, isOn: true })
  assert.deepEqual([first?.addressType, first?.endpoints?.[0]?.addresses], ['IPv6', ['fd00:2::']])
})

test('nobody answers while the add-on is off, nor for a service that selects pods', () => {
  assert.deepEqual(planDnsSlices(service(), nodes, { cluster: four, isOn: false }), [])
  const chosen = service({ selector: { app: 'coredns' } })
  assert.deepEqual(planDnsSlices(chosen, nodes, { cluster: four, isOn: true }), [])
})

/** Ten minutes beside an API server that answers everything in this way: how often it was asked, and what was said. */
async function tenMinutes(status: number, reason: string) {
  const [clock, said] = [new ManualClock(), [] as string[]]
  const log: Log = { ...silentLog, warn: message => void said.push(message) }
  let asked = 0
  const body = Buffer.from(JSON.stringify({ kind: 'Status', reason, code: status, message: reason }))
  const endpoints = createDnsEndpoints({
    transport: {
      async request() {
        asked += 1
        return { status, headers: { 'content-type': 'application/json' }, body }
      },
    },
    nodes: { list: () => [], onChange: () => () => {} },
    ...{ cluster: four, isOn: () => true, clock, term: 1, log },
  })
  await endpoints.start(new AbortController().signal)
  for (let second = 0; second < 600; second++) {
    clock.advance(1_000)
    await new Promise(resolve => setImmediate(resolve))
  }
  const { reason: problem } = endpoints.health()
  await endpoints.stop()
  return { asked, said, problem }
}

test('a Service that somebody took away is looked for now and then, without a word', async () => {
  const { asked, said, problem } = await tenMinutes(404, 'NotFound')
  assert.ok(asked > 10 && asked < 40, `${asked} times`)
  assert.deepEqual([said, problem], [[], ''])
})

test('that the endpoints cannot be written is logged once, and told as long as it lasts', async () => {
  const { asked, said, problem } = await tenMinutes(403, 'Forbidden')
  assert.ok(asked > 10 && asked < 40, `${asked} times`)
  assert.deepEqual(said, ['the endpoints of the DNS cannot be written'])
  assert.match(problem, /cannot be written: .*Forbidden/)
})
