/** Why a pod cannot run on a node, in upstream's words; one filter after the other, the first that objects counts. */

import { matchesNodeSelection, matchesTerm, NOT_SELECTED } from '../../client/node-affinity.ts'
import { tolerates } from '../../client/taints.ts'
import { featuresFor, missingFeatures } from '../../kube/declared-features.ts'
import { type HostPort, hostPortsOf, NO_FREE_PORTS, portsClash } from '../../kube/host-ports.ts'
import { shortagesOf } from '../../kube/node-room.ts'
import { type Amounts, podRequests } from '../../kube/pod-requests.ts'
import type { Node, Pod, Taint } from '../../kube/types.ts'
import { AllocationError } from './devices/allocate.ts'
import { deviceObjection, isByDevices, type PodDevices, prepareDevices } from './devices/device-filters.ts'
import type { NodeInfo } from './node-info.ts'
import {
  type AffinityProblem,
  type AffinityState,
  changeAffinity,
  copyAffinity,
  findAffinityProblem,
  prepareAffinity,
} from './pod-affinity.ts'
import type { AddedAffinity, Plugin, Profile } from './profile.ts'
import {
  changeSpread,
  copySpread,
  findSpreadProblem,
  prepareSpread,
  type SpreadState,
} from './topology-spread.ts'
import {
  chooseVolumes,
  EXCLUSIVE_REASON,
  exceedsLimits,
  LIMIT_REASON,
  type PodVolumes,
  prepareVolumes,
  zoneProblem,
} from './volume-filters.ts'
import type { World } from './world.ts'

interface Objection {
  readonly reasons: readonly string[]
  /** False: no pod's leaving would help. */
  readonly resolvable: boolean
  /** Something is wrong, which is not the node's fault: the pod is not placed at all. */
  readonly isError?: boolean
}

export interface Rejection extends Objection {
  /** Null: an extender, of whom nobody knows what it cares for. */
  readonly plugin: Plugin | null
}

export interface FilterInput {
  readonly pod: Pod
  /** Those of the profile, and those of them that can object to this pod at all. */
  readonly chosen: readonly NamedFilter[]
  readonly filters: readonly NamedFilter[]
  readonly requests: Amounts
  readonly hostPorts: readonly HostPort[]
  /** What the profile asks of nodes for every pod. */
  readonly enforced: AddedAffinity | null
  readonly affinity: AffinityState
  readonly spread: SpreadState
  /** Null without claims. */
  readonly volumes: PodVolumes | null
  /** Null without claims on devices. */
  readonly devices: PodDevices | null
}

type Filter = (input: FilterInput, node: NodeInfo) => Objection | null

const final = (reason: string): Objection => ({ reasons: [reason], resolvable: false })

export function prepareFilters(pod: Pod, nodes: readonly NodeInfo[], world: World): FilterInput {
  const facts = {
    pod,
    requests: withoutIgnored(podRequests(pod), world.profile),
    hostPorts: hostPortsOf(pod),
    enforced: world.profile.addedAffinity,
    affinity: prepareAffinity(pod, nodes, world.namespaces),
    spread: prepareSpread(pod, nodes, world),
    volumes: prepareVolumes(pod, nodes, world.volumes),
    devices: prepareDevices(pod, world.devices),
  }
  const { filters } = world.profile
  const chosen = filters === null ? FILTERS : FILTERS.filter(({ plugin }) => filters.has(plugin))
  return { ...facts, chosen, filters: chosen.filter(({ concerns }) => concerns?.(facts) ?? true) }
}

function withoutIgnored(requests: Amounts, { ignoredResources, ignoredGroups }: Profile): Amounts {
  if (ignoredResources.size === 0 && ignoredGroups.size === 0) return requests
  const isIgnored = (name: string): boolean =>
    ignoredResources.has(name) || (name.includes('/') && ignoredGroups.has(name.slice(0, name.indexOf('/'))))
  return new Map([...requests].filter(([name]) => !isIgnored(name)))
}

/** A node, and what is known of all of them, that can be thought otherwise. */
export class Thought {
  readonly node: NodeInfo
  readonly #input: FilterInput
  readonly #away = new Set<string>()

  constructor(input: FilterInput, node: NodeInfo) {
    this.node = node.copy()
    const affinity = copyAffinity(input.affinity)
    // Those that come may object where nobody did.
    this.#input = { ...input, filters: input.chosen, affinity, spread: copySpread(input.spread) }
  }

  add(pod: Pod): void {
    this.node.add(pod)
    this.#away.delete(pod.metadata.uid ?? '')
    this.#change(pod, 1)
  }

