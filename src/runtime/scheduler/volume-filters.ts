/** Whether a pod's volumes can be where a node is, and which ones its open claims would get there (pure). */

import { matchesTerm } from '../../client/node-affinity.ts'
import { selects } from '../../kube/labels.ts'
import type {
  Node,
  NodeSelectorTerm,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
} from '../../kube/types.ts'
import {
  claimsOf,
  classOf,
  HOSTPATH_DIRECTORY,
  HOSTPATH_PROVISIONER,
  isFullyBound,
  isOwnedBy,
  NO_PROVISIONER,
  SELECTED_NODE,
  waitsForConsumer,
} from '../../kube/volumes/claims.ts'
import { findVolume, isLarger, requestedStorage } from '../../kube/volumes/match.ts'
import type { NodeInfo } from './node-info.ts'
import type { VolumeView } from './volume-view.ts'

export const EXCLUSIVE_REASON =
  'node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode'
const NO_VOLUME_REASON = "node(s) didn't find available persistent volumes to bind"
const ROOM_REASON = 'node(s) did not have enough free storage'
const AFFINITY_REASON = 'node(s) had volume node affinity conflict'
const GONE_REASON = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)'
const ZONE_REASON = 'node(s) had no available volume zone'
export const LIMIT_REASON = 'node(s) exceed max volume count'

const ZONE_LABELS = [
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
]
const ZONES_SEPARATOR = '__'

export interface PodVolumes {
  readonly view: VolumeView
  readonly bound: readonly PersistentVolumeClaim[]
  /** Bound once the pod has a node, the smallest first. */
  readonly delayed: readonly PersistentVolumeClaim[]
  /** The uids of other pods that have a claim which only one pod may have. */
  readonly takers: readonly string[]
}

/** Why the pod can run nowhere as yet; null when its claims are no hindrance. */
export function findClaimProblem(pod: Pod, view: VolumeView): string | null {
  let isUnbound = false
  for (const { name, isEphemeral } of claimsOf(pod)) {
    const claim = view.claim(pod.metadata.namespace ?? '', name)
    if (claim === undefined) {
      return isEphemeral
        ? `waiting for ephemeral volume controller to create the persistentvolumeclaim "${name}"`
        : `persistentvolumeclaim "${name}" not found`
    }
    const volume = claim.spec?.volumeName
    if (claim.status?.phase === 'Lost') {
      return `persistentvolumeclaim "${name}" bound to non-existent persistentvolume "${volume}"`
    }
    if (claim.metadata.deletionTimestamp !== undefined)
      return `persistentvolumeclaim "${name}" is being deleted`
    if (isEphemeral && !isOwnedBy(claim, pod)) {
      const { namespace } = claim.metadata
      return `PVC "${namespace}/${name}" was not created for pod "${namespace}/${pod.metadata.name}" (pod is not owner)`
    }
    if (!isFullyBound(claim) && !isDelayed(claim, view)) isUnbound = true
  }
  return isUnbound ? 'pod has unbound immediate PersistentVolumeClaims' : null
}

const isDelayed = (claim: PersistentVolumeClaim, view: VolumeView): boolean =>
  !claim.spec?.volumeName && waitsForConsumer(view.storageClass(classOf(claim)))

/** Null for a pod without claims, which is most of them. */
export function prepareVolumes(pod: Pod, nodes: readonly NodeInfo[], view: VolumeView): PodVolumes | null {
  const claims = claimsOf(pod)
    .map(({ name }) => view.claim(pod.metadata.namespace ?? '', name))
    .filter(claim => claim !== undefined)
  if (claims.length === 0) return null
  const delayed = claims.filter(claim => !isFullyBound(claim))
  return {
    view,
    bound: claims.filter(isFullyBound),
    delayed: delayed.sort((a, b) => (isLarger(requestedStorage(a), requestedStorage(b)) ? 1 : -1)),
    takers: claims.filter(isExclusive).flatMap(claim => usersOf(claim, pod, nodes)),
  }
}

const isExclusive = ({ spec }: PersistentVolumeClaim): boolean =>
  spec?.accessModes?.includes('ReadWriteOncePod') === true

const usersOf = ({ metadata }: PersistentVolumeClaim, pod: Pod, nodes: readonly NodeInfo[]): string[] =>
  nodes
    .flatMap(node => node.pods())
    .filter(
      other =>
        other.metadata.uid !== pod.metadata.uid &&
        other.metadata.namespace === metadata.namespace &&
        claimsOf(other).some(({ name }) => name === metadata.name),
    )
    .map(other => other.metadata.uid ?? '')

export interface VolumeChoice {
  readonly bindings: readonly { readonly claim: PersistentVolumeClaim; readonly volume: PersistentVolume }[]
  /** Claims whose volumes are to be made on this node. */
  readonly provisions: readonly PersistentVolumeClaim[]
}

/** What the open claims get on this node, or the reasons why the pod cannot have its volumes there. */
export function chooseVolumes(volumes: PodVolumes, node: Node): VolumeChoice | readonly string[] {
  const reasons: string[] = []
  const bound = boundProblem(volumes, node)
  if (bound !== null) reasons.push(bound)
  const choice = chooseDelayed(volumes, node)
  if (typeof choice === 'string') reasons.push(choice)
  return typeof choice === 'string' || reasons.length > 0 ? reasons : choice
}

