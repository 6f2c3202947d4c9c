/** Claims on volumes: which ones a pod uses, their classes, and the annotations that say how far binding has come. */
import type { PersistentVolume, PersistentVolumeClaim, Pod, StorageClass, Volume } from '../types.ts'

/** Controller and claim agree on the binding. */
export const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
/** Nobody but the controller asked for this binding, so it may take it back. */
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
export const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by'
/** The node that the first consumer of the claim is to run on. */
export const SELECTED_NODE = 'volume.kubernetes.io/selected-node'
export const STORAGE_PROVISIONER = 'volume.kubernetes.io/storage-provisioner'
export const BETA_STORAGE_PROVISIONER = 'volume.beta.kubernetes.io/storage-provisioner'
const BETA_CLASS = 'volume.beta.kubernetes.io/storage-class'
const DEFAULT_CLASS = [
  'storageclass.kubernetes.io/is-default-class',
  'storageclass.beta.kubernetes.io/is-default-class',
]

/** Volumes of these classes are made by hand. */
export const NO_PROVISIONER = 'kubernetes.io/no-provisioner'
/** Who makes the directories of `hostpath-storage`. */
export const HOSTPATH_PROVISIONER = 'mk8s.io/hostpath'
/** Where a node keeps the directories of its volumes, as its kubelet says. */
export const HOSTPATH_DIRECTORY = 'mk8s.io/hostpath-directory'

type Classed = Pick<PersistentVolume | PersistentVolumeClaim, 'metadata' | 'spec'>

/** Empty: without a class. */
export function classOf({ metadata, spec }: Classed): string {
  return metadata.annotations?.[BETA_CLASS] ?? spec?.storageClassName ?? ''
}

/** Nothing was said of a class, not even that there is to be none. */
export function hasNoClass({ metadata, spec }: PersistentVolumeClaim): boolean {
  return metadata.annotations?.[BETA_CLASS] === undefined && spec?.storageClassName === undefined
}

export const isDefaultClass = ({ metadata }: StorageClass): boolean =>
  DEFAULT_CLASS.some(mark => metadata.annotations?.[mark] === 'true')

/** Of several defaults the newest counts; of equally old ones the first by name. */
export function defaultClass(classes: readonly StorageClass[]): StorageClass | undefined {
  const created = (item: StorageClass) => Date.parse(item.metadata.creationTimestamp ?? '') || 0
  return classes
    .filter(isDefaultClass)
    .sort(
      (a, b) => created(b) - created(a) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1),
    )[0]
}

/** A claim that no pod uses gets its volume at once, whatever its class says: what runs in a node's daemon uses it. */
export const BIND_NOW = 'mk8s.io/bind-now'

export const bindsNow = ({ metadata }: PersistentVolumeClaim): boolean =>
  metadata.annotations?.[BIND_NOW] === 'true'

/** Its volumes are chosen once a pod that uses them has a node. */
export const waitsForConsumer = (found: StorageClass | undefined): boolean =>
  found?.volumeBindingMode === 'WaitForFirstConsumer'

/** Binding is over on both sides. */
export const isFullyBound = ({ metadata, spec }: PersistentVolumeClaim): boolean =>
  Boolean(spec?.volumeName) && metadata.annotations?.[BIND_COMPLETED] !== undefined

/** Whether the volume is meant for this very claim, or for whichever has its name. */
export function isBoundTo({ spec }: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const reference = spec?.claimRef
  if (!reference) return false
  const { name, namespace, uid } = claim.metadata
  if (reference.name !== name || reference.namespace !== namespace) return false
  return !reference.uid || reference.uid === uid
}

export interface UsedClaim {
  readonly volume: Volume
  readonly name: string
  readonly readOnly: boolean
  /** It is made for the pod, and goes with it. */
  readonly isEphemeral: boolean
}

/** The claim of a pod's volume, or null for volumes of another sort. */
export function claimOfVolume(pod: Pod, volume: Volume): UsedClaim | null {
  if (volume.persistentVolumeClaim) {
    const { claimName, readOnly = false } = volume.persistentVolumeClaim
    return { volume, name: claimName, readOnly, isEphemeral: false }
  }
  if (!volume.ephemeral) return null
  return { volume, name: ephemeralClaimName(pod, volume), readOnly: false, isEphemeral: true }
}

export const ephemeralClaimName = (pod: Pod, volume: Volume): string => `${pod.metadata.name}-${volume.name}`

export function claimsOf(pod: Pod): UsedClaim[] {
  return (pod.spec?.volumes ?? []).map(volume => claimOfVolume(pod, volume)).filter(each => each !== null)
}

/** The claim of an ephemeral volume must be this pod's, and not another one that has the name by chance. */
export function isOwnedBy(claim: PersistentVolumeClaim, pod: Pod): boolean {
  return (claim.metadata.ownerReferences ?? []).some(
    owner => owner.controller === true && owner.uid === pod.metadata.uid,
  )
}
