/**
 * Which less important pods must leave so that a pod fits: on each node as few and as unimportant ones as
 * possible, then the node where that hurts least. Pure.
 */
import { requirementsOf, selects } from '../../kube/labels.ts'
import type { Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { filterNode, prepareFilters, type Rejection } from './filters.ts'
import { NodeInfo } from './node-info.ts'
import { podRequests } from './resources.ts'
import type { VolumeView } from './volume-view.ts'

export type PreemptionResult =
  | { readonly kind: 'victims'; readonly node: string; readonly victims: readonly Pod[] }
  /** `waits`: victims chosen earlier are still leaving. */
  | { readonly kind: 'none'; readonly reasons: readonly string[]; readonly waits: boolean }
  | { readonly kind: 'not-eligible'; readonly why: string; readonly waits: boolean }

/** Nodes that are gone through; a better one behind them is not worth the time. */
const CANDIDATES_MAX = 100
export const NOT_HELPFUL = 'Preemption is not helpful for scheduling'
const NO_VICTIMS = 'No preemption victims found for incoming pod'

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0
const startOf = (pod: Pod): number => Date.parse(pod.status?.startTime ?? '') || Number.MAX_SAFE_INTEGER

interface Candidate {
  readonly node: string
  /** Those whose budget forbids it first, then the most important first. */
  readonly victims: readonly Pod[]
  /** How many of the victims a disruption budget forbids. */
  readonly violations: number
}

export interface PreemptionFacts {
  readonly rejections: ReadonlyMap<string, Rejection>
  readonly budgets: readonly PodDisruptionBudget[]
  readonly volumes?: VolumeView | undefined
}

interface World extends PreemptionFacts {
  readonly nodes: readonly NodeInfo[]
}

export function findPreemption(
  pod: Pod,
  nodes: readonly NodeInfo[],
  facts: PreemptionFacts,
): PreemptionResult {
  if (pod.spec?.preemptionPolicy === 'Never') {
    return { kind: 'not-eligible', why: 'not eligible due to preemptionPolicy=Never.', waits: false }
  }
  if (isAlreadyMadeRoomFor(pod, nodes)) {
    const why = 'not eligible due to a terminating pod on the nominated node.'
    return { kind: 'not-eligible', why, waits: true }
  }
  const candidates: Candidate[] = []
  const reasons: string[] = []
  for (const node of nodes) {
    if (candidates.length >= CANDIDATES_MAX) break
    if (facts.rejections.get(node.name)?.resolvable !== true) {
      reasons.push(NOT_HELPFUL)
      continue
    }
    const found = victimsOn(pod, node, { ...facts, nodes })
    if (Array.isArray(found)) reasons.push(...found)
    else candidates.push(found)
  }
  const [best] = candidates.sort(compareCandidates)
  if (best === undefined) return { kind: 'none', reasons, waits: false }
  return { kind: 'victims', node: best.node, victims: best.victims }
}

/** Its victims of an earlier attempt are on their way out. */
function isAlreadyMadeRoomFor(pod: Pod, nodes: readonly NodeInfo[]): boolean {
  const name = pod.status?.nominatedNodeName
  if (!name) return false
  const node = nodes.find(each => each.name === name)
  return (node?.pods() ?? []).some(
    other => other.metadata.deletionTimestamp !== undefined && priorityOf(other) < priorityOf(pod),
  )
}

/** The victims, or the reasons why no leaving would help. */
function victimsOn(pod: Pod, node: NodeInfo, world: World): Candidate | string[] {
  const all = node.pods()
  const lower = all.filter(other => priorityOf(other) < priorityOf(pod))
  if (lower.length === 0) return [NO_VICTIMS]
  const without = new NodeInfo(
    node.node,
    all.filter(other => !lower.includes(other)),
  )
  const rejection = tryOn(pod, without, world)
  if (rejection !== null) return [...rejection.reasons]
  const { violating, others } = splitByBudgets(lower.sort(compareImportance), world.budgets)
  const mustGo = (other: Pod): boolean => {
    without.add(other)
    if (tryOn(pod, without, world) === null) return false
    without.remove(other.metadata.uid ?? '')
    return true
  }
  // Those whose budget forbids it stay if they can, then the most important.
  const forbidden = violating.filter(mustGo)
  const victims = [...forbidden, ...others.filter(mustGo)]
  if (victims.length === 0) return [NO_VICTIMS]
  return { node: node.name, victims, violations: forbidden.length }
}

/** Which pods a disruption budget forbids to go, when they went in this order. */
function splitByBudgets(
  pods: readonly Pod[],
  budgets: readonly PodDisruptionBudget[],
): { readonly violating: readonly Pod[]; readonly others: readonly Pod[] } {
  const left = budgets.map(budget => budget.status?.disruptionsAllowed ?? 0)
  const violating: Pod[] = []
  const others: Pod[] = []
  for (const pod of pods) {
    let isForbidden = false
    for (const [index, budget] of budgets.entries()) {
      if (!guards(budget, pod)) continue
      const after = (left[index] ?? 0) - 1
      left[index] = after
      if (after < 0) isForbidden = true
    }
    if (isForbidden) violating.push(pod)
    else others.push(pod)
  }
  return { violating, others }
}

/** A pod that an eviction was allowed for already is not asked for again. */
function guards({ metadata, spec, status }: PodDisruptionBudget, pod: Pod): boolean {
  if (metadata.namespace !== pod.metadata.namespace || !pod.metadata.labels) return false
  if (requirementsOf(spec?.selector)?.length === 0 || !selects(spec?.selector, pod.metadata.labels))
    return false
  return !Object.hasOwn(status?.disruptedPods ?? {}, pod.metadata.name ?? '')
}

function tryOn(pod: Pod, changed: NodeInfo, { nodes, volumes }: World): Rejection | null {
  const seen = nodes.map(node => (node.name === changed.name ? changed : node))
  return filterNode(prepareFilters(pod, podRequests(pod), seen, volumes), changed)
}

const compareImportance = (a: Pod, b: Pod): number => priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b)

/** The least harm first: budgets that forbid it, the most important victim, all of them, their number, their age. */
function compareCandidates(a: Candidate, b: Candidate): number {
  const sum = ({ victims }: Candidate) => victims.reduce((total, pod) => total + priorityOf(pod), 0)
  const highest = ({ victims }: Candidate) => Math.max(...victims.map(priorityOf))
  const earliest = ({ victims }: Candidate) => {
    const most = Math.max(...victims.map(priorityOf))
    return Math.min(...victims.filter(pod => priorityOf(pod) === most).map(startOf))
  }
  return (
    a.violations - b.violations ||
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    earliest(b) - earliest(a)
  )
}
