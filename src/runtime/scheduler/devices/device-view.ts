/** What the scheduler knows of devices and of claims on them, as the filter asks for it. */
import type { DeviceClass, ResourceClaim } from '../../../kube/types.ts'
import type { DeviceMatcher } from './allocate.ts'
import { type Allocated, NOTHING_ALLOCATED } from './allocated.ts'
import { NO_POOLS, type Pools } from './pools.ts'

export interface DeviceView {
  claim(namespace: string, name: string): ResourceClaim | undefined
  /** Devices were found for it, which its status does not say yet. */
  isPending(claim: ResourceClaim): boolean
  deviceClass(name: string): DeviceClass | undefined
  deviceClasses(): readonly DeviceClass[]
  pools(): Pools
  allocated(): Allocated
  readonly matches: DeviceMatcher
  /** A new name for a part of a shared device. */
  readonly shareId: () => string
}

/** Of a cluster without devices. */
export const NO_DEVICES: DeviceView = {
  claim: () => undefined,
  isPending: () => false,
  deviceClass: () => undefined,
  deviceClasses: () => [],
  pools: () => NO_POOLS,
  allocated: () => NOTHING_ALLOCATED,
  matches: () => false,
  shareId: () => '',
}
