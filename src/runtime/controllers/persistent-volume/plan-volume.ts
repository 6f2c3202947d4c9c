/** What becomes of one persistent volume (pure): its phase follows the claim that it is for. */
import type { PersistentVolume, PersistentVolumeClaim } from '../../../kube/types.ts'
import { BOUND_BY_CONTROLLER, PROVISIONED_BY } from '../../../kube/volumes/claims.ts'
import type { Said } from './plan-claim.ts'

export type VolumePhase = 'Available' | 'Bound' | 'Released' | 'Failed'

export type VolumePlan =
  | {
      readonly kind: 'phase'
      readonly phase: VolumePhase
      readonly message?: string
      readonly event?: Said
    }
  /** The claim went to another volume; this one is free again. */
  | { readonly kind: 'unbind' }
  /** The claim is there and not bound: it is to look at this volume. */
  | { readonly kind: 'ask-claim'; readonly event?: Said }

/** `claim`: what the volume's reference names, with the very uid; null when there is no such claim. */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | null): VolumePlan {
  const reference = volume.spec?.claimRef
  if (!reference?.uid) return { kind: 'phase', phase: 'Available' }
  if (claim === null) return planReleased(volume)
  const chosen = claim.spec?.volumeName
  if (chosen === volume.metadata.name) return { kind: 'phase', phase: 'Bound' }
  if (!chosen) return { kind: 'ask-claim', ...modeMismatch(volume, claim) }
  if (isProvisioned(volume) && volume.spec?.persistentVolumeReclaimPolicy === 'Delete') {
    return planReleased(volume)
  }
  return { kind: 'unbind' }
}

const isProvisioned = ({ metadata }: PersistentVolume): boolean =>
  metadata.annotations?.[PROVISIONED_BY] !== undefined

function modeMismatch(volume: PersistentVolume, claim: PersistentVolumeClaim): { event?: Said } {
  const offered = volume.spec?.volumeMode ?? 'Filesystem'
  if (offered === (claim.spec?.volumeMode ?? 'Filesystem')) return {}
  const name = volume.metadata.name
  const message = `Cannot bind PersistentVolume "${name}" to requested PersistentVolumeClaim "${claim.metadata.name}" due to incompatible volumeMode.`
  return { event: { type: 'Warning', reason: 'VolumeMismatch', message } }
}

/** What was provisioned is reclaimed by whoever provisioned it; of the rest, nobody here can delete or wipe any. */
function planReleased(volume: PersistentVolume): VolumePlan {
  const policy = volume.spec?.persistentVolumeReclaimPolicy
  if (policy === 'Recycle') {
    return failed('VolumeFailedRecycle', 'No recycler plugin found for the volume!')
  }
  if (policy !== 'Delete' || isProvisioned(volume)) return { kind: 'phase', phase: 'Released' }
  const name = volume.metadata.name
  const why = `error getting deleter volume plugin for volume "${name}": no deletable volume plugin matched`
  return failed('VolumeFailedDelete', why)
}

const failed = (reason: string, message: string): VolumePlan => ({
  kind: 'phase',
  phase: 'Failed',
  message,
  event: { type: 'Warning', reason, message },
})

/** Without the claim, or with its name only when the user wrote that down. */
export function unbound(volume: PersistentVolume): PersistentVolume {
  const { claimRef, ...rest } = volume.spec ?? {}
  const { [BOUND_BY_CONTROLLER]: mark, ...annotations } = volume.metadata.annotations ?? {}
  if (mark !== undefined) return { ...volume, metadata: { ...volume.metadata, annotations }, spec: rest }
  const { uid: _uid, resourceVersion: _version, ...named } = claimRef ?? {}
  return { ...volume, spec: { ...rest, claimRef: named } }
}
