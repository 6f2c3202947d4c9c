/** Which devices claims get on a node, and when they get none. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { choosesDevice } from '../../../../../src/kube/devices/device-expressions.ts'
import type { DeviceClass, Node, ResourceClaim, ResourceSlice } from '../../../../../src/kube/types.ts'
import {
  AllocationError,
  allocate,
  POD_STEPS_MAX,
} from '../../../../../src/runtime/scheduler/devices/allocate.ts'
import { type Allocation, gatherAllocated } from '../../../../../src/runtime/scheduler/devices/allocated.ts'
import { gatherPools } from '../../../../../src/runtime/scheduler/devices/pools.ts'
import { renderAllocation } from '../../../../../src/runtime/scheduler/devices/render-allocation.ts'
import { readRequests } from '../../../../../src/runtime/scheduler/devices/requests.ts'

const API = 'resource.k8s.io/v1'
const DRIVER = 'gpu.example.com'
const node = (name: string, labels: Record<string, string> = {}): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name, labels },
})
const device = (name: string, more: object = {}) => ({ name, ...more })
let slices = 0
function slice(devices: readonly object[] | undefined, more: object = {}): ResourceSlice {
  const { pool = {}, ...rest } = more as { pool?: object }
  return {
    apiVersion: API,
    kind: 'ResourceSlice',
    metadata: { name: `slice-${String(slices++).padStart(3, '0')}` },
    spec: {
      driver: DRIVER,
      pool: { name: 'p', generation: 1, resourceSliceCount: 1, ...pool },
      ...('nodeSelector' in rest || 'allNodes' in rest || 'perDeviceNodeSelection' in rest
        ? {}
        : { nodeName: 'a' }),
      ...(devices === undefined ? {} : { devices }),
      ...rest,
    } as unknown as NonNullable<ResourceSlice['spec']>,
  }
}
const cel = (expression: string) => ({ cel: { expression } })
const deviceClass = (name: string, spec: object = {}): DeviceClass =>
  ({
    ...{ apiVersion: API, kind: 'DeviceClass', metadata: { name } },
    spec: { selectors: [cel(`device.driver == "${DRIVER}"`)], ...spec },
  }) as DeviceClass
const exactly = (name: string, more: object = {}) => ({
  name,
  exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1, ...more },
})
const claim = (requests: readonly object[], more: object = {}, name = 'c'): ResourceClaim =>
  ({
    ...{ apiVersion: API, kind: 'ResourceClaim', metadata: { name, namespace: 'n', uid: name } },
    spec: { devices: { requests, ...more } },
  }) as ResourceClaim

interface Case {
  readonly claims: readonly ResourceClaim[]
  readonly slices: readonly ResourceSlice[]
  readonly on?: Node
  readonly classes?: readonly DeviceClass[]
  readonly allocated?: readonly Allocation[]
  readonly budget?: { left: number }
}

function find(parts: Case) {
  const { claims, slices: all, on = node('a'), classes = [deviceClass('gpu')], allocated = [] } = parts
  const read = claims.map(each =>
    readRequests(each, name => classes.find(({ metadata }) => metadata.name === name)),
  )
  const outcome = allocate({
    ...{ claims: read, node: on, pools: gatherPools(all), allocated: gatherAllocated(allocated) },
    matches: (expression, { driver, device: each }) => choosesDevice(expression, driver, each),
    budget: parts.budget ?? { left: POD_STEPS_MAX },
  })
  if (typeof outcome === 'string') return outcome
  return read.map(requests =>
    renderAllocation(
      requests.claim,
      outcome.filter(each => each.claim === requests),
      { node: on.metadata.name ?? '', shareId: () => 'share' },
    ),
  )
}

/** `request=device` of all claims. */
function devicesOf(parts: Case): string {
  const found = find(parts)
  if (typeof found === 'string') return found
  return found
    .flatMap(each => each.devices?.results ?? [])
    .map(each => `${each.request}=${each.device}`)
    .join(' ')
}
const taken = (...names: readonly string[]): Allocation[] => [
  { devices: { results: names.map(name => ({ request: 'r', driver: DRIVER, pool: 'p', device: name })) } },
]
const three = slice([device('d0'), device('d1'), device('d2')])
const memory = (value: string) => ({ capacity: { memory: { value } } })
const numa = (value: number) => ({ attributes: { numa: { int: value } } })
const onNumas = slice([device('d0', numa(0)), device('d1', numa(1)), device('d2', numa(1))])

