/**
 * Topology spread constraints. Those that must hold (`DoNotSchedule`) are counted once per pod, then asked per node,
 * and follow pods that are thought away or added; the others become a score.
 */
import { matchesNodeSelection } from '../../client/node-affinity.ts'
import { tolerates } from '../../client/taints.ts'
import { type LabelRequirement, matchesLabels, requirementsOf } from '../../kube/labels.ts'
import type { Node, Pod } from '../../kube/types.ts'
import type { NodeInfo } from './node-info.ts'
import { type Constraint, SYSTEM_CONSTRAINTS } from './profile.ts'
import type { World } from './world.ts'

interface Spread {
  readonly constraint: Constraint
  /** Names the question which pods count. */
  readonly key: string
  counts(pod: Pod): boolean
}

interface CountedSpread extends Spread {
  readonly domains: Map<string, number>
  /** 1 when the pod itself counts. */
  readonly self: number
  /** In the emptiest domain; null until somebody asks. */
  least: number | null
}

export interface SpreadState {
  readonly pod: Pod
  readonly spreads: readonly CountedSpread[]
}

export type SpreadProblem = 'skew' | 'missing-label'

const HOSTNAME = 'kubernetes.io/hostname'

const ownConstraints = (pod: Pod, kind: string): Constraint[] =>
  (pod.spec?.topologySpreadConstraints ?? []).filter(each => each.whenUnsatisfiable === kind)

export function prepareSpread(pod: Pod, nodes: readonly NodeInfo[], world: World): SpreadState {
  const { spreads } = constraintsOf(pod, world, 'DoNotSchedule')
  const counted = spreads.map(each => ({
    ...each,
    domains: new Map<string, number>(),
    self: each.counts(pod) ? 1 : 0,
    least: null,
  }))
  if (counted.length === 0) return { pod, spreads: counted }
  for (const info of nodes) {
    if (!hasAllKeys(info.node, counted)) continue
    for (const spread of counted) {
      if (!isIncluded(pod, spread.constraint, info.node)) continue
      addTo(spread.domains, domainOf(spread, info.node), info.count(spread.key, spread.counts))
    }
  }
  return { pod, spreads: counted }
}

/** As if one more pod, or one less, were on the node. */
export function changeSpread({ pod, spreads }: SpreadState, node: Node, other: Pod, sign: 1 | -1): void {
  if (!hasAllKeys(node, spreads)) return
  for (const spread of spreads) {
    if (!isIncluded(pod, spread.constraint, node) || !spread.counts(other)) continue
    addTo(spread.domains, domainOf(spread, node), sign)
    spread.least = null
  }
}

export const copySpread = ({ pod, spreads }: SpreadState): SpreadState => ({
  pod,
  spreads: spreads.map(each => ({ ...each, domains: new Map(each.domains) })),
})

export function findSpreadProblem({ spreads }: SpreadState, node: Node): SpreadProblem | null {
  for (const spread of spreads) {
    const { constraint, domains, self } = spread
    const value = node.metadata.labels?.[constraint.topologyKey]
    if (value === undefined) return 'missing-label'
    spread.least ??= leastOf(spread)
    if ((domains.get(value) ?? 0) + self - spread.least > constraint.maxSkew) return 'skew'
  }
  return null
}

function leastOf({ domains, constraint }: CountedSpread): number {
  if (domains.size < (constraint.minDomains ?? 1)) return 0
  let least = Number.POSITIVE_INFINITY
  for (const count of domains.values()) if (count < least) least = count
  return least
}

/** Less is better; null: no constraint. A node without the keys has none. */
export function spreadScores(
  pod: Pod,
  all: readonly NodeInfo[],
  nodes: readonly NodeInfo[],
  world: World,
): (number | null)[] | null {
  const { spreads, isOwn } = constraintsOf(pod, world, 'ScheduleAnyway')
  if (spreads.length === 0) return null
  const scored = nodes.map(({ node }) => !isOwn || hasAllKeys(node, spreads))
  const included = nodes.filter((_node, index) => scored[index])
  const counted = spreads.map(spread => countSoft(pod, spread, all, included, isOwn ? spreads : []))
  return nodes.map((info, index) => {
    if (!scored[index]) return null
    let sum = 0
    for (const { spread, domains, weight } of counted) {
      const value = info.node.metadata.labels?.[spread.constraint.topologyKey]
      if (value === undefined) continue
      const count = domains === null ? info.count(spread.key, spread.counts) : (domains.get(value) ?? 0)
      sum += count * weight + (spread.constraint.maxSkew - 1)
    }
    return Math.round(sum)
  })
}

