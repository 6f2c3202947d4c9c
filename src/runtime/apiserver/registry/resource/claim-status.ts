/** What a claim was given: who may write it when, and which devices it may tell of. */
import { forbidden, invalid, notSupported, required, tooMany } from '../../../../kube/field-error.ts'
import type { ResourceClaim } from '../../../../kube/types.ts'
import { semanticallyEqual } from '../support.ts'
import type { Problems } from '../validation/meta.ts'
import { checkNodeSelector } from '../validation/scheduling.ts'
import { checkImmutable } from '../validation/workload.ts'
import { checkReferences, requestNames } from './claim-rules.ts'
import {
  CONFIGS_MAX,
  checkBinding,
  checkConfiguration,
  checkDeviceTolerations,
  checkRaw,
} from './device-rules.ts'
import { checkItems, checkSet } from './lists.ts'
import {
  checkDriverName,
  checkLabelName,
  checkPoolName,
  checkRequestReference,
  checkShareId,
  type RequestNames,
} from './names.ts'

const CONSUMERS_MAX = 256
const RESULTS_MAX = 32
const CONDITIONS_MAX = 8

type Status = NonNullable<ResourceClaim['status']>
type Allocation = NonNullable<Status['allocation']>
type DeviceStatus = NonNullable<Status['devices']>[number]
type Result = NonNullable<NonNullable<Allocation['devices']>['results']>[number]

interface DeviceName {
  driver?: string
  pool?: string
  device?: string
  shareID?: string
}

/** `driver/pool/device`, and the share behind it. */
const idOf = ({ driver, pool, device, shareID }: DeviceName): string =>
  [driver, pool, device, ...(shareID === undefined ? [] : [shareID])].join('/')

const allocatedIds = (status: Status | undefined): ReadonlySet<string> =>
  new Set((status?.allocation?.devices?.results ?? []).map(idOf))

/** What drivers said of devices goes when the devices are given back. */
export function dropFreed(next: ResourceClaim, previous: ResourceClaim): void {
  const kept = allocatedIds(next.status)
  const freed = [...allocatedIds(previous.status)].filter(id => !kept.has(id))
  if (freed.length === 0 || !next.status?.devices) return
  const devices = next.status.devices.filter(device => !freed.includes(idOf(device)))
  if (devices.length > 0) next.status.devices = devices
  else delete next.status.devices
}

export function checkClaimStatus(out: Problems, next: ResourceClaim, previous: ResourceClaim): void {
  const status: Status = next.status ?? {}
  const before: Status = previous.status ?? {}
  const consumers = { items: status.reservedFor, max: CONSUMERS_MAX, key: consumerKey }
  checkSet(out, 'status.reservedFor', consumers, (consumer, path) => {
    for (const name of ['resource', 'name', 'uid'] as const) {
      if (!consumer[name]) out.push(required(`${path}.${name}`))
    }
  })
  const allocated = allocatedIds(status)
  const devices = { items: status.devices, max: Number.POSITIVE_INFINITY, key: idOf }
  checkSet(out, 'status.devices', devices, (device, path) =>
    checkDeviceStatus(out, path, { device, allocated }),
  )
  checkReserved(out, { status, before, isDeleted: next.metadata.deletionTimestamp !== undefined })
  if (before.allocation && status.allocation) {
    checkImmutable(out, 'status.allocation', status.allocation, before.allocation)
  } else if (status.allocation) {
    checkAllocation(out, status.allocation, requestNames(next.spec?.devices))
  }
}

const consumerKey = (consumer: { uid?: string }): string => consumer.uid ?? ''

function checkReserved(out: Problems, parts: { status: Status; before: Status; isDeleted: boolean }): void {
  const { status, before, isDeleted } = parts
  const reserved = status.reservedFor ?? []
  if (reserved.length === 0) return
  const field = 'status.reservedFor'
  if (!status.allocation) {
    out.push(forbidden(field, 'may not be specified when `allocated` is not set'))
    return
  }
  const isNew = (consumer: object) =>
    !(before.reservedFor ?? []).some(known => semanticallyEqual(known, consumer))
  if (isDeleted && reserved.some(isNew)) {
    const when = 'while `deallocationRequested` or `deletionTimestamp` are set'
    out.push(forbidden(field, `new entries may not be added ${when}`))
  }
}

function checkDeviceStatus(
  out: Problems,
  field: string,
  { device, allocated }: { device: DeviceStatus; allocated: ReadonlySet<string> },
): void {
  checkDevice(out, field, device)
  const id = idOf(device)
  if (!allocated.has(id)) out.push(invalid(field, id, 'must be an allocated device in the claim'))
  const conditions = device.conditions?.length ?? 0
  if (conditions > CONDITIONS_MAX) out.push(tooMany(`${field}.conditions`, conditions, CONDITIONS_MAX))
  if (device.data !== undefined) checkRaw(out, `${field}.data`, device.data)
}

function checkDevice(out: Problems, field: string, device: DeviceName): void {
  checkDriverName(out, `${field}.driver`, device.driver ?? '')
  checkPoolName(out, `${field}.pool`, device.pool ?? '')
  checkLabelName(out, `${field}.device`, device.device ?? '')
  if (device.shareID !== undefined) checkShareId(out, `${field}.shareID`, device.shareID)
}

function checkAllocation(out: Problems, allocation: Allocation, names: RequestNames): void {
  const field = 'status.allocation'
  const { results, config } = allocation.devices ?? {}
  checkItems(out, `${field}.devices.results`, { items: results, max: RESULTS_MAX }, (result, path) =>
    checkResult(out, path, result, names),
  )
  checkItems(out, `${field}.devices.config`, { items: config, max: 2 * CONFIGS_MAX }, (item, path) => {
    const sources = ['FromClaim', 'FromClass']
    if (!item.source) out.push(required(`${path}.source`))
    else if (!sources.includes(item.source)) out.push(notSupported(`${path}.source`, item.source, sources))
    checkReferences(out, `${path}.requests`, item.requests, names)
    checkConfiguration(out, path, item)
  })
  checkNodeSelector(out, `${field}.nodeSelector`, allocation.nodeSelector)
}

function checkResult(out: Problems, field: string, result: Result, names: RequestNames): void {
  checkRequestReference(out, `${field}.request`, result.request ?? '', names)
  checkDevice(out, field, result)
  checkBinding(out, field, result)
  checkDeviceTolerations(out, `${field}.tolerations`, result.tolerations)
}
