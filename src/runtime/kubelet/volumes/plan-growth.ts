/** What a claim says while its volume is made use of in its new size on the node (pure). */
import { parseQuantity } from '../../../kube/quantity.ts'
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import { isLarger } from '../../../kube/volumes/match.ts'

/** Conditions of a growth that is under way; the rest of the claim's conditions stay. */
const OF_GROWTH = ['Resizing', 'FileSystemResizePending', 'ControllerResizeError', 'NodeResizeError']
const STORAGE = 'storage'
const NANO = 1_000_000_000n

/** The size in bytes that the node has not made use of yet; null when there is nothing to do. */
export function growthOf(volume: PersistentVolume, claim: PersistentVolumeClaim): number | null {
  const size = volume.spec?.capacity?.[STORAGE] ?? '0'
  if (!isLarger(size, claim.status?.capacity?.[STORAGE] ?? '0')) return null
  // A claim that says nothing of its capacity is not bound yet.
  if (claim.status?.capacity?.[STORAGE] === undefined) return null
  // An expansion that cannot be done on this node is not tried again before somebody asks for another size.
  if (resizeStatus(claim) === 'NodeResizeInfeasible') return null
  return Number((parseQuantity(size).nano + NANO - 1n) / NANO)
}

const resizeStatus = ({ status }: PersistentVolumeClaim): string | undefined =>
  status?.allocatedResourceStatuses?.[STORAGE]

export const asGrowing = (claim: PersistentVolumeClaim): PersistentVolumeClaim =>
  withResizeStatus(claim, 'NodeResizeInProgress')

export function asGrown(claim: PersistentVolumeClaim, size: string): PersistentVolumeClaim {
  const next = withResizeStatus(withConditions(claim, []), undefined)
  return { ...next, status: { ...next.status, capacity: { ...next.status?.capacity, [STORAGE]: size } } }
}

export function asFailed(
  claim: PersistentVolumeClaim,
  why: { readonly message: string; readonly isInfeasible: boolean; readonly time: string },
): PersistentVolumeClaim {
  const { message, isInfeasible, time } = why
  const kept = (claim.status?.conditions ?? []).filter(({ type }) => type === 'FileSystemResizePending')
  const failed = { type: 'NodeResizeError', status: 'True', lastTransitionTime: time, message }
  const next = withConditions(claim, [...kept, failed])
  return isInfeasible ? withResizeStatus(next, 'NodeResizeInfeasible') : next
}

type Conditions = NonNullable<NonNullable<PersistentVolumeClaim['status']>['conditions']>

function withConditions(claim: PersistentVolumeClaim, ofGrowth: Conditions): PersistentVolumeClaim {
  const { conditions: before = [], ...rest } = claim.status ?? {}
  const conditions = [...before.filter(({ type }) => !OF_GROWTH.includes(type)), ...ofGrowth]
  return { ...claim, status: { ...rest, ...(conditions.length === 0 ? {} : { conditions }) } }
}

function withResizeStatus(claim: PersistentVolumeClaim, status: string | undefined): PersistentVolumeClaim {
  const { allocatedResourceStatuses: before, ...rest } = claim.status ?? {}
  const { [STORAGE]: _storage, ...others } = before ?? {}
  const next = { ...others, ...(status === undefined ? {} : { [STORAGE]: status }) }
  const statuses = Object.keys(next).length === 0 ? {} : { allocatedResourceStatuses: next }
  return { ...claim, status: { ...rest, ...statuses } }
}
