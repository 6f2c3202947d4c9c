/** Volumes, claims, limit ranges and time zones: what is refused and what may change. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { must } from '../../../../../src/base/assert.ts'
import { strategies } from '../../../../../src/runtime/apiserver/registry/registry.ts'
import { created, createProblems, object, read, specOf, updated } from './support.ts'

const strategyOf = (key: string) => must(strategies.get(key), key)
const claims = strategyOf('/persistentvolumeclaims')
const volumes = strategyOf('/persistentvolumes')
const ranges = strategyOf('/limitranges')

const claimSpec = (storage: string) => ({
  accessModes: ['ReadWriteOnce'],
  resources: { requests: { storage } },
})

test('a claim asks for more than nothing, from something that exists', () => {
  const problems = (spec: object) => createProblems(claims, object('PersistentVolumeClaim', { spec }))
  assert.deepEqual(problems(claimSpec('0')), [
    'spec.resources[storage]: Invalid value: "0": must be greater than zero',
  ])
  assert.deepEqual(
    problems({ ...claimSpec('1Gi'), volumeMode: 'Tape', dataSourceRef: { kind: 'Disk', name: 'd' } }),
    [
      'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Filesystem"',
      'spec.dataSource: Invalid value: "Disk": must be \'PersistentVolumeClaim\' when referencing the default apiGroup',
      'spec.dataSourceRef: Invalid value: "Disk": must be \'PersistentVolumeClaim\' when referencing the default apiGroup',
    ],
  )
})

test('a bound claim grows, shrinks while it has less, and keeps the rest', () => {
  const bound = created(claims, object('PersistentVolumeClaim', { spec: claimSpec('10Gi') }))
  Object.assign(specOf(bound), { volumeName: 'v', storageClassName: 'fast' })
  bound['status'] = { phase: 'Bound', capacity: { storage: '5Gi' } }
  const change = (spec: object, from = bound) => {
    const next = updated(claims, from, changed => Object.assign(specOf(changed), spec))
    return read(claims.validateUpdate?.(next, from))
  }
  const sized = (storage: string) => ({ resources: { requests: { storage } } })
  const kept =
    'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims'
  assert.deepEqual(change(sized('20Gi')), [])
  assert.deepEqual(change(sized('6Gi')), [])
  for (const size of ['5Gi', '4Gi']) {
    assert.deepEqual(change(sized(size)), [
      'spec.resources.requests.storage: Forbidden: field can not be less than status.capacity',
    ])
  }
  assert.deepEqual(change({ volumeAttributesClassName: 'gold' }), [])
  const tuned = structuredClone(bound)
  Object.assign(specOf(tuned), { volumeAttributesClassName: 'gold' })
  assert.deepEqual(change({ volumeAttributesClassName: undefined }, tuned), [])
  Object.assign(tuned['status'] ?? {}, { currentVolumeAttributesClassName: 'gold' })
  assert.deepEqual(change({ volumeAttributesClassName: 'silver' }, tuned), [])
  assert.deepEqual(change({ volumeAttributesClassName: '' }, tuned), [
    'spec.volumeAttributesClassName: Forbidden: update to empty string is forbidden when status.currentVolumeAttributesClassName is not nil',
  ])
  assert.deepEqual(change({ storageClassName: 'slow' }), [kept])
  const pending = structuredClone(bound)
  pending['status'] = { phase: 'Pending' }
  assert.deepEqual(change(sized('20Gi'), pending), [kept])
})

test('the status of a claim tells of the growth of storage in known steps', () => {
  const claim = created(claims, object('PersistentVolumeClaim', { spec: claimSpec('10Gi') }))
  const told = (status: object) => {
    const next = { ...structuredClone(claim), status }
    return read(claims.validateStatusUpdate?.(next, claim))
  }
  const steps = { storage: 'ControllerResizeInfeasible', 'example.com/x': 'NodeResizePending' }
  assert.deepEqual(
    told({ allocatedResourceStatuses: steps, allocatedResources: { storage: '20Gi', 'example.com/x': '2' } }),
    [],
  )
  assert.deepEqual(
    told({
      capacity: { storage: '-1' },
      allocatedResourceStatuses: { storage: 'Growing', cpu: 'NodeResizePending' },
      allocatedResources: { memory: '1', storage: '-2Gi' },
    }),
    [
      'status.capacity[storage]: Invalid value: "-1": must be a valid resource quantity',
      'status.allocatedResourceStatus: Unsupported value: "Growing": supported values: "ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible", "NodeResizePending"',
      'status.allocatedResourceStatus: Unsupported value: "cpu": supported values: "storage"',
      'status.allocatedResources: Unsupported value: "memory": supported values: "storage"',
      'status.allocatedResources[storage]: Invalid value: "-2Gi": must be a valid resource quantity',
    ],
  )
})

test('a volume has a size, one complete source, and a place when it is local', () => {
  const problems = (spec: object) =>
    createProblems(volumes, object('PersistentVolume', { spec: { accessModes: ['ReadWriteOnce'], ...spec } }))
  const capacity = { storage: '1Gi' }
  assert.deepEqual(problems({ capacity: { cpu: '1' }, hostPath: { path: '/x' } }), [
    'spec.capacity: Unsupported value: {"cpu":"1"}: supported values: "storage"',
  ])
  assert.deepEqual(problems({ capacity, local: { path: '/x' } }), [
    'spec.nodeAffinity: Required value: Local volume requires node affinity',
  ])
  assert.deepEqual(problems({ capacity, csi: { driver: 'a.b', volumeHandle: '' } }), [
    'spec.csi.volumeHandle: Required value',
  ])
  assert.deepEqual(
    problems({ capacity, hostPath: { path: '/' }, persistentVolumeReclaimPolicy: 'Recycle' }),
    ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
  )
})

test('a limit range gives containers what it allows, and does not contradict itself', () => {
  const limits = (items: object[]) => object('LimitRange', { spec: { limits: items } })
  const made = created(ranges, limits([{ type: 'Container', max: { cpu: '2' }, min: { memory: '1Mi' } }]))
  assert.deepEqual((specOf(made)['limits'] as object[])[0], {
    type: 'Container',
    max: { cpu: '2' },
    min: { memory: '1Mi' },
    default: { cpu: '2' },
    defaultRequest: { cpu: '2', memory: '1Mi' },
  })
  assert.deepEqual(
    createProblems(
      ranges,
      limits([
        { type: 'Pod', min: { cpu: '2' }, max: { cpu: '1' }, default: { cpu: '1' } },
        { type: 'Pod', maxLimitRequestRatio: { cpu: '500m' } },
        { type: 'Volume' },
        { type: 'PersistentVolumeClaim' },
      ]),
    ),
    [
      "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
      'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
      'spec.limits[1].type: Duplicate value: "Pod"',
      'spec.limits[1].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1',
      'spec.limits[2].type: Invalid value: "Volume": must be a standard limit type or fully qualified',
      'spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
    ],
  )
})

test('a cron job runs in a zone that exists', () => {
  const jobs = strategyOf('batch/cronjobs')
  const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'a', image: 'b' }] } }
  const problems = (timeZone: string) =>
    createProblems(
      jobs,
      object('CronJob', { spec: { schedule: '0 0 * * *', timeZone, jobTemplate: { spec: { template } } } }),
    )
  assert.deepEqual(problems('Europe/Berlin'), [])
  assert.deepEqual(problems('Europe/Atlantis'), [
    'spec.timeZone: Invalid value: "Europe/Atlantis": unknown time zone Europe/Atlantis',
  ])
  assert.deepEqual(problems('Local'), [
    'spec.timeZone: Invalid value: "Local": timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones',
  ])
})
