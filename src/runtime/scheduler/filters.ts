/** Why a pod cannot run on a node, in upstream's words; one filter after the other, the first that objects counts. */

import { matchesNodeSelection } from '../../client/node-affinity.ts'
import { tolerates } from '../../client/taints.ts'
import type { Pod, Taint } from '../../kube/types.ts'
import { type HostPort, hostPortsOf, type NodeInfo } from './node-info.ts'
import {
  type AffinityProblem,
  type AffinityState,
  findAffinityProblem,
  prepareAffinity,
} from './pod-affinity.ts'
import type { Amounts } from './resources.ts'
import { findSpreadProblem, prepareSpread, type SpreadState } from './topology-spread.ts'
import {
  chooseVolumes,
  EXCLUSIVE_REASON,
  exceedsLimits,
  LIMIT_REASON,
  type PodVolumes,
  prepareVolumes,
  zoneProblem,
} from './volume-filters.ts'
import { NO_VOLUMES, type VolumeView } from './volume-view.ts'

export interface Rejection {
  readonly reasons: readonly string[]
  /** False: no pod's leaving would help. */
  readonly resolvable: boolean
}

export interface FilterInput {
  readonly pod: Pod
  readonly requests: Amounts
  readonly hostPorts: readonly HostPort[]
  readonly affinity: AffinityState
  readonly spread: SpreadState
  /** Null without claims. */
  readonly volumes: PodVolumes | null
}

type Filter = (input: FilterInput, node: NodeInfo) => Rejection | null

const final = (reason: string): Rejection => ({ reasons: [reason], resolvable: false })

export const prepareFilters = (
  pod: Pod,
  requests: Amounts,
  nodes: readonly NodeInfo[],
  volumes: VolumeView = NO_VOLUMES,
): FilterInput => ({
  pod,
  requests,
  hostPorts: hostPortsOf(pod),
  affinity: prepareAffinity(pod, nodes),
  spread: prepareSpread(pod, nodes),
  volumes: prepareVolumes(pod, nodes, volumes),
})

/** Null when the pod fits. */
export function filterNode(input: FilterInput, node: NodeInfo): Rejection | null {
  for (const filter of FILTERS) {
    const rejection = filter(input, node)
    if (rejection !== null) return rejection
  }
  return null
}

const UNSCHEDULABLE_TAINT: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }

const isSchedulable: Filter = ({ pod }, { node }) => {
  if (node.spec?.unschedulable !== true) return null
  const tolerated = (pod.spec?.tolerations ?? []).some(each => tolerates(each, UNSCHEDULABLE_TAINT))
  return tolerated ? null : final('node(s) were unschedulable')
}

const hasName: Filter = ({ pod }, node) =>
  !pod.spec?.nodeName || pod.spec.nodeName === node.name
    ? null
    : final("node(s) didn't match the requested node name")

const toleratesTaints: Filter = ({ pod }, { node }) => {
  const tolerations = pod.spec?.tolerations ?? []
  const taint = (node.spec?.taints ?? []).find(
    each => each.effect !== 'PreferNoSchedule' && !tolerations.some(one => tolerates(one, each)),
  )
  return taint === undefined
    ? null
    : final(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`)
}

const isSelected: Filter = ({ pod }, { node }) =>
  matchesNodeSelection(pod, node) ? null : final("node(s) didn't match Pod's node affinity/selector")

const hasFreePorts: Filter = ({ hostPorts }, node) => {
  if (hostPorts.length === 0) return null
  const used = node.hostPorts()
  const clash = hostPorts.some(port => used.some(other => portsClash(port, other)))
  return clash
    ? { reasons: ["node(s) didn't have free ports for the requested pod ports"], resolvable: true }
    : null
}

function portsClash(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.protocol !== b.protocol) return false
  return a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0'
}

const hasResources: Filter = ({ requests }, node) => {
  const reasons: string[] = []
  let resolvable = true
  const podsMax = node.allocatable.get('pods') ?? 0
  if (node.podCount + 1 > podsMax) {
    reasons.push('Too many pods')
    if (podsMax < 1) resolvable = false
  }
  for (const [name, amount] of requests) {
    const has = node.allocatable.get(name) ?? 0
    if (amount === 0 || amount <= has - node.requested(name)) continue
    reasons.push(`Insufficient ${name}`)
    if (amount > has) resolvable = false
  }
  return reasons.length === 0 ? null : { reasons, resolvable }
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
  volumes?.isExclusiveTaken ? { reasons: [EXCLUSIVE_REASON], resolvable: true } : null

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

const FILTERS: readonly Filter[] = [
  isSchedulable,
  hasName,
  toleratesTaints,
  isSelected,
  hasFreePorts,
  hasResources,
  mayShareClaims,
  hasRoomForVolumes,
  reachesVolumes,
  isInZone,
  isSpread,
  suitsOtherPods,
]
