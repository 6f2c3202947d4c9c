/** The claims of a stateful set's pods: which there should be, and who owns them as the retention policy says. */
import type { OwnerReference } from '../../../kube/object.ts'
import type { PersistentVolumeClaim, Pod, StatefulSet } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'
import { claimName, isInRange, podName } from './identity.ts'

/** The claims of the set's namespace by name. */
export type Claims = ReadonlyMap<string, PersistentVolumeClaim>

/** The claims of an ordinal, whether they exist or not. */
export function renderClaims(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec?.volumeClaimTemplates ?? []).map(template => {
    const { labels, annotations } = template.metadata ?? {}
    return {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: {
        name: claimName(set, template.metadata?.name ?? '', ordinal),
        namespace: set.metadata.namespace ?? '',
        labels: { ...labels, ...set.spec?.selector.matchLabels },
        ...(annotations === undefined ? {} : { annotations }),
      },
      ...(template.spec === undefined ? {} : { spec: template.spec }),
    }
  })
}

export const missingClaims = (set: StatefulSet, ordinal: number, claims: Claims): PersistentVolumeClaim[] =>
  renderClaims(set, ordinal).filter(claim => !claims.has(claim.metadata.name ?? ''))

export const existingClaims = (set: StatefulSet, ordinal: number, claims: Claims): PersistentVolumeClaim[] =>
  renderClaims(set, ordinal).flatMap(claim => claims.get(claim.metadata.name ?? '') ?? [])

/**
 * A claim that goes, itself or with a pod that is gone: a pod of the same name has to wait until the claim is gone,
 * too, or it would lose its volume.
 */
export function isStale(set: StatefulSet, ordinal: number, claims: Claims): boolean {
  const name = podName(set, ordinal)
  const followsPods = policyOf(set).whenScaled === 'Delete'
  return existingClaims(set, ordinal, claims).some(
    ({ metadata }) =>
      metadata.deletionTimestamp !== undefined ||
      (followsPods && metadata.ownerReferences?.some(owner => owner.kind === 'Pod' && owner.name === name)),
  )
}

export type ClaimChange =
  | { readonly kind: 'owners'; readonly claim: PersistentVolumeClaim }
  /** Somebody else manages it. */
  | { readonly kind: 'conflict'; readonly claim: PersistentVolumeClaim }

/** What has to change so that the claims of this pod go when the policy says so. */
export function planClaimOwners(
  set: StatefulSet,
  pod: Pod,
  options: { readonly ordinal: number; readonly claims: Claims },
): ClaimChange[] {
  return existingClaims(set, options.ordinal, options.claims).flatMap((claim): ClaimChange[] => {
    if (hasOtherController(set, pod, claim)) return [{ kind: 'conflict', claim }]
    const owners = claim.metadata.ownerReferences ?? []
    const next = ownersByPolicy(set, pod, { owners, isCondemned: !isInRange(set, options.ordinal) })
    const isSame =
      next.length === owners.length && next.every((owner, index) => sameOwner(owner, owners[index]))
    if (isSame) return []
    const metadata = { ...claim.metadata, ownerReferences: next }
    return [{ kind: 'owners', claim: { ...claim, metadata } }]
  })
}

function policyOf(set: StatefulSet): { readonly whenDeleted: string; readonly whenScaled: string } {
  const policy = set.spec?.persistentVolumeClaimRetentionPolicy
  return { whenDeleted: policy?.whenDeleted ?? 'Retain', whenScaled: policy?.whenScaled ?? 'Retain' }
}

/** The set owns what goes with it, a pod that is scaled away what goes with that. */
function ownersByPolicy(
  set: StatefulSet,
  pod: Pod,
  state: { readonly owners: readonly OwnerReference[]; readonly isCondemned: boolean },
): OwnerReference[] {
  const policy = policyOf(set)
  const goesWithPod = policy.whenScaled === 'Delete' && state.isCondemned
  const goesWithSet = policy.whenDeleted === 'Delete' && !goesWithPod
  const wanted = [
    ...(goesWithSet ? [controllerReference(set)] : []),
    ...(goesWithPod ? [controllerReference(pod)] : []),
  ]
  const kept = state.owners.filter(owner => owner.uid !== set.metadata.uid && owner.uid !== pod.metadata.uid)
  return [...kept, ...wanted]
}

/** An owner of the same name but another uid counts as somebody else: a set or pod of former times. */
function hasOtherController(set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim): boolean {
  const policy = policyOf(set)
  if (policy.whenDeleted === 'Retain' && policy.whenScaled === 'Retain') return false
  return (claim.metadata.ownerReferences ?? []).some(owner => {
    const known = [set, pod].find(one => owner.kind === one.kind && owner.name === one.metadata.name)
    return known === undefined ? owner.controller === true : owner.uid !== known.metadata.uid
  })
}

const sameOwner = (a: OwnerReference, b: OwnerReference | undefined): boolean =>
  a.uid === b?.uid && a.controller === b.controller && a.blockOwnerDeletion === b.blockOwnerDeletion