interface SoftSpread {
  readonly spread: Spread
  /** Null: each node is a domain. */
  readonly domains: ReadonlyMap<string, number> | null
  readonly weight: number
}

/** Domains of nodes that are to be scored, filled with pods of all nodes. */
function countSoft(
  pod: Pod,
  spread: Spread,
  all: readonly NodeInfo[],
  included: readonly NodeInfo[],
  required: readonly Spread[],
): SoftSpread {
  if (spread.constraint.topologyKey === HOSTNAME) {
    return { spread, domains: null, weight: Math.log(included.length + 2) }
  }
  const domains = new Map<string, number>()
  for (const { node } of included) addTo(domains, domainOf(spread, node), 0)
  for (const info of all) {
    const value = domainOf(spread, info.node)
    if (value === undefined || !domains.has(value) || !hasAllKeys(info.node, required)) continue
    if (isIncluded(pod, spread.constraint, info.node))
      addTo(domains, value, info.count(spread.key, spread.counts))
  }
  return { spread, domains, weight: Math.log(domains.size + 2) }
}

/** A pod's own constraints, or the profile's for pods that services or controllers select. */
function constraintsOf(
  pod: Pod,
  { profile, selectorOf }: World,
  kind: string,
): { readonly spreads: readonly Spread[]; readonly isOwn: boolean } {
  if ((pod.spec?.topologySpreadConstraints ?? []).length > 0) {
    return { spreads: ownConstraints(pod, kind).map(each => ownSpread(pod, each)), isOwn: true }
  }
  const constraints = profile.defaultConstraints.filter(each => each.whenUnsatisfiable === kind)
  const selector = constraints.length === 0 ? null : selectorOf(pod)
  if (selector === null) return { spreads: [], isOwn: false }
  // The system's constraints do without the labels that a node may lack.
  const isOwn = profile.defaultConstraints !== SYSTEM_CONSTRAINTS
  return { spreads: constraints.map(each => makeSpread(pod, each, selector)), isOwn }
}

/** The selector, and the values that the pod has itself of `matchLabelKeys`. */
function ownSpread(pod: Pod, constraint: Constraint): Spread {
  const own = pod.metadata.labels ?? {}
  const keys = (constraint.matchLabelKeys ?? []).filter(key => own[key] !== undefined)
  const merged = keys.map(key => ({ key, operator: 'in', values: [own[key] ?? ''] }) as const)
  const selector = requirementsOf(constraint.labelSelector)
  return makeSpread(pod, constraint, selector === null ? null : [...selector, ...merged])
}

function makeSpread(pod: Pod, constraint: Constraint, selector: readonly LabelRequirement[] | null): Spread {
  const { namespace } = pod.metadata
  return {
    constraint,
    key: JSON.stringify([namespace, selector]),
    counts: ({ metadata }) =>
      selector !== null &&
      metadata.deletionTimestamp === undefined &&
      metadata.namespace === namespace &&
      matchesLabels(selector, metadata.labels),
  }
}

/** Whether pods of the node count, and the node as a domain. */
function isIncluded(pod: Pod, constraint: Constraint, node: Node): boolean {
  if (constraint.nodeAffinityPolicy !== 'Ignore' && !matchesNodeSelection(pod, node)) return false
  if (constraint.nodeTaintsPolicy !== 'Honor') return true
  const tolerations = pod.spec?.tolerations ?? []
  return !(node.spec?.taints ?? []).some(
    taint => taint.effect !== 'PreferNoSchedule' && !tolerations.some(each => tolerates(each, taint)),
  )
}

const hasAllKeys = ({ metadata }: Node, spreads: readonly Spread[]): boolean =>
  spreads.every(({ constraint }) => metadata.labels?.[constraint.topologyKey] !== undefined)

const domainOf = ({ constraint }: Spread, { metadata }: Node): string | undefined =>
  metadata.labels?.[constraint.topologyKey]

function addTo(domains: Map<string, number>, domain: string | undefined, count: number): void {
  if (domain !== undefined) domains.set(domain, (domains.get(domain) ?? 0) + count)
}

/** Whether a pod that comes, goes or changes its labels may let the other one run. */
export const concernsSpread = (pod: Pod, other: Pod): boolean =>
  ownConstraints(pod, 'DoNotSchedule').some(each => ownSpread(pod, each).counts(other))
