/** What the endpoint slices of kube-dns say. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Node, Service } from '../../../src/kube/types.ts'
import { planDnsSlices } from '../../../src/runtime/dns-endpoints.ts'

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
