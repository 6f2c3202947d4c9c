/** Dynamic resources, service addresses and volume attributes: the exact problems of bad objects. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, object, read, row, specOf, updated } from './support.ts'

const strategyOf = (key: string) => must(strategies.get(key), key)
const claims = strategyOf('resource.k8s.io/resourceclaims')
const slices = strategyOf('resource.k8s.io/resourceslices')
const exactly = (over: object = {}) => ({ deviceClassName: 'gpu', ...over })
const claim = (devices: object) => object('ResourceClaim', { spec: { devices } })
const REFERENCE =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"

test('a request gets its allocation mode and its count', () => {
  const made = created(claims, claim({ requests: [{ name: 'a', exactly: exactly() }] }))
  assert.deepEqual(specOf(made), {
    devices: {
      requests: [{ name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 } }],
    },
  })
  assert.equal(row(claims, made)['State'], 'pending')
})

const badClaims: readonly [string, object, readonly string[]][] = [
  [
    'no way to ask',
    { requests: [{ name: 'a' }] },
    ['spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required'],
  ],
  [
    'a count beside all',
    { requests: [{ name: 'a', exactly: exactly({ allocationMode: 'All', count: 2 }) }] },
    [
      "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
    ],
  ],
  [
    'a name twice and an unknown mode',
    {
      requests: [
        { name: 'a', exactly: exactly({ allocationMode: 'Some' }) },
        { name: 'a', exactly: exactly() },
      ],
    },
    [
      'spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", "ExactCount"',
      'spec.devices.requests[1]: Duplicate value: "a"',
    ],
  ],
  [
    'constraints on what is not there',
    {
      requests: [{ name: 'a', firstAvailable: [{ name: 'x', ...exactly() }] }],
      constraints: [{ requests: ['a/x', 'a/y', 'b'], matchAttribute: 'model' }],
    },
    [
      `spec.devices.constraints[0].requests[1]: Invalid value: "a/y": ${REFERENCE}`,
      `spec.devices.constraints[0].requests[2]: Invalid value: "b": ${REFERENCE}`,
      'spec.devices.constraints[0].matchAttribute: Invalid value: "model": a fully qualified name must be a domain and a name separated by a slash',
    ],
  ],
  [
    'configuration of nobody',
    {
      requests: [{ name: 'a', exactly: exactly() }],
      config: [{}, { opaque: { driver: '', parameters: 1 } }],
    },
    [
      'spec.devices.config[0].opaque: Required value',
      'spec.devices.config[1].opaque.driver: Required value',
      'spec.devices.config[1].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
    ],
  ],
  [
    'too many requests',
    { requests: Array.from({ length: 33 }, (_, index) => ({ name: `r${index}`, exactly: exactly() })) },
    ['spec.devices.requests: Too many: 33: must have at most 32 items'],
  ],
]

for (const [name, devices, problems] of badClaims) {
  test(`a resource claim is refused for ${name}`, () => {
    assert.deepEqual(createProblems(claims, claim(devices)), problems)
  })
}

test('the expressions of selectors are compiled', () => {
  const select = (expression: string) => {
    const selectors = [{ cel: { expression } }]
    return createProblems(claims, claim({ requests: [{ name: 'a', exactly: exactly({ selectors }) }] }))
  }
  assert.deepEqual(select('device.driver == "gpu.example.com"'), [])
  assert.deepEqual(select('device.attributes["gpu.example.com"].model == "x"'), [])
  assert.deepEqual(select('device.capacity["gpu.example.com"].memory.isGreaterThan(quantity("1Gi"))'), [])
  assert.match(select('devise.driver')[0] ?? '', /Invalid value: "devise.driver": compilation failed: /)
  assert.match(select('device.driver')[0] ?? '', /must evaluate to bool or the unknown type, not string/)
})

test('the spec of a claim stays, and its status follows the allocation', () => {
  const made = created(claims, claim({ requests: [{ name: 'a', exactly: exactly() }] }))
  const changed = updated(claims, made, next => {
    next['spec'] = { devices: {} }
  })
  assert.match(
    read(claims.validateUpdate?.(changed, made))[0] ?? '',
    /^spec: Invalid value: .*field is immutable$/,
  )
  const reserved = structuredClone(made)
  reserved['status'] = { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] }
  assert.deepEqual(read(claims.validateStatusUpdate?.(reserved, made)), [
    'status.reservedFor: Forbidden: may not be specified when `allocated` is not set',
  ])
  const result = { request: 'a', driver: 'd.io', pool: 'p', device: 'x' }
  const allocated = structuredClone(made)
  allocated['status'] = {
    allocation: { devices: { results: [result] } },
    reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }],
  }
  assert.deepEqual(read(claims.validateStatusUpdate?.(allocated, made)), [])
  assert.equal(row(claims, allocated)['State'], 'allocated,reserved')
})

const pool = { name: 'p', generation: 1, resourceSliceCount: 1 }
const badSlices: readonly [string, object, readonly string[]][] = [
  [
    'no place',
    { driver: 'd.io', pool },
    [
      'spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required',
    ],
  ],
  [
    'two places',
    { driver: 'd.io', pool, nodeName: 'n', allNodes: true },
    [
      'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set',
    ],
  ],
  [
    'a bad pool',
    { driver: '', pool: { name: '', generation: -1, resourceSliceCount: 0 }, nodeName: 'n' },
    [
      'spec.driver: Required value',
      'spec.pool.name: Required value',
      'spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero',
      'spec.pool.generation: Invalid value: -1: must be greater than or equal to zero',
    ],
  ],
  [
    'bad devices',
    {
      driver: 'd.io',
      pool,
      nodeName: 'n',
      devices: [
        { name: 'a', attributes: { x: {}, y: { version: '1' } }, nodeName: 'n' },
        { name: 'a', capacity: { c: { value: '1', requestPolicy: {} } }, bindingConditions: ['r'] },
      ],
    },
    [
      'spec.devices[0].attributes[x]: Invalid value: "": exactly one value must be specified',
      'spec.devices[0].attributes[y].version: Invalid value: "1": must be a string compatible with semver.org spec 2.0.0',
      'spec.devices[0]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec',
      'spec.devices[1].capacity[c].requestPolicy: Forbidden: allowMultipleAllocations must be true',
      'spec.devices[1].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions',
      'spec.devices[1]: Duplicate value: "a"',
    ],
  ],
]

for (const [name, spec, problems] of badSlices) {
  test(`a resource slice is refused for ${name}`, () => {
    assert.deepEqual(createProblems(slices, object('ResourceSlice', { spec })), problems)
  })
}

test('a policy of requests fits the capacity', () => {
  const check = (requestPolicy: object) => {
    const device = {
      name: 'a',
      allowMultipleAllocations: true,
      capacity: { c: { value: '10', requestPolicy } },
    }
    const spec = { driver: 'd.io', pool, nodeName: 'n', devices: [device] }
    return createProblems(slices, object('ResourceSlice', { spec }))
  }
  const field = 'spec.devices[0].capacity[c].requestPolicy'
  assert.deepEqual(check({ default: '2', validRange: { min: '1', max: '9', step: '1' } }), [])
  assert.deepEqual(check({ validValues: ['1'] }), [
    `${field}.default: Required value: required when validValues is defined`,
  ])
  assert.deepEqual(check({ default: '2', validValues: ['3', '1'] }), [
    `${field}.validValues[1]: Invalid value: "1": values must be sorted in ascending order`,
    `${field}.validValues: Invalid value: "2": default value is not valid according to the requestPolicy`,
  ])
  assert.deepEqual(check({ default: '2', validRange: { min: '1', step: '3' } }), [
    `${field}.validRange.step: Invalid value: "2": value is not a multiple of a given step (3) from (1)`,
  ])
})

test('a device class names extended resources only', () => {
  const classes = strategyOf('resource.k8s.io/deviceclasses')
  const named = (extendedResourceName: string) =>
    createProblems(classes, object('DeviceClass', { spec: { extendedResourceName } }))
  assert.deepEqual(named('example.com/gpu'), [])
  assert.deepEqual(named('cpu'), [
    'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name',
  ])
})

test('an address has an owner, which stays', () => {
  const addresses = strategyOf('networking.k8s.io/ipaddresses')
  const parentRef = { resource: 'services', namespace: 'default', name: 'kubernetes' }
  const made = created(addresses, object('IPAddress', { spec: { parentRef } }, { name: '10.0.0.1' }))
  assert.deepEqual(read(addresses.validate?.(made)), [])
  assert.deepEqual(row(addresses, made), { Name: '10.0.0.1', ParentRef: 'services/default/kubernetes' })
  assert.deepEqual(createProblems(addresses, object('IPAddress', { spec: {} })), [
    'spec.parentRef: Required value',
  ])
  assert.deepEqual(createProblems(addresses, object('IPAddress', { spec: { parentRef: {} } })), [
    'spec.parentRef.resource: Required value',
    'spec.parentRef.name: Required value',
  ])
  assert.match(addresses.validateName?.('web') ?? '', /must be a valid IP address/)
  assert.match(addresses.validateName?.('2001:DB8::1') ?? '', /must be in canonical form/)
})

test('a service network is one of each family, in its canonical form', () => {
  const cidrs = strategyOf('networking.k8s.io/servicecidrs')
  const problems = (given: string[]) =>
    createProblems(cidrs, object('ServiceCIDR', { spec: { cidrs: given } }))
  assert.deepEqual(problems(['10.0.0.0/24', '2001:db8::/64']), [])
  assert.deepEqual(problems([]), ['spec.cidrs: Required value: at least one CIDR required'])
  assert.deepEqual(problems(['10.0.0.0/24', '10.1.0.0/24']), [
    'spec.cidrs: Invalid value: ["10.0.0.0/24","10.1.0.0/24"]: may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64',
  ])
  assert.deepEqual(problems(['10.0.0.1/24']), [
    'spec.cidrs[0]: Invalid value: "10.0.0.1/24": must be in canonical form ("10.0.0.0/24")',
  ])
  const made = created(cidrs, object('ServiceCIDR', { spec: { cidrs: ['10.0.0.0/24'] } }))
  const next = updated(cidrs, made, changed => {
    changed['spec'] = { cidrs: ['10.1.0.0/24'] }
  })
  assert.deepEqual(read(cidrs.validateUpdate?.(next, made)), [
    'spec.cidrs: Invalid value: ["10.1.0.0/24"]: field is immutable',
  ])
})

test('a class of volume attributes has a driver and parameters, which stay', () => {
  const classes = strategyOf('storage.k8s.io/volumeattributesclasses')
  assert.deepEqual(createProblems(classes, object('VolumeAttributesClass', {})), [
    'driverName: Required value',
    'parameters: Required value: must contain at least one key/value pair',
  ])
  const made = created(
    classes,
    object('VolumeAttributesClass', { driverName: 'd.io', parameters: { a: '1' } }),
  )
  const next = updated(classes, made, changed => {
    changed['parameters'] = { a: '2' }
  })
  assert.deepEqual(read(classes.validateUpdate?.(next, made)), [
    'parameters: Forbidden: updates to parameters are forbidden.',
  ])
})
