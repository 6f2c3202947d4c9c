/** What of all devices is given away already (pure). */
import { parseQuantity } from '../../../kube/quantity.ts'
import type { ResourceClaim } from '../../../kube/types.ts'
import { deviceId } from './pools.ts'

export type Allocation = NonNullable<NonNullable<ResourceClaim['status']>['allocation']>
export type AllocationResult = NonNullable<NonNullable<Allocation['devices']>['results']>[number]

export interface Allocated {
  /** Devices that nobody else can have, and those that are shared. */
  readonly devices: ReadonlySet<string>
  /** Of devices that are shared: what is taken of each capacity, in billionths. */
  readonly consumed: ReadonlyMap<string, ReadonlyMap<string, bigint>>
}

export const NOTHING_ALLOCATED: Allocated = { devices: new Set(), consumed: new Map() }

/** Those with admin access look on and take nothing. */
export function gatherAllocated(allocations: Iterable<Allocation>): Allocated {
  const devices = new Set<string>()
  const consumed = new Map<string, Map<string, bigint>>()
  for (const allocation of allocations) {
    for (const result of allocation.devices?.results ?? []) {
      if (result.adminAccess === true) continue
      const id = deviceId(result)
      devices.add(id)
      if (result.shareID === undefined) continue
      const sums = consumed.get(id) ?? new Map<string, bigint>()
      for (const [name, amount] of Object.entries(result.consumedCapacity ?? {}))
        sums.set(name, (sums.get(name) ?? 0n) + parseQuantity(amount).nano)
      consumed.set(id, sums)
    }
  }
  return { devices, consumed }
}
