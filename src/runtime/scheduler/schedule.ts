/** Decides where one pod runs: filters, then scores; or what would have to leave. Pure. */
import type { Random } from '../../base/random.ts'
import type { Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { filterNode, prepareFilters, type Rejection } from './filters.ts'
import { NodeInfo } from './node-info.ts'
import {
  findPreemption,
  NOT_HELPFUL,
  type PreemptionFacts,
  type PreemptionResult,
  priorityOf,
} from './preemption.ts'
import { podRequests } from './resources.ts'
import { scoreNodes } from './scores.ts'
import { findClaimProblem } from './volume-filters.ts'
import { NO_VOLUMES, type VolumeView } from './volume-view.ts'

export type ScheduleResult =
  | { readonly kind: 'node'; readonly name: string }
  /** The message is what the condition and the event say. */
  | { readonly kind: 'unschedulable'; readonly message: string; readonly preemption: PreemptionResult | null }

interface Surroundings {
  readonly volumes?: VolumeView
  /** They say whose leaving does harm. */
  readonly budgets?: readonly PodDisruptionBudget[]
}

/** `nominated` are waiting pods for which room is being made; what is as important leaves it to them. */
export function schedule(
  pod: Pod,
  nodes: readonly NodeInfo[],
  random: Random,
  nominated: readonly Pod[] = [],
  { volumes = NO_VOLUMES, budgets = [] }: Surroundings = {},
): ScheduleResult {
  if (nodes.length === 0) {
    return { kind: 'unschedulable', message: 'no nodes available to schedule pods', preemption: null }
  }
  const problem = findClaimProblem(pod, volumes)
  if (problem !== null) return nowhere(problem, nodes.length)
  const requests = podRequests(pod)
  const filter = filterWith(pod, nodes, nominated, volumes)
  const rejections = new Map<string, Rejection>()
  const fitting: NodeInfo[] = []
  for (const node of nodes) {
    const rejection = filter(node)
    if (rejection === null) fitting.push(node)
    else rejections.set(node.name, rejection)
  }
  const [only] = fitting
  if (only === undefined) return unschedulable(pod, nodes, { rejections, volumes, budgets })
  if (fitting.length === 1) return { kind: 'node', name: only.name }
  return { kind: 'node', name: pickBest(fitting, scoreNodes(pod, requests, fitting), random) }
}

/** A node must take the pod as it is, and with those that are to come to it. */
function filterWith(
  pod: Pod,
  nodes: readonly NodeInfo[],
  nominated: readonly Pod[],
  volumes: VolumeView,
): (node: NodeInfo) => Rejection | null {
  const requests = podRequests(pod)
  const input = prepareFilters(pod, requests, nodes, volumes)
  const coming = nominated.filter(
    other => other.metadata.uid !== pod.metadata.uid && priorityOf(other) >= priorityOf(pod),
  )
  if (coming.length === 0) return node => filterNode(input, node)
  const full = new Map<string, NodeInfo>()
  for (const node of nodes) {
    const guests = coming.filter(other => other.status?.nominatedNodeName === node.name)
    if (guests.length > 0) full.set(node.name, new NodeInfo(node.node, [...node.pods(), ...guests]))
  }
  const later = prepareFilters(
    pod,
    requests,
    nodes.map(node => full.get(node.name) ?? node),
    volumes,
  )
  return node => {
    const crowded = full.get(node.name)
    return filterNode(input, node) ?? (crowded === undefined ? null : filterNode(later, crowded))
  }
}

/** No node would do, and no pod's leaving would help. */
function nowhere(problem: string, nodeCount: number): ScheduleResult {
  const all = `0/${nodeCount} nodes are available`
  const message = `${all}: ${problem}. preemption: ${all}: ${nodeCount} ${NOT_HELPFUL}.`
  return { kind: 'unschedulable', message, preemption: null }
}

function unschedulable(pod: Pod, nodes: readonly NodeInfo[], facts: PreemptionFacts): ScheduleResult {
  const { rejections } = facts
  const preemption = findPreemption(pod, nodes, facts)
  const reasons = countUp([...rejections.values()].flatMap(rejection => rejection.reasons))
  const message = `0/${rejections.size} nodes are available: ${reasons}.${describePreemption(preemption, rejections.size)}`
  return { kind: 'unschedulable', message, preemption }
}

/** Among equally good ones, any. */
function pickBest(nodes: readonly NodeInfo[], scores: readonly number[], random: Random): string {
  const best = Math.max(...scores)
  const winners = nodes.filter((_node, index) => scores[index] === best)
  return winners[Math.floor(random.float() * winners.length)]?.name ?? ''
}

function describePreemption(preemption: PreemptionResult, nodeCount: number): string {
  switch (preemption.kind) {
    case 'victims':
      return ''
    case 'not-eligible':
      return ` preemption: ${preemption.why}`
    default:
      return ` preemption: 0/${nodeCount} nodes are available: ${countUp(preemption.reasons)}.`
  }
}

/** `1 Insufficient cpu, 2 Too many pods`, in the order of the text. */
function countUp(reasons: readonly string[]): string {
  const counts = new Map<string, number>()
  for (const reason of reasons) counts.set(reason, (counts.get(reason) ?? 0) + 1)
  return Array.from(counts, ([reason, count]) => `${count} ${reason}`)
    .sort()
    .join(', ')
}
