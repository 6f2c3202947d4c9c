/** Which claims a pod's templates call for, and what becomes of claims that pods leave (pure). */
import {
  CLAIM_FINALIZER,
  canBeReserved,
  claimReferencesOf,
  isPodDone,
  isReservedFor,
  owningPodOf,
  POD_CLAIM_NAME,
} from '../../../kube/devices/pod-claims.ts'
import type { Pod, ResourceClaim, ResourceClaimTemplate } from '../../../kube/types.ts'
import { controllerReference } from '../shared/owners.ts'

/** A hyphen and five characters are put behind it. */
const BASE_LENGTH_MAX = 57

export interface PodClaimsPlan {
  /** Claims of the pod that have to be made from a template, by the pod's name of them. */
  readonly create: readonly { readonly podClaim: string; readonly template: string }[]
  /** Found, but the pod's status does not say so yet: from the pod's names to the claims'. */
  readonly found: ReadonlyMap<string, string>
  /** The pod has a node already, and nobody else reserves its claims for it. */
  readonly reserve: readonly ResourceClaim[]
}

const NOTHING: PodClaimsPlan = { create: [], found: new Map(), reserve: [] }

export function planPodClaims(
  pod: Pod,
  owned: readonly ResourceClaim[],
  claimOf: (name: string) => ResourceClaim | undefined,
): PodClaimsPlan {
  if (pod.metadata.deletionTimestamp !== undefined || isPodDone(pod)) return NOTHING
  const create: { podClaim: string; template: string }[] = []
  const found = new Map<string, string>()
  for (const { podClaim, name, isOwned } of claimReferencesOf(pod)) {
    if (!isOwned || name === null) continue
    if (typeof name === 'string' && owned.some(({ metadata }) => metadata.name === name)) continue
    const made = owned.find(({ metadata }) => metadata.annotations?.[POD_CLAIM_NAME] === podClaim)
    if (made !== undefined) found.set(podClaim, made.metadata.name ?? '')
    else create.push({ podClaim, template: templateOf(pod, podClaim) })
  }
  return { create, found, reserve: pod.spec?.nodeName ? toReserve(pod, claimOf) : [] }
}

const templateOf = (pod: Pod, podClaim: string): string =>
  pod.spec?.resourceClaims?.find(({ name }) => name === podClaim)?.resourceClaimTemplateName ?? ''

const toReserve = (
  pod: Pod,
  claimOf: (name: string) => ResourceClaim | undefined,
): readonly ResourceClaim[] =>
  claimReferencesOf(pod)
    .map(({ name }) => (typeof name === 'string' ? claimOf(name) : undefined))
    .filter(claim => claim !== undefined)
    .filter(claim => claim.status?.allocation && !isReservedFor(claim, pod) && canBeReserved(claim))

export function renderPodClaim(pod: Pod, podClaim: string, template: ResourceClaimTemplate): ResourceClaim {
  const { annotations = {}, labels } = template.spec?.metadata ?? {}
  return {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: {
      generateName: generatedBase(pod.metadata.name ?? '', podClaim),
      namespace: pod.metadata.namespace ?? '',
      ownerReferences: [controllerReference(pod)],
      annotations: { ...annotations, [POD_CLAIM_NAME]: podClaim },
      ...(labels === undefined ? {} : { labels }),
    },
    spec: { ...template.spec?.spec },
  }
}

/** Of names that are too long together each gives up in proportion. */
function generatedBase(pod: string, podClaim: string): string {
  const whole = `${pod}-${podClaim}-`
  if (whole.length <= BASE_LENGTH_MAX) return whole
  const cut = (text: string) => text.slice(0, Math.floor((text.length * BASE_LENGTH_MAX) / whole.length))
  return `${cut(pod)}-${cut(podClaim)}`
}

/** What the API server may know of a consumer that no cache shows. */
export type ConsumerState = 'runs' | 'done' | 'unknown'

export interface ClaimPlan {
  /** Reservations of pods that may be gone: to be asked about, and planned again. */
  readonly ask: readonly string[]
  /** The status as it is to be; absent: as it is. */
  readonly status?: ResourceClaim['status']
  /** The finalizer has no reason any more, once that is written. */
  readonly removesFinalizer: boolean
  /** It was made for a pod that will not need it. */
  readonly deletes: boolean
}

/** `stateOf` tells of a pod by name and uid; `owner` is the pod in the cache that has the name of the claim's owner. */
export function planClaim(
  claim: ResourceClaim,
  stateOf: (name: string, uid: string) => ConsumerState,
  owner: Pod | undefined,
): ClaimPlan {
  const reserved = claim.status?.reservedFor ?? []
  const states = reserved.map(({ resource, apiGroup, name, uid }) =>
    resource === 'pods' && !apiGroup ? stateOf(name, uid) : 'runs',
  )
  const ask = reserved.filter((_one, at) => states[at] === 'unknown').map(({ name }) => name)
  const valid = reserved.filter((_one, at) => states[at] !== 'done')
  const isFree = valid.length === 0
  const isProtected = (claim.metadata.finalizers ?? []).includes(CLAIM_FINALIZER)
  const isDeleted = claim.metadata.deletionTimestamp !== undefined
  const isLeft = valid.length < reserved.length
  const frees = isFree && isProtected && (isLeft || isDeleted)
  const { reservedFor: _reserved, allocation: _allocation, ...rest } = claim.status ?? {}
  const kept = claim.status?.allocation && !frees ? { allocation: claim.status.allocation } : {}
  const status = { ...rest, ...kept, ...(isFree ? {} : { reservedFor: valid }) }
  const changes = isLeft || (frees && claim.status?.allocation !== undefined)
  return {
    ask,
    ...(changes ? { status } : {}),
    removesFinalizer: frees,
    deletes: isFree && !isDeleted && isUnwanted(claim, owner),
  }
}

function isUnwanted(claim: ResourceClaim, pod: Pod | undefined): boolean {
  const owner = owningPodOf(claim)
  // The garbage collector sees to claims of pods that are gone.
  if (owner === null || pod === undefined) return false
  return pod.metadata.uid !== owner.uid || isPodDone(pod)
}

/** The statuses that a pod of these claims has; those it has already come first. */
export function claimStatuses(
  pod: Pod,
  found: ReadonlyMap<string, string>,
): { name: string; resourceClaimName?: string }[] {
  const known = (pod.status?.resourceClaimStatuses ?? []).filter(({ name }) => !found.has(name))
  return [...known, ...Array.from(found, ([name, resourceClaimName]) => ({ name, resourceClaimName }))]
}
