/** Whether a claim or a volume is still in use, and so kept although it is to be deleted (pure). */
import type { KubeObject } from '../../../kube/object.ts'
import type { PersistentVolume, Pod } from '../../../kube/types.ts'
import { claimsOf } from '../../../kube/volumes/claims.ts'

export const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection'
export const VOLUME_FINALIZER = 'kubernetes.io/pv-protection'

/** `add`: an object that was made without it; `remove`: it is to go and nobody uses it. */
export type ProtectionPlan = 'nothing' | 'add' | 'remove'

export function planProtection(object: KubeObject, finalizer: string, isUsed: boolean): ProtectionPlan {
  const has = (object.metadata.finalizers ?? []).includes(finalizer)
  if (object.metadata.deletionTimestamp === undefined) return has ? 'nothing' : 'add'
  return has && !isUsed ? 'remove' : 'nothing'
}

/** Pods that a kubelet knows count, even when they have come to their end. */
export const usesClaim = (pod: Pod, name: string): boolean =>
  Boolean(pod.spec?.nodeName) && claimsOf(pod).some(claim => claim.name === name)

export const isVolumeUsed = ({ status }: PersistentVolume): boolean => status?.phase === 'Bound'

export function withFinalizer<T extends KubeObject>(object: T, finalizer: string, has: boolean): T {
  const others = (object.metadata.finalizers ?? []).filter(each => each !== finalizer)
  const finalizers = has ? [...others, finalizer] : others
  return { ...object, metadata: { ...object.metadata, finalizers } }
}
