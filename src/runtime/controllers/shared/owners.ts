/** Owner references as controllers use them: who controls, which may be adopted, which are let go. */

import { selects } from '../../../kube/labels.ts'
import type { KubeObject, OwnerReference } from '../../../kube/object.ts'
import type { LabelSelector } from '../../../kube/types.ts'

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(owner => owner.controller === true)
}

/** A reference that makes `owner` the controller. */
export function controllerReference(owner: KubeObject): OwnerReference {
  return {
    apiVersion: owner.apiVersion,
    kind: owner.kind,
    name: owner.metadata.name ?? '',
    uid: owner.metadata.uid ?? '',
    controller: true,
    blockOwnerDeletion: true,
  }
}

export interface Claims<T> {
  /** Controlled by the owner and matching. */
  readonly mine: readonly T[]
  /** Matching and controlled by nobody. */
  readonly adopt: readonly T[]
  /** Controlled by the owner but matching no more. */
  readonly release: readonly T[]
}

/** Sorts candidates of the owner's namespace; what is being deleted is neither adopted nor released. */
export function planClaims<T extends KubeObject>(
  owner: KubeObject,
  selector: LabelSelector | undefined,
  candidates: readonly T[],
): Claims<T> {
  const mine: T[] = []
  const adopt: T[] = []
  const release: T[] = []
  const ownerIsDeleting = owner.metadata.deletionTimestamp !== undefined
  for (const candidate of candidates) {
    const controller = controllerOf(candidate)
    const matches = selects(selector, candidate.metadata.labels)
    const isDeleting = candidate.metadata.deletionTimestamp !== undefined
    if (controller?.uid === owner.metadata.uid) {
      if (matches) mine.push(candidate)
      else if (!ownerIsDeleting) release.push(candidate)
    } else if (controller === undefined && matches && !isDeleting && !ownerIsDeleting) {
      adopt.push(candidate)
    }
  }
  return { mine, adopt, release }
}

/** Strategic merge patch that adds the controller reference; refused when the object is another one by now. */
export function adoptPatch(owner: KubeObject, target: KubeObject, finalizers?: readonly string[]): object {
  return {
    metadata: {
      ownerReferences: [controllerReference(owner)],
      uid: target.metadata.uid,
      ...(finalizers === undefined ? {} : { finalizers }),
    },
  }
}

/** Strategic merge patch that removes the reference to the owner. */
export function releasePatch(ownerUid: string, target: KubeObject): object {
  return {
    metadata: { ownerReferences: [{ $patch: 'delete', uid: ownerUid }], uid: target.metadata.uid },
  }
}
