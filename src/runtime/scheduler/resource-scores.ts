/** Scores of what nodes have and what is used of it (pure): how much is free, and whether it is used evenly. */

import { podRequests, scoredRequests } from '../../kube/pod-requests.ts'
import type { Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'
import type { FitScoring, Profile } from './profile.ts'

const SCORE_MAX = 100
/** They count for something where a pod asks for nothing; of others it is as if nodes had none. */
const ALWAYS_COUNTED = ['cpu', 'memory', 'ephemeral-storage']

type Score = (used: number, total: number) => number

/** How far a node is used of one resource. */
interface Use {
  readonly weight: number
  readonly used: (node: NodeInfo) => number
  readonly total: (node: NodeInfo) => number
}

export function fitScores(pod: Pod, nodes: readonly NodeInfo[], { fit }: Profile): number[] {
  const uses = usesOf(pod, fit)
  const score = scorerOf(fit)
  const isByShape = fit.type === 'RequestedToCapacityRatio'
  return nodes.map(node => {
    let sum = 0
    let weights = 0
    for (const { weight, used, total } of uses) {
      const has = total(node)
      if (has === 0) continue
      const own = score(used(node), has)
      // As upstream: what scores nothing by a shape does not weigh either.
      if (isByShape && own <= 0) continue
      sum += own * weight
      weights += weight
    }
    if (weights === 0) return 0
    return isByShape ? Math.round(sum / weights) : Math.trunc(sum / weights)
  })
}

/** With what pods count for that ask for nothing; what else the pod does not ask for is left out. */
function usesOf(pod: Pod, { resources }: FitScoring): Use[] {
  const scored = scoredRequests(pod)
  const requests = podRequests(pod)
  const isCounted = ({ name }: { readonly name: string }) =>
    requests.has(name) || ALWAYS_COUNTED.includes(name)
  return resources.filter(isCounted).map(({ name, weight }) => {
    if (name === 'cpu') return { weight, used: node => node.scoredCpu + scored.cpu, total: node => node.cpu }
    if (name === 'memory')
      return { weight, used: node => node.scoredMemory + scored.memory, total: node => node.memory }
    const asked = requests.get(name) ?? 0
    return {
      weight,
      used: node => node.requested(name) + asked,
      total: node => node.allocatable.get(name) ?? 0,
    }
  })
}

function scorerOf({ type, shape }: FitScoring): Score {
  switch (type) {
    case 'LeastAllocated':
      return (used, total) => (used > total ? 0 : Math.trunc(((total - used) * SCORE_MAX) / total))
    case 'MostAllocated':
      return (used, total) => Math.trunc((Math.min(used, total) * SCORE_MAX) / total)
    case 'RequestedToCapacityRatio':
      return (used, total) => alongShape(shape, used > total ? 100 : Math.trunc((used * 100) / total))
  }
}

/** On the straight line between two points of the shape. */
function alongShape(shape: FitScoring['shape'], percent: number): number {
  let before = shape[0]
  for (const point of shape) {
    if (percent <= point.utilization) {
      if (before === undefined || before === point) return point.score
      const rise = (point.score - before.score) * (percent - before.utilization)
      return before.score + Math.trunc(rise / (point.utilization - before.utilization))
    }
    before = point
  }
  return before?.score ?? 0
}

interface Asked {
  readonly name: string
  readonly amount: number
}

/** What the pod does to the balance of a node; a pod that asks for nothing does nothing to it. */
export function balanceScores(pod: Pod, nodes: readonly NodeInfo[], { balanced }: Profile): number[] | null {
  const requests = podRequests(pod)
  const all = balanced.map(name => ({ name, amount: requests.get(name) ?? 0 }))
  if (all.every(({ amount }) => amount === 0)) return null
  const asked = all.filter(({ name, amount }) => amount > 0 || ALWAYS_COUNTED.includes(name))
  const nothing = asked.map(({ name }) => ({ name, amount: 0 }))
  return nodes.map(
    node => SCORE_MAX / 2 + Math.trunc((SCORE_MAX / 2 + balance(node, asked) - balance(node, nothing)) / 2),
  )
}

/** Everything used to the same degree is best. */
function balance(node: NodeInfo, asked: readonly Asked[]): number {
  let count = 0
  let sum = 0
  let squares = 0
  let least = 1
  let most = 0
  for (const { name, amount } of asked) {
    const total = node.allocatable.get(name) ?? 0
    if (total === 0) continue
    const share = Math.min(1, (node.requested(name) + amount) / total)
    count++
    sum += share
    squares += share * share
    least = Math.min(least, share)
    most = Math.max(most, share)
  }
  if (count < 2) return SCORE_MAX
  const ofMany = () => Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2))
  const deviation = count === 2 ? (most - least) / 2 : ofMany()
  return Math.trunc((1 - deviation) * SCORE_MAX)
}