function boundProblem({ bound, view }: PodVolumes, node: Node): string | null {
  for (const claim of bound) {
    const volume = view.volume(claim.spec?.volumeName ?? '')
    if (volume === undefined) return GONE_REASON
    if (!isReachable(volume, node)) return AFFINITY_REASON
  }
  return null
}

export function isReachable({ spec }: PersistentVolume, node: Node): boolean {
  const required = spec?.nodeAffinity?.required
  return !required || required.nodeSelectorTerms.some(term => matchesTerm(term, node))
}

/** Or why there is none. */
function chooseDelayed({ delayed, view }: PodVolumes, node: Node): VolumeChoice | string {
  const bindings: { claim: PersistentVolumeClaim; volume: PersistentVolume }[] = []
  const provisions: PersistentVolumeClaim[] = []
  const chosen = new Set<string | undefined>()
  for (const claim of delayed) {
    const selected = claim.metadata.annotations?.[SELECTED_NODE]
    if (selected !== undefined && selected !== node.metadata.name) return NO_VOLUME_REASON
    const volume = findVolume(claim, view.volumes(), {
      isTaken: each => chosen.has(each.metadata.name) || view.isTaken(each, claim),
      isReachable: each => isReachable(each, node),
    })
    if (volume !== null) {
      chosen.add(volume.metadata.name)
      bindings.push({ claim, volume })
      continue
    }
    if (!canProvision(claim, node, view)) return NO_VOLUME_REASON
    if (!hasRoom(claim, node, view)) return ROOM_REASON
    provisions.push(claim)
  }
  return { bindings, provisions }
}

function canProvision(claim: PersistentVolumeClaim, node: Node, view: VolumeView): boolean {
  const found = view.storageClass(classOf(claim))
  if (found === undefined || found.provisioner === NO_PROVISIONER) return false
  if (found.provisioner === HOSTPATH_PROVISIONER && !node.metadata.annotations?.[HOSTPATH_DIRECTORY])
    return false
  const topologies = found.allowedTopologies ?? []
  return topologies.length === 0 || topologies.some(term => matchesTerm(asNodeTerm(term), node))
}

/** Drivers that say how much room they have where are held to it. */
function hasRoom(claim: PersistentVolumeClaim, node: Node, view: VolumeView): boolean {
  const found = view.storageClass(classOf(claim))
  if (view.csiDriver(found?.provisioner ?? '')?.spec.storageCapacity !== true) return true
  return view.capacities(classOf(claim)).some(({ nodeTopology, capacity, maximumVolumeSize }) => {
    const limit = maximumVolumeSize ?? capacity
    if (nodeTopology === undefined || limit === undefined) return false
    return !isLarger(requestedStorage(claim), limit) && selects(nodeTopology, node.metadata.labels)
  })
}

const asNodeTerm = (term: {
  readonly matchLabelExpressions?: readonly { readonly key: string; readonly values: readonly string[] }[]
}): NodeSelectorTerm => ({
  matchExpressions: (term.matchLabelExpressions ?? []).map(({ key, values }) => ({
    key,
    operator: 'In',
    values: [...values],
  })),
})

/** Volumes of a zone are of no use elsewhere; nodes that say nothing of zones may have any. */
export function zoneProblem({ bound, view }: PodVolumes, { metadata }: Node): string | null {
  const here = metadata.labels ?? {}
  if (!ZONE_LABELS.some(label => here[label] !== undefined)) return null
  for (const claim of bound) {
    const labels = view.volume(claim.spec?.volumeName ?? '')?.metadata.labels ?? {}
    for (const label of ZONE_LABELS) {
      const wanted = labels[label]?.split(ZONES_SEPARATOR)
      if (wanted !== undefined && !wanted.includes(here[label] ?? '')) return ZONE_REASON
    }
  }
  return null
}

/** Whether a driver would have more volumes on the node than it can attach there. */
export function exceedsLimits(volumes: PodVolumes, node: NodeInfo): boolean {
  const { view } = volumes
  const wanted = [...volumes.bound, ...volumes.delayed].map(claim => csiVolume(claim, view))
  const limits = new Map<string, number>()
  for (const { name, allocatable } of view.csiNode(node.name)?.spec.drivers ?? []) {
    const isWanted = wanted.some(each => each?.driver === name)
    if (isWanted && allocatable?.count !== undefined) limits.set(name, allocatable.count)
  }
  if (limits.size === 0) return false
  const present = node.pods().flatMap(pod =>
    claimsOf(pod).map(({ name }) => {
      const claim = view.claim(pod.metadata.namespace ?? '', name)
      return claim === undefined ? null : csiVolume(claim, view)
    }),
  )
  const countOf = (all: readonly (CsiVolume | null)[], driver: string) =>
    new Set(all.filter(each => each?.driver === driver).map(each => each?.id)).size
  return [...limits].some(([driver, limit]) => {
    const all = countOf([...present, ...wanted], driver)
    return all > limit && all > countOf(present, driver)
  })
}

interface CsiVolume {
  readonly driver: string
  readonly id: string
}

/** An open claim counts for the driver that is to make its volume. */
function csiVolume(claim: PersistentVolumeClaim, view: VolumeView): CsiVolume | null {
  const csi = view.volume(claim.spec?.volumeName ?? '')?.spec?.csi
  if (csi) return { driver: csi.driver, id: csi.volumeHandle }
  if (claim.spec?.volumeName) return null
  const driver = view.storageClass(classOf(claim))?.provisioner
  return driver === undefined ? null : { driver, id: claim.metadata.uid ?? '' }
}
