/** Whether a pod's claims on devices can be met where a node is, and with what (pure). */
import { matchesTerm } from '../../../client/node-affinity.ts'
import {
  canBeReserved,
  claimNamesOf,
  claimReferencesOf,
  isReservedFor,
  notMadeYet,
  ownerProblem,
} from '../../../kube/devices/pod-claims.ts'
import type { Node, Pod, ResourceClaim } from '../../../kube/types.ts'
import { type AllocateOutcome, allocate, POD_STEPS_MAX, type SearchBudget } from './allocate.ts'
import type { Allocation } from './allocated.ts'
import type { DeviceView } from './device-view.ts'
import {
  classForResource,
  type ExtendedClaim,
  extendedClaimOf,
  extendedNamesOf,
} from './extended-resources.ts'
import { renderAllocation } from './render-allocation.ts'
import { type ClaimRequests, findMissingClass, readRequests } from './requests.ts'

const NOT_HERE = 'resourceclaim not available on the node'
const NONE_LEFT = 'cannot allocate all claims'
const TOO_LONG = 'timed out trying to allocate devices'

export interface PodDevices {
  readonly pod: Pod
  readonly view: DeviceView
  readonly claims: readonly ResourceClaim[]
  readonly open: readonly ClaimRequests[]
  /** Claims whose devices cannot be reached from some node. */
  readonly unreachable: Set<ResourceClaim>
  /** Which class stands for which extended resource that the pod asks for. */
  readonly extended: ReadonlyMap<string, string>
  /** What was found for the open claims, by node. */
  readonly found: Map<string, Found>
  readonly budget: SearchBudget
}

interface Found {
  readonly outcome: AllocateOutcome
  readonly asked: readonly ClaimRequests[]
  /** For the extended resources that the node itself does not have. */
  readonly extended: ExtendedClaim | null
}

export interface ClaimAllocation {
  readonly claim: ResourceClaim
  readonly allocation: Allocation
  /** The claim is yet to be made. */
  readonly extended?: ExtendedClaim
}

/** Why the pod is not even tried: its claims are not there. Null when they are. */
export function findMissingClaim(pod: Pod, view: DeviceView): string | null {
  for (const { name, isOwned } of claimReferencesOf(pod)) {
    if (name === null) continue
    if (name === undefined) return notMadeYet(pod)
    const claim = view.claim(pod.metadata.namespace ?? '', name)
    if (claim === undefined) return `resourceclaim.resource.k8s.io "${name}" not found`
    if (claim.metadata.deletionTimestamp !== undefined)
      return `resourceclaim ${JSON.stringify(name)} is being deleted`
    const problem = isOwned ? ownerProblem(claim, pod) : null
    if (problem !== null) return problem
  }
  return null
}

/** Why the pod can run nowhere as yet; null when its claims are no hindrance. */
export function findDeviceProblem(pod: Pod, view: DeviceView): string | null {
  const missing = findMissingClaim(pod, view)
  if (missing !== null) return missing
  for (const claim of claimsOf(pod, view)) {
    if (claim.status?.allocation) {
      if (!isReservedFor(claim, pod) && !canBeReserved(claim)) return 'resourceclaim in use'
      continue
    }
    const { namespace, name } = claim.metadata
    if (view.isPending(claim))
      return `resource claim ${namespace}/${name} is in the process of being allocated`
    const problem = findMissingClass(claim, each => view.deviceClass(each))
    if (problem !== null) return problem
  }
  return null
}

const claimsOf = (pod: Pod, view: DeviceView): ResourceClaim[] =>
  claimNamesOf(pod)
    .map(name => view.claim(pod.metadata.namespace ?? '', name))
    .filter(claim => claim !== undefined)

