/** Claims on devices as pods refer to them: which claim is whose, and who may use it. */
import type { Pod, ResourceClaim } from '../types.ts'

/** Which of a pod's claims this one was made for. */
export const POD_CLAIM_NAME = 'resource.kubernetes.io/pod-claim-name'
/** Keeps a claim while devices are allocated to it. */
export const CLAIM_FINALIZER = 'resource.kubernetes.io/delete-protection'
const CONSUMERS_MAX = 256

type PodClaim = NonNullable<NonNullable<Pod['spec']>['resourceClaims']>[number]

export interface ClaimReference {
  /** What the pod calls it. */
  readonly podClaim: string
  /** Null: it turned out that none is needed. Undefined: it has not been made yet. */
  readonly name: string | null | undefined
  /** It was made for this pod, which has to be its owner. */
  readonly isOwned: boolean
}

export const claimReferencesOf = (pod: Pod): ClaimReference[] =>
  (pod.spec?.resourceClaims ?? []).map(claim => referenceOf(pod, claim))

function referenceOf({ status }: Pod, { name: podClaim, resourceClaimName }: PodClaim): ClaimReference {
  if (resourceClaimName !== undefined) return { podClaim, name: resourceClaimName, isOwned: false }
  const known = status?.resourceClaimStatuses?.find(({ name }) => name === podClaim)
  return {
    podClaim,
    name: known === undefined ? undefined : (known.resourceClaimName ?? null),
    isOwned: true,
  }
}

/** Names of the claims that there are, that of its extended resources among them. */
export function claimNamesOf(pod: Pod): string[] {
  const extended = pod.status?.extendedResourceClaimStatus?.resourceClaimName
  const names = claimReferencesOf(pod).map(({ name }) => name)
  return [...new Set([...names, extended].filter(name => typeof name === 'string'))]
}

export const notMadeYet = ({ metadata }: Pod): string =>
  `pod "${metadata.namespace}/${metadata.name}": ResourceClaim not created yet`

export function owningPodOf({ metadata }: ResourceClaim): { name: string; uid: string } | null {
  const owner = metadata.ownerReferences?.find(
    ({ controller, apiVersion, kind }) => controller === true && apiVersion === 'v1' && kind === 'Pod',
  )
  return owner === undefined ? null : { name: owner.name, uid: owner.uid }
}

/** Why a claim that was made from a template is not this pod's; null when it is. */
export function ownerProblem(claim: ResourceClaim, pod: Pod): string | null {
  if (owningPodOf(claim)?.uid === pod.metadata.uid) return null
  const { namespace, name } = claim.metadata
  const podName = `${pod.metadata.namespace}/${pod.metadata.name}`
  return `ResourceClaim ${namespace}/${name} was not created for pod ${podName} (pod is not owner)`
}

type Consumer = NonNullable<NonNullable<ResourceClaim['status']>['reservedFor']>[number]

export const isReservedFor = ({ status }: ResourceClaim, pod: Pod): boolean =>
  (status?.reservedFor ?? []).some(({ uid }) => uid === pod.metadata.uid)

export const canBeReserved = ({ status }: ResourceClaim): boolean =>
  (status?.reservedFor ?? []).length < CONSUMERS_MAX

/** The claim with the pod as one more consumer. */
export function reservedFor(claim: ResourceClaim, pod: Pod): ResourceClaim {
  const { name = '', uid = '' } = pod.metadata
  const consumers: Consumer[] = [...(claim.status?.reservedFor ?? []), { resource: 'pods', name, uid }]
  return { ...claim, status: { ...claim.status, reservedFor: consumers } }
}

/** None of its containers runs, and none ever will. */
export function isPodDone({ metadata, spec, status }: Pod): boolean {
  if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return true
  return metadata.deletionTimestamp !== undefined && !spec?.nodeName
}