  remove(pod: Pod): void {
    this.node.remove(pod.metadata.uid ?? '')
    this.#away.add(pod.metadata.uid ?? '')
    this.#change(pod, -1)
  }

  filter(): Rejection | null {
    const { volumes } = this.#input
    if (volumes === null || volumes.takers.length === 0) return filterNode(this.#input, this.node)
    const takers = volumes.takers.filter(uid => !this.#away.has(uid))
    return filterNode({ ...this.#input, volumes: { ...volumes, takers } }, this.node)
  }

  #change(pod: Pod, sign: 1 | -1): void {
    changeAffinity(this.#input.affinity, this.node.node, pod, sign)
    changeSpread(this.#input.spread, this.node.node, pod, sign)
  }
}

/** Null when the pod fits. */
export function filterNode(input: FilterInput, node: NodeInfo): Rejection | null {
  for (const { plugin, filter } of input.filters) {
    const objection = filter(input, node)
    if (objection !== null) return { ...objection, plugin }
  }
  return null
}

/** Whether the node itself, whoever is on it, would do. */
export const suitsAlone = (pod: Pod, node: Node): boolean =>
  STATIC_FILTERS.every(filter => filter({ pod }, node) === null)

type StaticFilter = (input: Pick<FilterInput, 'pod'>, node: Node) => Objection | null

const UNSCHEDULABLE_TAINT: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

const isSchedulable: StaticFilter = ({ pod }, node) => {
  if (node.spec?.unschedulable !== true) return null
  const tolerated = (pod.spec?.tolerations ?? []).some(each => tolerates(each, UNSCHEDULABLE_TAINT))
  return tolerated ? null : final('node(s) were unschedulable')
}

const hasName: StaticFilter = ({ pod }, node) =>
  !pod.spec?.nodeName || pod.spec.nodeName === node.metadata.name
    ? null
    : final("node(s) didn't match the requested node name")

const toleratesTaints: StaticFilter = ({ pod }, node) => {
  if (node.spec?.taints === undefined) return null
  const tolerations = pod.spec?.tolerations ?? []
  const isRepelled = node.spec.taints.some(
    each => each.effect !== 'PreferNoSchedule' && !tolerations.some(one => tolerates(one, each)),
  )
  return isRepelled ? final('node(s) had untolerated taint(s)') : null
}

const isSelected: StaticFilter = ({ pod }, node) =>
  matchesNodeSelection(pod, node) ? null : final(NOT_SELECTED)

const isSelectedByBoth: Filter = (input, { node }) => {
  const required = input.enforced?.requiredDuringSchedulingIgnoredDuringExecution
  if (required !== undefined && !required.nodeSelectorTerms.some(term => matchesTerm(term, node)))
    return final("node(s) didn't match scheduler-enforced node affinity")
  return isSelected(input, node)
}

const hasFreePorts: Filter = ({ hostPorts }, node) => {
  if (hostPorts.length === 0) return null
  return portsClash(hostPorts, node.hostPorts()) ? { reasons: [NO_FREE_PORTS], resolvable: true } : null
}

const hasResources: Filter = ({ requests, devices }, node) => {
  let isEnough = node.podCount + 1 <= node.podsMax
  for (const [name, amount] of requests) {
    const free = (node.allocatable.get(name) ?? 0) - node.requested(name)
    if (amount > free && amount !== 0 && !isByDevices(devices, name, node.allocatable.get(name)))
      isEnough = false
  }
  if (isEnough) return null
  const own = [...requests].filter(([name]) => !isByDevices(devices, name, node.allocatable.get(name)))
  return findMissing(new Map(own), node)
}

function findMissing(requests: Amounts, node: NodeInfo): Objection | null {
  const shortages = shortagesOf(requests, node)
  if (shortages.length === 0) return null
  const reasons = shortages.map(({ resource }) =>
    resource === 'pods' ? 'Too many pods' : `Insufficient ${resource}`,
  )
  return { reasons, resolvable: shortages.every(({ requested, capacity }) => requested <= capacity) }
}

const isSpread: Filter = ({ spread }, { node }) => {
  const problem = findSpreadProblem(spread, node)
  if (problem === null) return null
  const reason = "node(s) didn't match pod topology spread constraints"
  return problem === 'skew'
    ? { reasons: [reason], resolvable: true }
    : final(`${reason} (missing required label)`)
}

const AFFINITY_REASONS: Readonly<Record<AffinityProblem, string>> = {
  affinity: "node(s) didn't match pod affinity rules",
  'anti-affinity': "node(s) didn't match pod anti-affinity rules",
  'existing-anti-affinity': "node(s) didn't satisfy existing pods anti-affinity rules",
}

const suitsOtherPods: Filter = ({ affinity }, { node }) => {
  const problem = findAffinityProblem(affinity, node)
  if (problem === null) return null
  return { reasons: [AFFINITY_REASONS[problem]], resolvable: problem !== 'affinity' }
}

const mayShareClaims: Filter = ({ volumes }) =>
  volumes !== null && volumes.takers.length > 0 ? { reasons: [EXCLUSIVE_REASON], resolvable: true } : null

const hasRoomForVolumes: Filter = ({ volumes }, node) =>
  volumes !== null && exceedsLimits(volumes, node) ? { reasons: [LIMIT_REASON], resolvable: true } : null

const reachesVolumes: Filter = ({ volumes }, { node }) => {
  if (volumes === null) return null
  const choice = chooseVolumes(volumes, node)
  return 'bindings' in choice ? null : { reasons: choice, resolvable: false }
}

const isInZone: Filter = ({ volumes }, { node }) => {
  const problem = volumes === null ? null : zoneProblem(volumes, node)
  return problem === null ? null : final(problem)
}

const hasDevices: Filter = ({ devices }, { node }) => {
  if (devices === null) return null
  try {
    const reason = deviceObjection(devices, node)
    return reason === null ? null : final(reason)
  } catch (error) {
    if (!(error instanceof AllocationError)) throw error
    return { ...final(`running "DynamicResources" filter plugin: ${error.message}`), isError: true }
  }
}

const declaresFeatures: StaticFilter = ({ pod }, node) => {
  const missing = missingFeatures(featuresFor(pod), node)
  if (missing.length === 0) return null
  return final(`node declared features check failed - unsatisfied requirements: ${missing.join(', ')}`)
}

const STATIC_FILTERS: readonly StaticFilter[] = [
  isSchedulable,
  hasName,
  toleratesTaints,
  isSelected,
  declaresFeatures,
]
const ofNode =
  (filter: StaticFilter): Filter =>
  (input, { node }) =>
    filter(input, node)

interface NamedFilter {
  readonly plugin: Plugin
  readonly filter: Filter
  /** Whether it could object to the pod on any node; absent: to any pod. */
  readonly concerns?: (facts: Omit<FilterInput, 'filters' | 'chosen'>) => boolean
}

const hasVolumes: NamedFilter['concerns'] = ({ volumes }) => volumes !== null

/** In upstream's order: the first that objects counts. */
const FILTERS: readonly NamedFilter[] = [
  { plugin: 'NodeUnschedulable', filter: ofNode(isSchedulable) },
  { plugin: 'NodeName', filter: ofNode(hasName), concerns: ({ pod }) => Boolean(pod.spec?.nodeName) },
  { plugin: 'TaintToleration', filter: ofNode(toleratesTaints) },
  {
    plugin: 'NodeAffinity',
    filter: isSelectedByBoth,
    concerns: ({ pod, enforced }) => enforced !== null || isChoosy(pod),
  },
  { plugin: 'NodePorts', filter: hasFreePorts, concerns: ({ hostPorts }) => hostPorts.length > 0 },
  { plugin: 'NodeResourcesFit', filter: hasResources },
  { plugin: 'VolumeRestrictions', filter: mayShareClaims, concerns: hasVolumes },
  { plugin: 'NodeVolumeLimits', filter: hasRoomForVolumes, concerns: hasVolumes },
  { plugin: 'VolumeBinding', filter: reachesVolumes, concerns: hasVolumes },
  { plugin: 'VolumeZone', filter: isInZone, concerns: hasVolumes },
  { plugin: 'PodTopologySpread', filter: isSpread, concerns: ({ spread }) => spread.spreads.length > 0 },
  { plugin: 'InterPodAffinity', filter: suitsOtherPods, concerns: ({ affinity }) => isBound(affinity) },
  { plugin: 'DynamicResources', filter: hasDevices, concerns: ({ devices }) => devices !== null },
  {
    plugin: 'NodeDeclaredFeatures',
    filter: ofNode(declaresFeatures),
    concerns: ({ pod }) => featuresFor(pod).length > 0,
  },
]

const isChoosy = ({ spec }: Pod): boolean =>
  spec?.nodeSelector !== undefined || spec?.affinity?.nodeAffinity !== undefined

const isBound = ({ affinity, antiAffinity, closed }: AffinityState): boolean =>
  affinity.length > 0 || antiAffinity.length > 0 || closed.size > 0