/** Null for a pod without claims, which is most of them. */
export function prepareDevices(pod: Pod, view: DeviceView): PodDevices | null {
  const claims = claimsOf(pod, view)
  const extended = extendedOf(pod, view)
  if (claims.length === 0 && extended.size === 0) return null
  const open = claims
    .filter(({ status }) => !status?.allocation)
    .map(claim => readRequests(claim, name => view.deviceClass(name)))
  const budget = { left: POD_STEPS_MAX }
  return { pod, view, claims, open, extended, unreachable: new Set(), found: new Map(), budget }
}

function extendedOf(pod: Pod, view: DeviceView): ReadonlyMap<string, string> {
  const names = extendedNamesOf(pod)
  // It has its claim already.
  if (names.length === 0 || pod.status?.extendedResourceClaimStatus !== undefined) return new Map()
  const classes = view.deviceClasses()
  const pairs = names.map(name => [name, classForResource(name, classes)] as const)
  return new Map(pairs.filter(pair => pair[1] !== undefined) as [string, string][])
}

/** Whether devices stand for the resource on this node, which does not have it otherwise. */
export const isByDevices = (devices: PodDevices | null, name: string, onNode: number | undefined): boolean =>
  devices !== null && !onNode && (devices.extended.has(name) || hasClaimFor(devices.pod, name))

const hasClaimFor = ({ status }: Pod, name: string): boolean =>
  status?.extendedResourceClaimStatus?.requestMappings.some(({ resourceName }) => resourceName === name) ===
  true

/** Why the claims cannot be met on this node; null when they can. Throws AllocationError. */
export function deviceObjection(devices: PodDevices, node: Node): string | null {
  const away = devices.claims.filter(claim => !isReachable(claim, node))
  for (const claim of away) devices.unreachable.add(claim)
  if (away.length > 0) return NOT_HERE
  if (devices.open.length === 0 && devices.extended.size === 0) return null
  const { outcome } = findDevices(devices, node)
  if (outcome === 'none') return NONE_LEFT
  return outcome === 'too-long' ? TOO_LONG : null
}

function isReachable({ status }: ResourceClaim, node: Node): boolean {
  const terms = status?.allocation?.nodeSelector?.nodeSelectorTerms
  return terms === undefined || terms.some(term => matchesTerm(term, node))
}

function findDevices(devices: PodDevices, node: Node): Found {
  const { pod, view, open, extended: classes, found, budget } = devices
  const name = node.metadata.name ?? ''
  const known = found.get(name)
  if (known !== undefined) return known
  const here = node.status?.allocatable ?? {}
  const wanted = [...classes].filter(([resource]) => Number(here[resource] ?? 0) === 0)
  const extended = wanted.length === 0 ? null : extendedClaimOf(pod, new Map(wanted))
  const more = extended === null ? [] : [readRequests(extended.claim, each => view.deviceClass(each))]
  const asked = [...open, ...more]
  const { matches } = view
  const pools = view.pools()
  const outcome = allocate({ claims: asked, node, pools, allocated: view.allocated(), matches, budget })
  const result = { outcome, asked, extended }
  found.set(name, result)
  return result
}

/** What each open claim gets on the node that was chosen; none where the filter did not let it through. */
export function allocationsAt({ found, view }: PodDevices, node: string): readonly ClaimAllocation[] {
  const { outcome, asked = [], extended = null } = found.get(node) ?? {}
  if (typeof outcome !== 'object') return []
  return asked.map(requests => ({
    claim: requests.claim,
    allocation: renderAllocation(
      requests.claim,
      outcome.filter(({ claim }) => claim === requests),
      { node, shareId: view.shareId },
    ),
    ...(extended?.claim === requests.claim ? { extended } : {}),
  }))
}

/** A claim that nobody else uses and that may be allocated elsewhere; null when there is none. */
export const claimToFree = ({ unreachable }: PodDevices, pod: Pod): ResourceClaim | null =>
  [...unreachable].find(({ status }) => {
    const [first, ...others] = status?.reservedFor ?? []
    return others.length === 0 && (first === undefined || first.uid === pod.metadata.uid)
  }) ?? null
