/** Topology spread constraints that must hold (`DoNotSchedule`): counted once per pod, then asked per node. */

import { matchesNodeSelection } from '../../client/node-affinity.ts'
import { type Labels, selects } from '../../kube/labels.ts'
import type { Node, Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'

type Constraint = NonNullable<NonNullable<Pod['spec']>['topologySpreadConstraints']>[number]

interface CountedConstraint {
  readonly constraint: Constraint
  readonly counts: ReadonlyMap<string, number>
  readonly least: number
  /** 1 when the pod itself counts. */
  readonly self: number
}

export type SpreadState = readonly CountedConstraint[]
export type SpreadProblem = 'skew' | 'missing-label'

export function prepareSpread(pod: Pod, nodes: readonly NodeInfo[]): SpreadState {
  const constraints = (pod.spec?.topologySpreadConstraints ?? []).filter(
    each => each.whenUnsatisfiable === 'DoNotSchedule',
  )
  if (constraints.length === 0) return []
  const eligible = nodes.filter(
    ({ node }) =>
      matchesNodeSelection(pod, node) &&
      constraints.every(each => node.metadata.labels?.[each.topologyKey] !== undefined),
  )
  return constraints.map(constraint => countConstraint(pod, constraint, eligible))
}

export function findSpreadProblem(state: SpreadState, node: Node): SpreadProblem | null {
  for (const { constraint, counts, least, self } of state) {
    const value = node.metadata.labels?.[constraint.topologyKey]
    if (value === undefined) return 'missing-label'
    if ((counts.get(value) ?? 0) + self - least > constraint.maxSkew) return 'skew'
  }
  return null
}

function countConstraint(pod: Pod, constraint: Constraint, nodes: readonly NodeInfo[]): CountedConstraint {
  const matches = matcherOf(pod, constraint)
  const counts = new Map<string, number>()
  for (const info of nodes) {
    const value = info.node.metadata.labels?.[constraint.topologyKey] ?? ''
    const count = info
      .pods()
      .filter(
        other =>
          other.metadata.deletionTimestamp === undefined &&
          other.metadata.namespace === pod.metadata.namespace &&
          matches(other.metadata.labels),
      ).length
    counts.set(value, (counts.get(value) ?? 0) + count)
  }
  const hasEnoughDomains = counts.size >= (constraint.minDomains ?? 1)
  const least = hasEnoughDomains ? Math.min(...counts.values()) : 0
  return { constraint, counts, least, self: matches(pod.metadata.labels) ? 1 : 0 }
}

/** The selector, and the values that the pod has itself of `matchLabelKeys`. */
function matcherOf(pod: Pod, constraint: Constraint): (labels: Labels | undefined) => boolean {
  const keys = (constraint.matchLabelKeys ?? []).filter(key => pod.metadata.labels?.[key] !== undefined)
  return labels =>
    selects(constraint.labelSelector, labels) &&
    keys.every(key => labels?.[key] === pod.metadata.labels?.[key])
}
