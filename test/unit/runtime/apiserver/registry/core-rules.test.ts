/** Nodes, events, endpoints, leases, limit ranges and secrets: what is refused, in upstream's words. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, object, read, specOf } from './support.ts'
import { createTable, updateTable } from './tables.ts'

const LABEL =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with " +
  "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
const spec = (fields: object) => ({ spec: fields as Record<string, unknown> })

const node = {
  key: '/nodes',
  kind: 'Node',
  metadata: { namespace: undefined },
  valid: { spec: { podCIDR: '10.1.0.0/24', providerID: 'mk8s://a' } },
}
createTable({
  ...node,
  rows: [
    ['two families of networks', spec({ podCIDRs: ['10.1.0.0/24', 'fd00::/64'] }), []],
    [
      'taints twice and without effect',
      spec({
        taints: [
          { key: 'a', effect: 'NoSchedule' },
          { key: 'a', value: 'b', effect: 'NoSchedule' },
          { key: 'a', effect: 'Never' },
          { key: 'b', effect: '' },
        ],
      }),
      [
        'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"b","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair',
        'metadata.taints[2].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
        'metadata.taints[3].effect: Required value',
      ],
    ],
    [
      'networks that are none, and one family twice',
      spec({ podCIDR: undefined, podCIDRs: ['10.1.0.0/24', '10.1.0.0/24', 'x'] }),
      [
        'spec.podCIDRs[2]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)',
        'spec.podCIDRs: Invalid value: ["10.1.0.0/24","10.1.0.0/24","x"]: may specify no more than one CIDR for each IP family',
        'spec.podCIDRs[1]: Duplicate value: "10.1.0.0/24"',
      ],
    ],
    [
      'less than no processors',
      { status: { capacity: { cpu: '-1' }, allocatable: {} } },
      ['status.capacity.cpu: Invalid value: "-1": must be greater than or equal to 0'],
    ],
  ],
})
updateTable({
  ...node,
  rows: [
    ['a taint', spec({ taints: [{ key: 'a', effect: 'NoExecute' }] }), []],
    [
      'another network and provider',
      spec({ podCIDR: '10.1.1.0/24', providerID: 'mk8s://b' }),
      [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
        'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
      ],
    ],
  ],
})

test('the two fields for the network of a node agree, and what it has it can hand out', () => {
  const strategy = must(strategies.get('/nodes'), 'nodes')
  const made = created(strategy, object('Node', { ...node.valid, status: { capacity: { cpu: '4' } } }))
  assert.deepEqual(specOf(made)['podCIDRs'], ['10.1.0.0/24'])
  assert.deepEqual(made['status'], { capacity: { cpu: '4' }, allocatable: { cpu: '4' } })
})

const event = {
  kind: 'Event',
  valid: {
    eventTime: '2026-03-01T11:00:00.000000Z',
    reportingController: 'example.com/controller',
    reportingInstance: 'a',
    action: 'Do',
    reason: 'Done',
    type: 'Normal',
  },
}
const regarding = { kind: 'Pod', name: 'a', namespace: 'default' }
const long = 'a'.repeat(129)
createTable({
  ...event,
  key: 'events.k8s.io/events',
  valid: { ...event.valid, regarding, note: 'n' },
  rows: [
    [
      'texts that are too long',
      { reportingInstance: long, action: long, reason: long, note: 'a'.repeat(1025) },
      [
        'reportingInstance: Invalid value: "": can have at most 128 characters',
        'action: Invalid value: "": can have at most 128 characters',
        'reason: Invalid value: "": can have at most 128 characters',
        'message: Invalid value: "": can have at most 1024 characters',
      ],
    ],
    [
      'what earlier events had',
      {
        type: 'Odd',
        series: { count: 1 },
        deprecatedCount: 1,
        deprecatedFirstTimestamp: '2026-03-01T11:00:00Z',
        deprecatedSource: { component: 'c' },
      },
      [
        'series.count: Invalid value: "": should be at least 2',
        'series.lastObservedTime: Required value',
        'type: Invalid value: "": has invalid value: Odd',
        'firstTimestamp: Invalid value: "": needs to be unset',
        'count: Invalid value: "": needs to be unset',
        'source: Invalid value: "": needs to be unset',
      ],
    ],
    ['no time', { eventTime: undefined }, ['eventTime: Required value']],
  ],
})
updateTable({
  ...event,
  key: 'events.k8s.io/events',
  valid: { ...event.valid, regarding, note: 'n' },
  rows: [
    ['a series', { series: { count: 2, lastObservedTime: '2026-03-01T11:00:00.000000Z' } }, []],
    [
      'another reason and note',
      { reason: 'Undone', note: 'm' },
      [
        'reason: Invalid value: "Undone": field is immutable',
        'message: Invalid value: "m": field is immutable',
      ],
    ],
  ],
})
createTable({
  ...event,
  key: '/events',
  valid: { involvedObject: regarding, count: 1, type: 'Odd' },
  rows: [
    [
      'an object elsewhere',
      { involvedObject: { ...regarding, namespace: 'other' } },
      ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
    ],
    [
      'a time and nobody who reports',
      { eventTime: event.valid.eventTime, reportingComponent: 'a/b/c', reason: 'R', action: 'A' },
      [
        "reportingController: Invalid value: \"a/b/c\": a qualified name must consist of alphanumeric characters, '-', '_' or '.', " +
          "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for " +
          "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        'reportingInstance: Required value',
      ],
    ],
  ],
})

createTable({
  key: 'coordination.k8s.io/leases',
  kind: 'Lease',
  valid: { spec: { leaseDurationSeconds: 15, strategy: 'example.com/mine', preferredHolder: 'b' } },
  rows: [
    [
      'no time, an unknown strategy',
      spec({ leaseDurationSeconds: 0, leaseTransitions: -1, strategy: 'Oldest' }),
      [
        'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
        'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
        'spec.strategy.strategy: Unsupported value: "Oldest": supported values: "OldestEmulationVersion"',
      ],
    ],
    [
      'a holder without a strategy',
      spec({ strategy: undefined }),
      ['spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined'],
    ],
  ],
})

createTable({
  key: '/endpoints',
  kind: 'Endpoints',
  valid: { subsets: [{ addresses: [{ ip: '10.0.0.1', nodeName: 'a' }], ports: [{ port: 80 }] }] },
  rows: [
    [
      'names that are none',
      {
        subsets: [
          {
            addresses: [{ ip: 'x', hostname: 'A' }],
            ports: [
              { port: 0, appProtocol: '/' },
              { name: 'b', port: 1 },
            ],
          },
        ],
      },
      [
        'subsets[0].addresses[0].ip: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
        `subsets[0].addresses[0].hostname: Invalid value: "A": ${LABEL}`,
        'subsets[0].ports[0].name: Required value',
        'subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'subsets[0].ports[0].appProtocol: Invalid value: "/": prefix part must be non-empty',
        'subsets[0].ports[0].appProtocol: Invalid value: "/": name part must be non-empty',
        "subsets[0].ports[0].appProtocol: Invalid value: \"/\": name part must consist of alphanumeric characters, '-', '_' or '.', " +
          "and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
      ],
    ],
  ],
})

createTable({
  key: 'discovery.k8s.io/endpointslices',
  kind: 'EndpointSlice',
  valid: { addressType: 'FQDN', endpoints: [{ addresses: ['a.example.com.'] }], ports: [{ port: 80 }] },
  rows: [
    [
      'names that are none',
      {
        endpoints: [
          { addresses: ['a', ''], hostname: 'A', hints: { forZones: [{ name: 'z' }, { name: 'z' }] } },
        ],
      },
      [
        'endpoints[0].addresses[0]: Invalid value: "a": should be a domain with at least two segments separated by dots',
        'endpoints[0].addresses[1]: Required value',
        `endpoints[0].hostname: Invalid value: "A": ${LABEL}`,
        'endpoints[0].hints.forZones[1].name: Duplicate value: "z"',
      ],
    ],
    [
      'too many hints',
      {
        endpoints: [
          {
            addresses: ['a.b'],
            hints: { forNodes: Array.from({ length: 9 }, (_, at) => ({ name: `n${at}` })) },
          },
        ],
      },
      ['endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items'],
    ],
  ],
})

const limits = (...items: object[]) => ({ spec: { limits: items } })
createTable({
  key: '/limitranges',
  kind: 'LimitRange',
  valid: limits({
    type: 'Container',
    max: { cpu: '4' },
    min: { cpu: '1' },
    maxLimitRequestRatio: { cpu: '4' },
  }),
  rows: [
    [
      'a ratio that cannot be',
      limits({ type: 'Pod', max: { cpu: '3' }, min: { cpu: '2' }, maxLimitRequestRatio: { cpu: '2' } }),
      [
        'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "2": ratio 2 is greater than max/min = 1.500000',
      ],
    ],
    [
      'resources that are none, and more than there is',
      limits({
        type: 'Container',
        default: { 'example.com/gpu': '2', storage: '1' },
        defaultRequest: { 'example.com/gpu': '1' },
      }),
      [
        'spec.limits[0].default[storage]: Invalid value: "storage": must be a standard resource for containers',
        'spec.limits[0].defaultRequest[storage]: Invalid value: "storage": must be a standard resource for containers',
        'spec.limits[0].defaultRequest[example.com/gpu]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in example.com/gpu',
      ],
    ],
  ],
})

const data = (fields: Record<string, string>) => ({
  data: Object.fromEntries(
    Object.entries(fields).map(([key, value]) => [key, Buffer.from(value).toString('base64')]),
  ),
})
createTable({
  key: '/secrets',
  kind: 'Secret',
  valid: { type: 'kubernetes.io/dockerconfigjson', ...data({ '.dockerconfigjson': '{}' }) },
  rows: [
    [
      'a list for a configuration',
      data({ '.dockerconfigjson': '[]' }),
      [
        'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": json: cannot unmarshal array into Go value of type map[string]interface {}',
      ],
    ],
    [
      'no text at all',
      data({ '.dockerconfigjson': '' }),
      ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": unexpected end of JSON input'],
    ],
    [
      'another text',
      data({ '.dockerconfigjson': 'hello' }),
      [
        'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character \'h\' looking for beginning of value',
      ],
    ],
    [
      'an empty key for ssh',
      { type: 'kubernetes.io/ssh-auth', ...data({ 'ssh-privatekey': '' }) },
      ['data[ssh-privatekey]: Required value'],
    ],
    [
      'neither name nor password',
      { type: 'kubernetes.io/basic-auth' },
      ['data[username]: Required value', 'data[password]: Required value'],
    ],
    [
      'half a key pair',
      { type: 'kubernetes.io/tls', ...data({ 'tls.crt': 'a' }) },
      ['data[tls.key]: Required value'],
    ],
    [
      'nobody it is a token of',
      { type: 'kubernetes.io/service-account-token' },
      ['metadata.annotations[kubernetes.io/service-account.name]: Required value'],
    ],
  ],
})
updateTable({
  key: '/secrets',
  kind: 'Secret',
  valid: { immutable: true, ...data({ a: 'b' }) },
  rows: [
    [
      'other data although it is immutable',
      { type: 'x', immutable: false, ...data({ a: 'c' }) },
      [
        'type: Invalid value: "x": field is immutable',
        'immutable: Forbidden: field is immutable when `immutable` is set',
        'data: Forbidden: field is immutable when `immutable` is set',
      ],
    ],
  ],
})

const job = (status: object) => object('Job', { spec: { completions: 2, parallelism: 1 }, status })
const is = (...types: string[]) => ({ conditions: types.map(type => ({ type, status: 'True' })) })
const startTime = '2026-03-01T11:00:00Z'
const jobRows: readonly (readonly [string, object, object, readonly string[]])[] = [
  ['that it runs', {}, { active: 1, ready: 1, startTime }, []],
  [
    'that it is complete',
    { startTime, active: 1, ...is('SuccessCriteriaMet') },
    { startTime, completionTime: startTime, succeeded: 2, ...is('SuccessCriteriaMet', 'Complete') },
    [],
  ],
  [
    'that it is complete, and nothing else',
    {},
    { active: 1, ...is('Complete') },
    [
      'status.completionTime: Required value: completionTime is required for Complete jobs',
      'status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition',
      'status.active: Invalid value: 1: active>0 is invalid for finished job',
      'status.startTime: Required value: startTime is required for finished job',
    ],
  ],
  [
    'that it failed, and nothing before',
    { startTime },
    { startTime, ...is('Failed') },
    [
      'status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition',
    ],
  ],
  [
    'less than before',
    { startTime, failed: 2, succeeded: 1, ...is('FailureTarget') },
    { failed: 1, ready: 1 },
    [
      'status.ready: Invalid value: 1: cannot set more ready pods than active',
      'status.conditions: Invalid value: cannot disable the terminal FailureTarget=True condition',
      'status.failed: Invalid value: 1: cannot decrease the failed counter',
      'status.succeeded: Invalid value: 0: cannot decrease the succeeded counter',
      'status.startTime: Required value: startTime cannot be removed for unsuspended job',
    ],
  ],
  [
    'indexes it has not',
    {},
    { completedIndexes: '0-2', failedIndexes: '0' },
    [
      'status.completedIndexes: Invalid value: "0-2": error parsing completedIndexes: too large index: "2"',
      'status.completedIndexes: Invalid value: "0-2": cannot set non-empty completedIndexes when non-indexed completion mode',
      'status.failedIndexes: Invalid value: "0": cannot set non-null failedIndexes when backoffLimitPerIndex is null',
      'status.failedIndexes: Invalid value: "0": failedIndexes and completedIndexes overlap at index: 0',
    ],
  ],
]
for (const [what, before, after, expected] of jobRows) {
  test(`a status that says of a job ${what} is judged as upstream judges it`, () => {
    const strategy = must(strategies.get('batch/jobs'), 'jobs')
    assert.deepEqual(read(strategy.validateStatusUpdate?.(job(after), job(before))), expected)
  })
}
