/** Slices: what a driver says of the devices in a pool. */
import type { FieldError } from '../../../../kube/field-error.ts'
import { invalid, required } from '../../../../kube/field-error.ts'
import { checkDns1123Subdomain } from '../../../../kube/names.ts'
import { formatTime } from '../../../../kube/time.ts'
import type { ResourceSlice } from '../../../../kube/types.ts'
import { ageColumn, column, nameColumn, since, tableOf } from '../columns.ts'
import { defineKind } from '../kind.ts'
import type { Strategy } from '../strategy.ts'
import { asKind } from '../support.ts'
import { checkEach, type Problems } from '../validation/meta.ts'
import { checkNodeSelector } from '../validation/scheduling.ts'
import { checkImmutable } from '../validation/workload.ts'
import { checkSet } from './lists.ts'
import { checkDriverName, checkLabelName, checkPoolName } from './names.ts'
import { checkCounters, checkSliceDevice, type SliceDevice } from './slice-devices.ts'

const DEVICES_MAX = 128
const ADVANCED_DEVICES_MAX = 64
const COUNTER_SETS_MAX = 8

type SliceSpec = NonNullable<ResourceSlice['spec']>

const devicesOf = (spec: SliceSpec): readonly SliceDevice[] => (spec.devices ?? []) as readonly SliceDevice[]

/** Taints get the time at which they are first seen. */
function stampTaints(slice: ResourceSlice, nowMs: number): void {
  for (const device of slice.spec?.devices ?? []) {
    for (const taint of device.taints ?? []) taint.timeAdded ??= formatTime(nowMs)
  }
}

function checkSlice(out: Problems, spec: SliceSpec): void {
  checkDriverName(out, 'spec.driver', spec.driver ?? '')
  checkPoolName(out, 'spec.pool.name', spec.pool?.name ?? '')
  const { resourceSliceCount = 0, generation = 0 } = spec.pool ?? {}
  if (resourceSliceCount <= 0) {
    out.push(invalid('spec.pool.resourceSliceCount', resourceSliceCount, 'must be greater than zero'))
  }
  if (generation < 0) {
    out.push(invalid('spec.pool.generation', generation, 'must be greater than or equal to zero'))
  }
  checkPlace(out, spec)
  if (spec.sharedCounters !== undefined && spec.devices !== undefined) {
    out.push(invalid('spec', '', 'only one of `sharedCounters` or `devices` is allowed'))
  }
  checkDevices(out, spec)
}

function checkDevices(out: Problems, spec: SliceSpec): void {
  const items = devicesOf(spec)
  const isAdvanced = items.some(
    device => (device.taints ?? []).length > 0 || (device.consumesCounters ?? []).length > 0,
  )
  const max = isAdvanced ? ADVANCED_DEVICES_MAX : DEVICES_MAX
  checkSet(out, 'spec.devices', { items, max, key: device => device.name }, (device, field) =>
    checkSliceDevice(out, field, device, spec.perDeviceNodeSelection === true),
  )
  const sets = { items: spec.sharedCounters, max: COUNTER_SETS_MAX, key: (set: { name: string }) => set.name }
  checkSet(out, 'spec.sharedCounters', sets, (set, field) => {
    if (!set.name) out.push(required(`${field}.name`))
    else checkLabelName(out, `${field}.name`, set.name)
    checkCounters(out, `${field}.counters`, set.counters)
  })
}

const PLACES = '`nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection`'

/** Exactly one way to say which nodes the devices are at. */
function checkPlace(out: Problems, spec: SliceSpec): void {
  const given: string[] = []
  const { nodeName, nodeSelector } = spec
  if (nodeName === '') {
    out.push(invalid('spec.nodeName', nodeName, 'must be either unset or set to a non-empty string'))
  } else if (nodeName !== undefined) {
    given.push('`nodeName`')
    checkEach(out, 'spec.nodeName', nodeName, checkDns1123Subdomain(nodeName))
  }
  if (nodeSelector) {
    given.push('`nodeSelector`')
    checkNodeSelector(out, 'spec.nodeSelector', nodeSelector)
    const terms = nodeSelector.nodeSelectorTerms ?? []
    if (terms.length !== 1) {
      const field = 'spec.nodeSelector.nodeSelectorTerms'
      out.push(invalid(field, terms, 'must have exactly one node selector term'))
    }
  }
  for (const name of ['allNodes', 'perDeviceNodeSelection'] as const) {
    if (spec[name] === true) given.push(`\`${name}\``)
    else if (spec[name] === false) {
      out.push(invalid(`spec.${name}`, false, 'must be either unset or set to true'))
    }
  }
  const detail = `exactly one of ${PLACES} is required`
  if (given.length === 0) out.push(required('spec', detail))
  else if (given.length > 1) {
    out.push(invalid('spec', `{${given.join(', ')}}`, `${detail}, but multiple fields are set`))
  }
}

export const resourceSlices: Strategy = defineKind({
  group: 'resource.k8s.io',
  resource: 'resourceslices',
  hasGeneration: true,
  prepareForCreate: (object, context) => stampTaints(asKind<ResourceSlice>(object), context.nowMs),
  prepareForUpdate: (next, _previous, context) => stampTaints(asKind<ResourceSlice>(next), context.nowMs),
  validate(object) {
    const { spec } = asKind<ResourceSlice>(object)
    if (!spec) return [required('spec')]
    const out: FieldError[] = []
    checkSlice(out, spec)
    return out
  },
  validateUpdate(next, previous) {
    const out: FieldError[] = []
    const after = asKind<ResourceSlice>(next).spec
    const before = asKind<ResourceSlice>(previous).spec
    checkImmutable(out, 'spec.pool.name', after?.pool?.name, before?.pool?.name)
    checkImmutable(out, 'spec.driver', after?.driver, before?.driver)
    checkImmutable(out, 'spec.nodeName', after?.nodeName, before?.nodeName)
    return out
  },
  selectableFields(object) {
    const { spec } = asKind<ResourceSlice>(object)
    return { 'spec.nodeName': spec?.nodeName ?? '', 'spec.driver': spec?.driver ?? '' }
  },
  table: tableOf<ResourceSlice>(
    [
      nameColumn,
      column('Node', 'Node that the devices are at'),
      column('Driver', 'Driver that tells of the devices'),
      column('Pool', 'Pool that the devices belong to'),
      ageColumn,
    ],
    ({ metadata, spec }, nowMs) => [
      metadata.name ?? '',
      spec?.nodeName ?? '<unset>',
      spec?.driver ?? '',
      spec?.pool?.name ?? '',
      since(metadata.creationTimestamp, nowMs),
    ],
  ),
})
