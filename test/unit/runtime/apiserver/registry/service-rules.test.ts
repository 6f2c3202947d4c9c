/** Services: what a single-stack cluster refuses and what an update may change, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { services } from '../../../../../src/runtime/apiserver/registry/core/services.ts'
import { created, object, read, specOf, updated } from './support.ts'
import { createTable, updateTable } from './tables.ts'

const kind = { key: '/services', kind: 'Service' }
const ports = [{ port: 80 }]
const base = { spec: { selector: { app: 'web' }, ports } }
const balancer = { spec: { ...base.spec, type: 'LoadBalancer' } }
const spec = (fields: object) => ({ spec: fields as Record<string, unknown> })
const STACK =
  'spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'

createTable({
  ...kind,
  valid: base,
  rows: [
    ['the policy PreferDualStack', spec({ ipFamilyPolicy: 'PreferDualStack' }), []],
    ['a distribution', spec({ trafficDistribution: 'PreferSameNode' }), []],
    ['no address, no selector and two families', spec({ selector: {}, clusterIP: 'None' }), []],
    ['two stacks', spec({ ipFamilyPolicy: 'RequireDualStack' }), [STACK]],
    [
      'two families and no policy',
      spec({ ipFamilies: ['IPv4', 'IPv6'] }),
      [
        'spec.ipFamilyPolicy: Invalid value: null: must be RequireDualStack or PreferDualStack when multiple ipFamilies are specified',
        'spec.ipFamilies[1]: Invalid value: "IPv6": not configured on this cluster',
      ],
    ],
    [
      'families that are none',
      spec({ ipFamilies: ['IPv4', 'IPv4'], ipFamilyPolicy: 'Any' }),
      [
        'spec.ipFamilies[1]: Duplicate value: "IPv4"',
        'spec.ipFamilyPolicy: Unsupported value: "Any": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"',
      ],
    ],
    [
      'an address of the other family',
      spec({ clusterIP: 'fd00::1' }),
      ['spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'],
    ],
    [
      'an address that its family is not',
      spec({ clusterIP: '10.152.183.7', ipFamilies: ['IPv6'] }),
      [
        'spec.clusterIPs[0]: Invalid value: "10.152.183.7": expected an IPv6 value as indicated by `ipFamilies[0]`',
        'spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster',
      ],
    ],
    [
      'addresses that clusterIP says nothing of',
      spec({ clusterIPs: ['10.152.183.7'] }),
      ['spec.clusterIPs: Invalid value: ["10.152.183.7"]: must be empty when `clusterIP` is not specified'],
    ],
    [
      'addresses beside None',
      spec({ clusterIP: 'None', clusterIPs: ['None', '10.152.183.7'] }),
      [
        'spec.clusterIPs: Invalid value: ["None","10.152.183.7"]: \'None\' must be the first and only value',
        'spec.ipFamilyPolicy: Invalid value: "SingleStack": must be RequireDualStack or PreferDualStack when multiple clusterIPs are specified',
      ],
    ],
    [
      'a policy for traffic that does not come',
      spec({ externalTrafficPolicy: 'Local' }),
      [
        'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
      ],
    ],
    [
      'an unknown distribution',
      spec({ trafficDistribution: 'Far' }),
      [
        'spec.trafficDistribution: Unsupported value: "Far": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"',
      ],
    ],
    [
      'what only load balancers have',
      spec({
        loadBalancerClass: 'a.b/c',
        allocateLoadBalancerNodePorts: true,
        loadBalancerSourceRanges: ['10.0.0.0/8'],
      }),
      [
        "spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
        "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
      ],
    ],
    [
      'a session that lasts too long',
      spec({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86_401 } } }),
      [
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400',
      ],
    ],
    [
      'ports and node ports twice',
      spec({
        type: 'NodePort',
        ports: [
          { name: 'a', port: 80, nodePort: 30080 },
          { name: 'b', port: 80, nodePort: 30080 },
        ],
      }),
      [
        'spec.ports[1].nodePort: Duplicate value: 30080',
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}',
      ],
    ],
    [
      'addresses from outside that nobody can have',
      spec({ externalIPs: ['169.254.1.1', 'x', '010.0.0.1', '::ffff:10.0.0.1', 'fd00::00001'] }),
      [
        'spec.externalIPs[0]: Invalid value: "169.254.1.1": may not be in the link-local range (169.254.0.0/16, fe80::/10)',
        'spec.externalIPs[1]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        'spec.externalIPs[2]: Invalid value: "010.0.0.1": must not have leading 0s',
        'spec.externalIPs[3]: Invalid value: "::ffff:10.0.0.1": must not be an IPv4-mapped IPv6 address',
        'spec.externalIPs[4]: Invalid value: "fd00::00001": must not have leading 0s',
      ],
    ],
    [
      'an address and a name elsewhere',
      spec({ type: 'ExternalName', externalName: 'a.b', clusterIPs: ['10.152.183.9'], ports: [] }),
      ['spec.clusterIPs: Forbidden: may not be set for ExternalName services'],
    ],
    [
      'a name elsewhere and families here',
      spec({ type: 'ExternalName', externalName: 'a_b', ipFamilies: ['IPv4'], ports: [] }),
      [
        'spec.ipFamilies: Forbidden: may not be set for ExternalName services',
        'spec.externalName: Invalid value: "a_b": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric ' +
          "characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used " +
          "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
      ],
    ],
  ],
})

createTable({
  ...kind,
  valid: balancer,
  rows: [
    [
      "the kubelet's port",
      spec({ ports: [{ port: 10250 }] }),
      [
        'spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet',
      ],
    ],
    [
      'no address',
      spec({ clusterIP: 'None' }),
      ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for LoadBalancer services'],
    ],
    [
      'ranges that are none',
      spec({ loadBalancerSourceRanges: [' 10.0.0.0/8', '10.0.0.0'] }),
      [
        'spec.LoadBalancerSourceRanges[1]: Invalid value: "10.0.0.0": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
      ],
    ],
  ],
})

const given = { clusterIP: '10.152.183.7' }
updateTable({
  ...kind,
  valid: { spec: { ...balancer.spec, ...given, loadBalancerClass: 'a.b/c' } },
  rows: [
    ['another selector', spec({ selector: { app: 'other' } }), []],
    ['another type', spec({ type: 'ClusterIP' }), []],
    [
      'another address',
      spec({ clusterIP: '10.152.183.8' }),
      ['spec.clusterIPs[0]: Invalid value: ["10.152.183.8"]: may not change once set'],
    ],
    [
      'another class',
      spec({ loadBalancerClass: 'a.b/d' }),
      ['spec.loadBalancerClass: Invalid value: "a.b/d": may not change once set'],
    ],
    ['two stacks', spec({ ipFamilyPolicy: 'RequireDualStack' }), [STACK]],
  ],
})

test('a change of type lets go what the new type does not need, and nothing that was changed with it', () => {
  const before = created(
    services,
    object('Service', {
      spec: {
        ...balancer.spec,
        ...given,
        externalTrafficPolicy: 'Local',
        healthCheckNodePort: 30001,
        ports: [{ port: 80, nodePort: 30080 }],
      },
    }),
  )
  const plain = specOf(
    updated(services, before, next => {
      specOf(next)['type'] = 'ClusterIP'
    }),
  )
  assert.deepEqual(
    ['externalTrafficPolicy', 'healthCheckNodePort', 'allocateLoadBalancerNodePorts'].map(
      name => plain[name],
    ),
    [undefined, undefined, undefined],
  )
  assert.deepEqual(plain['ports'], [{ port: 80, protocol: 'TCP', targetPort: 80 }])
  const spread = specOf(
    updated(services, before, next => {
      specOf(next)['externalTrafficPolicy'] = 'Cluster'
    }),
  )
  assert.equal(spread['healthCheckNodePort'], undefined)
  const elsewhere = updated(services, before, next => {
    Object.assign(specOf(next), { type: 'ExternalName', externalName: 'a.b' })
  })
  assert.deepEqual(read(services.validate?.(elsewhere)), [])
  assert.equal(specOf(elsewhere)['clusterIP'], undefined)
  const mixed = updated(services, before, next => {
    Object.assign(specOf(next), { type: 'ClusterIP', ports: [{ port: 80, nodePort: 30081 }] })
  })
  assert.deepEqual(read(services.validate?.(mixed)), [
    "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
  ])
})

test('only a load balancer tells of its addresses', () => {
  const status = { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } }
  const told = (from: object) => {
    const next = object('Service', { ...from, status: structuredClone(status) })
    services.applyDefaults?.(next)
    return { next, problems: read(services.validateStatusUpdate?.(next, next)) }
  }
  assert.deepEqual(told(base).problems, [
    'status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "LoadBalancer"',
  ])
  const { next, problems } = told(balancer)
  assert.deepEqual(problems, [])
  assert.deepEqual(next['status'], { loadBalancer: { ingress: [{ ip: '1.2.3.4', ipMode: 'VIP' }] } })
})
