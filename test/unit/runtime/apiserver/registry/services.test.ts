/** Services: defaults, addresses and node ports as claims, and what may not change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { KubeObject } from '../../../../../src/kube/object.ts'
import { services } from '../../../../../src/runtime/apiserver/registry/core/services.ts'
import {
  created,
  createProblems,
  object,
  poolWithout,
  read,
  row,
  specOf,
  testContext,
  updated,
} from './support.ts'

const service = (spec: object): KubeObject =>
  object('Service', { spec: { selector: { app: 'web' }, ports: [{ port: 80 }], ...spec } })

function claim(spec: object, ...taken: string[]) {
  const made = created(services, service(spec))
  const result = services.claim?.(made, null, poolWithout(...taken), testContext())
  return { made, claims: (result?.claims ?? []).map(item => item.value), errors: read(result?.errors) }
}

test('a service is a single-stack ClusterIP by default', () => {
  const { made, claims } = claim({})
  const { clusterIP, clusterIPs, ...rest } = specOf(made)
  assert.match(String(clusterIP), /^10\.152\.183\.\d+$/)
  assert.deepEqual(clusterIPs, [clusterIP])
  assert.deepEqual(claims, [clusterIP])
  assert.deepEqual(rest, {
    selector: { app: 'web' },
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    type: 'ClusterIP',
    sessionAffinity: 'None',
    internalTrafficPolicy: 'Cluster',
    ipFamilyPolicy: 'SingleStack',
    ipFamilies: ['IPv4'],
  })
})

test('chosen addresses are never those of the API server and of DNS', () => {
  const free = new Set(['10.152.183.1', '10.152.183.10', '10.152.183.77'])
  const made = created(services, service({}))
  const isFree = ({ value }: { value: string }) => free.has(value)
  services.claim?.(made, null, { isFree, serviceNetworks: () => [] }, testContext())
  assert.equal(specOf(made)['clusterIP'], '10.152.183.77')
})

test("when the cluster's own network is full, other ServiceCIDRs of the family give the address", () => {
  const made = created(services, service({}))
  const isFree = ({ value }: { value: string }) => value === '10.9.0.3' || value === 'fd00::3'
  const serviceNetworks = () => ['fd00::/120', '10.8.0.0/30', '10.9.0.0/29']
  services.claim?.(made, null, { isFree, serviceNetworks }, testContext())
  assert.equal(specOf(made)['clusterIP'], '10.9.0.3')
})

test('an address or port asked for is refused when it is taken or out of range', () => {
  assert.deepEqual(claim({ clusterIP: '10.152.183.10' }).claims, ['10.152.183.10'])
  assert.deepEqual(claim({ clusterIP: '10.152.183.5' }, '10.152.183.5').errors, [
    'spec.clusterIPs: Invalid value: ["10.152.183.5"]: failed to allocate IP 10.152.183.5: provided IP is already allocated',
  ])
  assert.deepEqual(claim({ clusterIP: '10.0.0.5' }).errors, [
    'spec.clusterIPs: Invalid value: ["10.0.0.5"]: failed to allocate IP 10.0.0.5: the provided IP (10.0.0.5) is not ' +
      'in the valid range. The range of valid IPs is 10.152.183.0/24',
  ])
  const nodePort = (port: number) => ({ type: 'NodePort', ports: [{ port: 80, nodePort: port }] })
  assert.deepEqual(claim(nodePort(30080), '30080/TCP').errors, [
    'spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated',
  ])
  assert.deepEqual(claim(nodePort(80)).errors, [
    'spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
  ])
})

test('headless and external-name services claim nothing', () => {
  assert.deepEqual(claim({ clusterIP: 'None' }).claims, [])
  const external = claim({ type: 'ExternalName', externalName: 'example.com', ports: [] })
  assert.deepEqual(external.claims, [])
  assert.deepEqual(read(services.validate?.(external.made)), [])
  assert.equal(specOf(external.made)['ipFamilies'], undefined)
})

test('one port with two protocols shares a node port', () => {
  const ports = [
    { name: 'a', port: 53, protocol: 'UDP' },
    { name: 'b', port: 53, protocol: 'TCP' },
  ]
  const { made } = claim({ type: 'NodePort', ports })
  const [first, second] = specOf(made)['ports'] as { nodePort: number }[]
  assert.equal(first?.nodePort, second?.nodePort)
})

const refusals: readonly [string, object, readonly string[]][] = [
  ['no ports', { ports: [] }, ['spec.ports: Required value']],
  [
    'two unnamed ports',
    { ports: [{ port: 80 }, { port: 81 }] },
    ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
  ],
  [
    'a node port that it cannot use',
    { ports: [{ port: 80, nodePort: 30080 }] },
    ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
  ],
  [
    'an unknown type',
    { type: 'Magic' },
    [
      'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
    ],
  ],
  [
    'a bad label value in its selector',
    { selector: { app: 'a b' } },
    [
      'spec.selector: Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric ' +
        "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or " +
        "'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
  ],
]

for (const [what, spec, expected] of refusals) {
  test(`a service with ${what} is refused in upstream's words`, () => {
    assert.deepEqual(createProblems(services, service(spec)), expected)
  })
}

test('an update that says nothing of the address and node ports keeps them', () => {
  const { made } = claim({ type: 'NodePort' })
  const next = updated(services, made, object => {
    object['spec'] = { type: 'NodePort', selector: { app: 'other' }, ports: [{ port: 80 }] }
  })
  assert.equal(specOf(next)['clusterIP'], specOf(made)['clusterIP'])
  assert.deepEqual(specOf(next)['ports'], specOf(made)['ports'])
  assert.deepEqual(services.validateUpdate?.(next, made), [])
})

test('the address may not change once set', () => {
  const { made } = claim({ clusterIP: '10.152.183.20' })
  const next = updated(services, made, object => {
    specOf(object)['clusterIP'] = '10.152.183.21'
  })
  assert.deepEqual(read(services.validateUpdate?.(next, made)), [
    'spec.clusterIPs[0]: Invalid value: ["10.152.183.21"]: may not change once set',
  ])
})

test('node ports go when the type becomes ClusterIP', () => {
  const { made } = claim({ type: 'NodePort' })
  const next = updated(services, made, object => {
    specOf(object)['type'] = 'ClusterIP'
  })
  assert.deepEqual(specOf(next)['ports'], [{ port: 80, protocol: 'TCP', targetPort: 80 }])
  assert.deepEqual(read(services.validate?.(next)), [])
})

test('the table shows type, addresses and ports', () => {
  const { made } = claim({
    type: 'NodePort',
    clusterIP: '10.152.183.20',
    ports: [{ port: 80, nodePort: 30080 }],
  })
  assert.deepEqual(row(services, made), {
    Name: 'web',
    Type: 'NodePort',
    'Cluster-IP': '10.152.183.20',
    'External-IP': '<none>',
    'Port(s)': '80:30080/TCP',
    Age: '60m',
    Selector: 'app=web',
  })
})
