/** What it takes to give a claim the room that it asks for (pure). */
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import { HOSTPATH_PROVISIONER, PROVISIONED_BY } from '../../../kube/volumes/claims.ts'
import { isLarger, requestedStorage } from '../../../kube/volumes/match.ts'

export type ExpandPlan =
  | { readonly kind: 'nothing' }
  /** Somebody else grows volumes of this sort. */
  | { readonly kind: 'external' }
  | {
      readonly kind: 'grow'
      /** Absent: the volume is large enough already. */
      readonly volume?: PersistentVolume
      readonly claim: PersistentVolumeClaim
    }

const RESIZING = ['Resizing', 'FileSystemResizePending']

/** A directory has the room of its disk: growing it is a matter of saying so on both sides. */
export function planExpand(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): ExpandPlan {
  const wanted = requestedStorage(claim)
  const { status } = claim
  const isTheirs = volume?.spec?.claimRef?.uid === claim.metadata.uid
  if (volume === undefined || status?.phase !== 'Bound' || !isTheirs) {
    return { kind: 'nothing' }
  }
  if (!isLarger(wanted, status.capacity?.['storage'] ?? '0')) return { kind: 'nothing' }
  if (volume.metadata.annotations?.[PROVISIONED_BY] !== HOSTPATH_PROVISIONER) return { kind: 'external' }
  const { spec } = volume
  const grown = { ...volume, spec: { ...spec, capacity: { ...spec?.capacity, storage: wanted } } }
  const conditions = (status.conditions ?? []).filter(({ type }) => !RESIZING.includes(type))
  const { conditions: _before, ...rest } = status
  const next = {
    ...rest,
    ...(conditions.length === 0 ? {} : { conditions }),
    capacity: { ...status.capacity, storage: wanted },
  }
  return {
    kind: 'grow',
    claim: { ...claim, status: next },
    ...(isLarger(wanted, spec?.capacity?.['storage'] ?? '0') ? { volume: grown } : {}),
  }
}
