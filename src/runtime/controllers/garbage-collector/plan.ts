/** What becomes of an object by its owners: kept, let go by some of them, or deleted, and how. */
import type { KubeObject, OwnerReference } from '../../../kube/object.ts'

export const FOREGROUND = 'foregroundDeletion'
export const ORPHAN = 'orphan'

/** `waiting`: the owner is being deleted in the foreground and waits for its dependents. */
export type OwnerState = 'solid' | 'absent' | 'waiting'

export type GarbagePlan =
  | { readonly kind: 'nothing' }
  /** The references to these owners go, the object stays. */
  | { readonly kind: 'drop-owners'; readonly uids: readonly string[] }
  | {
      readonly kind: 'delete'
      readonly policy: 'Orphan' | 'Background' | 'Foreground'
      /** First make sure that no owner waits for this object, which would wait for its own dependents. */
      readonly unblock: boolean
    }

/** `dependentsWait`: one of the object's own dependents is itself being deleted in the foreground. */
export function planGarbage(
  object: KubeObject,
  owners: ReadonlyMap<string, OwnerState>,
  own: { readonly hasDependents: boolean; readonly dependentsWait: boolean },
): GarbagePlan {
  const references = object.metadata.ownerReferences ?? []
  if (references.length === 0 || object.metadata.deletionTimestamp !== undefined) return { kind: 'nothing' }
  const stateOf = (owner: OwnerReference) => owners.get(owner.uid) ?? 'solid'
  if (references.some(owner => stateOf(owner) === 'solid')) {
    const uids = references.filter(owner => stateOf(owner) !== 'solid').map(owner => owner.uid)
    return uids.length === 0 ? { kind: 'nothing' } : { kind: 'drop-owners', uids }
  }
  if (references.some(owner => stateOf(owner) === 'waiting') && own.hasDependents) {
    return { kind: 'delete', policy: 'Foreground', unblock: own.dependentsWait }
  }
  return { kind: 'delete', policy: policyOf(object), unblock: false }
}

function policyOf(object: KubeObject): 'Orphan' | 'Background' | 'Foreground' {
  const finalizers = object.metadata.finalizers ?? []
  if (finalizers.includes(ORPHAN)) return 'Orphan'
  return finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background'
}

const isDeletingWith = (object: KubeObject, finalizer: string): boolean =>
  object.metadata.deletionTimestamp !== undefined && (object.metadata.finalizers ?? []).includes(finalizer)

export const isWaitingForDependents = (object: KubeObject): boolean => isDeletingWith(object, FOREGROUND)

export const isOrphaning = (object: KubeObject): boolean => isDeletingWith(object, ORPHAN)

/** Dependents that must be gone before their owner goes. */
export function blockingDependents(uid: string, dependents: readonly KubeObject[]): KubeObject[] {
  return dependents.filter(dependent =>
    dependent.metadata.ownerReferences?.some(owner => owner.uid === uid && owner.blockOwnerDeletion === true),
  )
}
