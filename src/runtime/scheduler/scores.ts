/** Which of the nodes that a pod fits on suits it best: several scores from 0 to 100, weighted and added. */

import { preferredAffinityScore } from '../../client/node-affinity.ts'
import { tolerates } from '../../client/taints.ts'
import type { Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'
import { type Amounts, scoredRequests } from './resources.ts'

const SCORE_MAX = 100
const WEIGHTS = { leastAllocated: 1, balanced: 1, taints: 3, affinity: 2, spreading: 2 } as const

/** The total per node, in the nodes' order. */
export function scoreNodes(pod: Pod, requests: Amounts, nodes: readonly NodeInfo[]): number[] {
  const asked = scoredRequests(requests)
  const leastAllocated = nodes.map(node => leastAllocatedScore(asked, node))
  const balanced = nodes.map(node => balancedScore(asked, node))
  const taints = lessIsBetter(nodes.map(node => avoidedTaints(pod, node)))
  const affinity = moreIsBetter(nodes.map(node => preferredAffinityScore(pod, node.node)))
  const spreading = lessIsBetter(nodes.map(node => siblings(pod, node)))
  return nodes.map(
    (_node, index) =>
      (leastAllocated[index] ?? 0) * WEIGHTS.leastAllocated +
      (balanced[index] ?? 0) * WEIGHTS.balanced +
      (taints[index] ?? 0) * WEIGHTS.taints +
      (affinity[index] ?? 0) * WEIGHTS.affinity +
      (spreading[index] ?? 0) * WEIGHTS.spreading,
  )
}

interface CpuAndMemory {
  readonly cpu: number
  readonly memory: number
}

function leastAllocatedScore(asked: CpuAndMemory, node: NodeInfo): number {
  const free = (used: number, total: number) => (total === 0 ? 0 : Math.max(0, (total - used) / total))
  const cpu = free(node.scored.cpu + asked.cpu, node.allocatable.get('cpu') ?? 0)
  const memory = free(node.scored.memory + asked.memory, node.allocatable.get('memory') ?? 0)
  return ((cpu + memory) / 2) * SCORE_MAX
}

/** CPU and memory used to the same degree is best. */
function balancedScore(asked: CpuAndMemory, node: NodeInfo): number {
  const share = (used: number, total: number) => (total === 0 ? 1 : Math.min(1, used / total))
  const cpu = share(node.requested('cpu') + asked.cpu, node.allocatable.get('cpu') ?? 0)
  const memory = share(node.requested('memory') + asked.memory, node.allocatable.get('memory') ?? 0)
  return (1 - Math.abs(cpu - memory) / 2) * SCORE_MAX
}

function avoidedTaints(pod: Pod, { node }: NodeInfo): number {
  const tolerations = pod.spec?.tolerations ?? []
  return (node.spec?.taints ?? []).filter(
    taint => taint.effect === 'PreferNoSchedule' && !tolerations.some(each => tolerates(each, taint)),
  ).length
}

/** Pods of the same controller on the node. */
function siblings(pod: Pod, node: NodeInfo): number {
  const owner = controllerUid(pod)
  if (owner === undefined) return 0
  return node.pods().filter(other => controllerUid(other) === owner).length
}

const controllerUid = (pod: Pod): string | undefined =>
  pod.metadata.ownerReferences?.find(owner => owner.controller === true)?.uid

function moreIsBetter(values: readonly number[]): number[] {
  const most = Math.max(0, ...values)
  return values.map(value => (most === 0 ? 0 : (value / most) * SCORE_MAX))
}

function lessIsBetter(values: readonly number[]): number[] {
  return moreIsBetter(values).map(value => SCORE_MAX - value)
}
