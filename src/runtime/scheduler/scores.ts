/** Which of the nodes that a pod fits on suits it best: upstream's scores from 0 to 100, weighted and added. */

import { preferredAffinityScore } from '../../client/node-affinity.ts'
import { tolerates } from '../../client/taints.ts'
import type { Pod } from '../../kube/types.ts'
import { imageScores } from './image-locality.ts'
import type { NodeInfo } from './node-info.ts'
import { affinityScores } from './pod-affinity.ts'
import type { Profile, Weights } from './profile.ts'
import { balanceScores, fitScores } from './resource-scores.ts'
import { spreadScores } from './topology-spread.ts'
import type { World } from './world.ts'

const SCORE_MAX = 100

/** The total per node, in the nodes' order; `all` are also those that the pod does not fit on. */
export function scoreNodes(
  pod: Pod,
  all: readonly NodeInfo[],
  nodes: readonly NodeInfo[],
  world: World,
): number[] {
  const { profile } = world
  const totals = new Array<number>(nodes.length).fill(0)
  for (const [plugin, scores] of [
    ['NodeResourcesFit', fitScores(pod, nodes, profile)],
    ['NodeResourcesBalancedAllocation', balanceScores(pod, nodes, profile)],
    ['TaintToleration', lessIsBetter(nodes.map(node => avoidedTaints(pod, node)))],
    ['NodeAffinity', nodeAffinityScores(pod, nodes, profile)],
    ['PodTopologySpread', spread(spreadScores(pod, all, nodes, world))],
    ['InterPodAffinity', stretch(affinityScores(pod, all, nodes, world))],
    ['ImageLocality', imageScores(pod, all, nodes)],
  ] as const satisfies readonly (readonly [keyof Weights, readonly number[] | null])[]) {
    const weight = profile.weights[plugin]
    if (scores === null || weight === 0) continue
    for (const [index, score] of scores.entries()) totals[index] = (totals[index] ?? 0) + score * weight
  }
  return totals
}

function avoidedTaints(pod: Pod, { node }: NodeInfo): number {
  const taints = node.spec?.taints ?? []
  if (taints.length === 0) return 0
  const tolerations = (pod.spec?.tolerations ?? []).filter(
    ({ effect }) => !effect || effect === 'PreferNoSchedule',
  )
  return taints.filter(
    taint => taint.effect === 'PreferNoSchedule' && !tolerations.some(each => tolerates(each, taint)),
  ).length
}

function nodeAffinityScores(
  pod: Pod,
  nodes: readonly NodeInfo[],
  { addedAffinity }: Profile,
): number[] | null {
  const preferred = [addedAffinity, pod.spec?.affinity?.nodeAffinity].flatMap(
    each => each?.preferredDuringSchedulingIgnoredDuringExecution ?? [],
  )
  if (preferred.length === 0) return null
  return moreIsBetter(nodes.map(({ node }) => preferredAffinityScore(preferred, node)))
}

const most = (values: readonly number[]): number => values.reduce((a, b) => Math.max(a, b), 0)

function moreIsBetter(values: readonly number[]): number[] {
  const max = most(values)
  return values.map(value => (max === 0 ? 0 : Math.trunc((value * SCORE_MAX) / max)))
}

/** Null: the same for all of them. */
function lessIsBetter(values: readonly number[]): number[] | null {
  if (most(values) === 0) return null
  return moreIsBetter(values).map(value => SCORE_MAX - value)
}

/** The best gets all, the worst nothing. */
function stretch(values: readonly number[] | null): number[] | null {
  if (values === null || values.length === 0) return null
  const least = values.reduce((a, b) => Math.min(a, b))
  const range = values.reduce((a, b) => Math.max(a, b)) - least
  return values.map(value => (range === 0 ? 0 : Math.trunc((SCORE_MAX * (value - least)) / range)))
}

/** The emptiest gets all; nodes that are no domain nothing. */
function spread(values: readonly (number | null)[] | null): number[] | null {
  if (values === null) return null
  const known = values.filter(value => value !== null)
  const max = most(known)
  const least = known.reduce((a, b) => Math.min(a, b), max)
  return values.map(value => {
    if (value === null) return 0
    return max === 0 ? SCORE_MAX : Math.trunc((SCORE_MAX * (max + least - value)) / max)
  })
}