const rows: readonly (readonly [name: string, parts: Case, expected: string])[] = [
  [
    'the first device that is free',
    { claims: [claim([exactly('r')])], slices: [three], allocated: taken('d0') },
    'r=d1',
  ],
  [
    'as many as are counted',
    { claims: [claim([exactly('r', { count: 3 })])], slices: [three] },
    'r=d0 r=d1 r=d2',
  ],
  [
    'none where there are too few',
    { claims: [claim([exactly('r', { count: 4 })])], slices: [three] },
    'none',
  ],
  [
    'other devices for each claim',
    {
      claims: [claim([exactly('r')]), claim([exactly('s', { count: 2 })], {}, 'e')],
      slices: [three],
    },
    'r=d0 s=d1 s=d2',
  ],
  ['none of another node', { claims: [claim([exactly('r')])], slices: [three], on: node('b') }, 'none'],
  [
    'all of them, when all is asked',
    {
      claims: [claim([exactly('r', { allocationMode: 'All', count: undefined })])],
      slices: [three],
    },
    'r=d0 r=d1 r=d2',
  ],
  [
    'nothing, when all is asked and one is in use',
    {
      claims: [claim([exactly('r', { allocationMode: 'All' })])],
      slices: [three],
      allocated: taken('d2'),
    },
    'none',
  ],
  [
    'nothing, when all is asked and there is none',
    {
      claims: [claim([exactly('r', { allocationMode: 'All', selectors: [cel('false')] })])],
      slices: [three],
    },
    'none',
  ],
  [
    'what expressions choose by attribute',
    {
      claims: [claim([exactly('r', { selectors: [cel(`device.attributes["${DRIVER}"].numa == 1`)] })])],
      slices: [onNumas],
    },
    'r=d1',
  ],
  [
    'what expressions choose by version and capacity',
    {
      claims: [
        claim([
          exactly('r', {
            selectors: [
              cel(`device.attributes["${DRIVER}"].v.isGreaterThan(semver("1.2.3"))`),
              cel(`device.capacity["${DRIVER}"].memory.compareTo(quantity("8Gi")) >= 0`),
            ],
          }),
        ]),
      ],
      slices: [
        slice([
          device('old', { ...memory('16Gi'), attributes: { v: { version: '1.2.3' } } }),
          device('small', { ...memory('4Gi'), attributes: { v: { version: '2.0.0' } } }),
          device('good', { ...memory('8Gi'), attributes: { v: { version: '1.10.0' } } }),
        ]),
      ],
    },
    'r=good',
  ],
  [
    'what expressions choose by attributes of another domain, which need not be there',
    {
      claims: [claim([exactly('r', { selectors: [cel('"x" in device.attributes["other.example.com"]')] })])],
      slices: [
        slice([device('d0'), device('d1', { attributes: { 'other.example.com/x': { bool: true } } })]),
      ],
    },
    'r=d1',
  ],
  [
    'devices of one value',
    {
      claims: [claim([exactly('r', { count: 2 })], { constraints: [{ matchAttribute: `${DRIVER}/numa` }] })],
      slices: [onNumas],
    },
    'r=d1 r=d2',
  ],
  [
    'none without the attribute that has to match',
    {
      claims: [claim([exactly('r')], { constraints: [{ matchAttribute: `${DRIVER}/numa` }] })],
      slices: [three],
    },
    'none',
  ],
  [
    'devices of one value for the requests that are named',
    {
      claims: [
        claim([exactly('r'), exactly('s'), exactly('t')], {
          constraints: [{ requests: ['s', 't'], matchAttribute: `${DRIVER}/numa` }],
        }),
      ],
      slices: [onNumas],
    },
    'r=d0 s=d1 t=d2',
  ],
  [
    'devices of different values',
    {
      claims: [
        claim([exactly('r', { count: 2 })], { constraints: [{ distinctAttribute: `${DRIVER}/numa` }] }),
      ],
      slices: [slice([device('d0', numa(1)), device('d1', numa(1)), device('d2', numa(0))])],
    },
    'r=d0 r=d2',
  ],
  [
    'the first alternative that there is',
    {
      claims: [
        claim([
          {
            name: 'r',
            firstAvailable: [
              { name: 'big', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 4 },
              { name: 'small', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 },
            ],
          },
        ]),
      ],
      slices: [three],
    },
    'r/small=d0 r/small=d1',
  ],
  [
    'a worse alternative when another request needs the better one',
    {
      claims: [
        claim([
          {
            name: 'r',
            firstAvailable: [
              { name: 'two', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 2 },
              { name: 'one', deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 },
            ],
          },
          exactly('s', { count: 2 }),
        ]),
      ],
      slices: [three],
    },
    'r/one=d0 s=d1 s=d2',
  ],
  [
    'devices that are in use, with admin access',
    {
      claims: [claim([exactly('r', { adminAccess: true, allocationMode: 'All' })])],
      slices: [three],
      allocated: taken('d0', 'd1'),
    },
    'r=d0 r=d1 r=d2',
  ],
  [
    'devices that somebody has with admin access only',
    {
      claims: [claim([exactly('r')])],
      slices: [slice([device('d0')])],
      allocated: [
        {
          devices: {
            results: [{ request: 'r', driver: DRIVER, pool: 'p', device: 'd0', adminAccess: true }],
          },
        },
      ],
    },
    'r=d0',
  ],
  [
    'none of a pool whose slices are not all there',
    {
      claims: [claim([exactly('r')])],
      slices: [slice([device('d0')], { pool: { resourceSliceCount: 2 } })],
    },
    'none',
  ],
  [
    'those of the newest generation of a pool',
    {
      claims: [claim([exactly('r')])],
      slices: [slice([device('old')]), slice([device('new')], { pool: { generation: 2 } })],
    },
    'r=new',
  ],
  [
    'none of a pool that names a device twice',
    {
      claims: [claim([exactly('r')])],
      slices: [slice([device('d0'), device('d0')])],
    },
    'none',
  ],
  [
    'devices of all nodes',
    {
      claims: [claim([exactly('r')])],
      slices: [slice([device('d0')], { allNodes: true })],
      on: node('b'),
    },
    'r=d0',
  ],
  [
    'devices of their own nodes',
    {
      claims: [claim([exactly('r')])],
      slices: [
        slice(
          [
            device('d0', { nodeName: 'a' }),
            device('d1', { nodeName: 'b' }),
            device('d2', { allNodes: true }),
          ],
          {
            perDeviceNodeSelection: true,
          },
        ),
      ],
      on: node('b'),
    },
    'r=d1',
  ],
  [
    'no device with a taint that is not tolerated',
    {
      claims: [claim([exactly('r')])],
      slices: [
        slice([
          device('d0', { taints: [{ key: 'k', effect: 'NoSchedule' }] }),
          device('d1', { taints: [{ key: 'k', effect: 'None' }] }),
        ]),
      ],
    },
    'r=d1',
  ],
  [
    'a device whose taint is tolerated',
    {
      claims: [
        claim([
          exactly('r', { tolerations: [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoExecute' }] }),
        ]),
      ],
      slices: [slice([device('d0', { taints: [{ key: 'k', value: 'v', effect: 'NoExecute' }] })])],
    },
    'r=d0',
  ],
  [
    'devices that can be bound at once before others',
    {
      claims: [claim([exactly('r')])],
      slices: [
        slice([device('d0', { bindingConditions: ['a'], bindingFailureConditions: ['b'] }), device('d1')]),
      ],
    },
    'r=d1',
  ],
]

describe('a claim gets', () => {
  for (const [name, parts, expected] of rows) test(name, () => assert.equal(devicesOf(parts), expected))
})

describe('parts of a device', () => {
  const uses = (value: string) => ({
    consumesCounters: [{ counterSet: 'set', counters: { memory: { value } } }],
  })
  const pool = { resourceSliceCount: 2 }
  const counters = slice(undefined, {
    pool,
    sharedCounters: [{ name: 'set', counters: { memory: { value: '8Gi' } } }],
  })
  const parts = slice(
    [device('half0', uses('4Gi')), device('most', uses('6Gi')), device('half1', uses('4Gi'))],
    { pool },
  )

  test('are given while its counters last', () => {
    const two = [claim([exactly('r', { count: 2 })])]
    assert.equal(devicesOf({ claims: two, slices: [counters, parts] }), 'r=half0 r=half1')
    const one = [claim([exactly('r')])]
    assert.equal(devicesOf({ claims: one, slices: [counters, parts], allocated: taken('half0') }), 'r=half1')
    assert.equal(devicesOf({ claims: one, slices: [counters, parts], allocated: taken('most') }), 'none')
  })

  test('are none where their counters are unknown', () => {
    const lonely = slice([device('d0', uses('1Gi'))])
    assert.equal(devicesOf({ claims: [claim([exactly('r')])], slices: [lonely] }), 'none')
  })
})

describe('a device that is shared', () => {
  const policy = { default: '1Gi', validRange: { min: '1Gi', step: '1Gi', max: '8Gi' } }
  const shared = slice([
    device('d0', {
      allowMultipleAllocations: true,
      capacity: { memory: { value: '8Gi', requestPolicy: policy } },
    }),
  ])
  const asking = (amount: string) => claim([exactly('r', { capacity: { requests: { memory: amount } } })])
  const used = (amount: string): Allocation[] => [
    {
      devices: {
        results: [
          {
            request: 'r',
            driver: DRIVER,
            pool: 'p',
            device: 'd0',
            shareID: 's',
            consumedCapacity: { memory: amount },
          },
        ],
      },
    },
  ]
  const consumedOf = (parts: Case) => {
    const found = find(parts)
    return typeof found === 'string' ? found : found[0]?.devices?.results?.map(each => each.consumedCapacity)
  }

  test('gives what is asked for, rounded up to its steps', () => {
    assert.deepEqual(consumedOf({ claims: [asking('1500Mi')], slices: [shared] }), [{ memory: '2Gi' }])
    assert.deepEqual(consumedOf({ claims: [claim([exactly('r')])], slices: [shared] }), [{ memory: '1Gi' }])
    assert.equal(consumedOf({ claims: [asking('9Gi')], slices: [shared] }), 'none')
  })

  test('is given while its capacity lasts', () => {
    assert.deepEqual(consumedOf({ claims: [asking('2Gi')], slices: [shared], allocated: used('6Gi') }), [
      { memory: '2Gi' },
    ])
    assert.equal(consumedOf({ claims: [asking('2Gi')], slices: [shared], allocated: used('7Gi') }), 'none')
    const both = [claim([exactly('r', { count: 2, capacity: { requests: { memory: '4Gi' } } })])]
    assert.deepEqual(consumedOf({ claims: both, slices: [shared] }), [{ memory: '4Gi' }, { memory: '4Gi' }])
  })
})

describe('an allocation', () => {
  const opaque = (value: string) => ({ opaque: { driver: DRIVER, parameters: { value } } })

  test('says where its devices can be reached', () => {
    const selectorOf = (each: ResourceSlice) => {
      const found = find({ claims: [claim([exactly('r')])], slices: [each], on: node('a', { zone: 'z' }) })
      return typeof found === 'string' ? found : found[0]?.nodeSelector?.nodeSelectorTerms
    }
    const byName = [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }]
    assert.deepEqual(selectorOf(slice([device('d0')])), byName)
    assert.equal(selectorOf(slice([device('d0')], { allNodes: true })), undefined)
    const terms = [{ matchExpressions: [{ key: 'zone', operator: 'In', values: ['z'] }] }]
    assert.deepEqual(selectorOf(slice([device('d0')], { nodeSelector: { nodeSelectorTerms: terms } })), terms)
    assert.deepEqual(selectorOf(slice([device('d0', { bindsToNode: true })], { allNodes: true })), byName)
  })

  test('has the configuration of classes first, then the claim’s own for what was taken', () => {
    const classes = [deviceClass('gpu', { config: [opaque('class')] })]
    const found = find({
      classes,
      claims: [
        claim([exactly('r'), exactly('s')], {
          config: [opaque('all'), { ...opaque('s'), requests: ['s'] }],
        }),
      ],
      slices: [three],
    })
    assert.deepEqual(typeof found === 'string' ? found : found[0]?.devices?.config, [
      { ...opaque('class'), source: 'FromClass', requests: ['r', 's'] },
      { ...opaque('all'), source: 'FromClaim' },
      { ...opaque('s'), source: 'FromClaim', requests: ['s'] },
    ])
  })
})

describe('a claim is refused everywhere', () => {
  const refusal = (parts: Case): string => {
    try {
      return devicesOf(parts)
    } catch (error) {
      assert.ok(error instanceof AllocationError)
      return error.message
    }
  }

  test('when an expression fails', () => {
    const selectors = [cel(`device.attributes["${DRIVER}"].missing == 1`)]
    const message = refusal({ claims: [claim([exactly('r', { selectors })])], slices: [three] })
    assert.match(message, /^claim n\/c: selector #1: CEL runtime error: no such key: missing/)
  })

  test('when all devices are asked for and a pool is being updated', () => {
    const half = slice([device('d0')], { pool: { resourceSliceCount: 2 } })
    const all = [claim([exactly('r', { allocationMode: 'All' })])]
    const what = 'asks for all devices, but resource pool p is currently being updated'
    assert.equal(refusal({ claims: all, slices: [half] }), `claim n/c, request r: ${what}`)
  })
})

test('a search that leads nowhere ends', () => {
  const many = slice(Array.from({ length: 40 }, (_each, at) => device(`d${at}`)))
  const constraints = [{ matchAttribute: `${DRIVER}/numa`, requests: ['s'] }]
  const requests = [exactly('r', { count: 12 }), exactly('s')]
  const budget = { left: POD_STEPS_MAX }
  const hard = { claims: [claim(requests, { constraints })], slices: [many], budget }
  assert.equal(devicesOf(hard), 'too-long')
  assert.ok(budget.left > 0, 'other nodes may be tried')
  for (let nodes = 1; nodes < 1_000 && budget.left > 0; nodes++) devicesOf(hard)
  assert.ok(budget.left <= 0, 'but not all of a large cluster')
  const easy = { claims: [claim([exactly('r')])], slices: [many] }
  assert.equal(devicesOf({ ...easy, budget }), 'too-long')
  assert.notEqual(devicesOf(easy), 'too-long')
})
