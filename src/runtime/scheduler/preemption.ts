/**
 * Which less important pods must leave so that a pod fits: on each node as few and as unimportant ones as
 * possible, then the node where that hurts least. Pure.
 */
import type { Random } from '../../base/random.ts'
import { requirementsOf, selects } from '../../kube/labels.ts'
import type { Pod, PodDisruptionBudget } from '../../kube/types.ts'
import { type FilterInput, type Rejection, Thought } from './filters.ts'
import type { NodeInfo } from './node-info.ts'
import type { Profile } from './profile.ts'

export type PreemptionResult =
  | { readonly kind: 'victims'; readonly node: string; readonly victims: readonly Pod[] }
  /** `waits`: victims chosen earlier are still leaving. */
  | { readonly kind: 'none'; readonly reasons: readonly string[]; readonly waits: boolean }
  | { readonly kind: 'not-eligible'; readonly why: string; readonly waits: boolean }

export const NOT_HELPFUL = 'Preemption is not helpful for scheduling'
const NO_VICTIMS = 'No preemption victims found for incoming pod'

export const priorityOf = (pod: Pod): number => pod.spec?.priority ?? 0
const startOf = (pod: Pod): number => Date.parse(pod.status?.startTime ?? '') || Number.MAX_SAFE_INTEGER

/** A node where room can be made. */
export interface Candidate {
  readonly node: string
  /** Those whose budget forbids it first, then the most important first. */
  readonly victims: readonly Pod[]
  /** How many of the victims a disruption budget forbids. */
  readonly violations: number
}

export interface PreemptionFacts {
  readonly input: FilterInput
  readonly rejections: ReadonlyMap<string, Rejection>
  readonly budgets: readonly PodDisruptionBudget[]
  /** Waiting pods that are to come to the node and are as important. */
  readonly guestsOf: (node: string) => readonly Pod[]
  readonly random: Random
  readonly candidates: Profile['candidates']
}

export interface Candidates {
  readonly kind: 'candidates'
  readonly candidates: readonly Candidate[]
  /** Why no pod's leaving helps on the other nodes. */
  readonly reasons: readonly string[]
}

export function findPreemption(
  pod: Pod,
  nodes: readonly NodeInfo[],
  facts: PreemptionFacts,
): PreemptionResult {
  const found = findCandidates(pod, nodes, facts)
  return found.kind === 'candidates' ? chooseVictims(found) : found
}

export function chooseVictims({ candidates, reasons }: Candidates): PreemptionResult {
  const [best] = candidates.toSorted(compareCandidates)
  if (best !== undefined) return { kind: 'victims', node: best.node, victims: best.victims }
  return { kind: 'none', reasons, waits: false }
}

export function findCandidates(
  pod: Pod,
  nodes: readonly NodeInfo[],
  facts: PreemptionFacts,
): Candidates | PreemptionResult {
  if (pod.spec?.preemptionPolicy === 'Never') {
    return { kind: 'not-eligible', why: 'not eligible due to preemptionPolicy=Never.', waits: false }
  }
  if (isAlreadyMadeRoomFor(pod, nodes, facts)) {
    const why = 'not eligible due to a terminating pod on the nominated node.'
    return { kind: 'not-eligible', why, waits: true }
  }
  const possible = nodes.filter(node => facts.rejections.get(node.name)?.resolvable === true)
  const { candidates, reasons } = goThrough(pod, possible, facts)
  const hopeless = new Array<string>(nodes.length - possible.length).fill(NOT_HELPFUL)
  return { kind: 'candidates', candidates, reasons: [...hopeless, ...reasons] }
}

function goThrough(pod: Pod, possible: readonly NodeInfo[], facts: PreemptionFacts) {
  const { percentage, absolute } = facts.candidates
  const enough = Math.max(absolute, Math.trunc((possible.length * percentage) / 100))
  const first = Math.floor(facts.random.float() * possible.length)
  const candidates: Candidate[] = []
  const reasons: string[] = []
  let isHarmless = false
  for (const node of [...possible.slice(first), ...possible.slice(0, first)]) {
    if (candidates.length >= enough && isHarmless) break
    const found = victimsOn(pod, node, facts)
    if (Array.isArray(found)) reasons.push(...found)
    else {
      candidates.push(found)
      isHarmless ||= found.violations === 0
    }
  }
  return { candidates, reasons }
}

/** Its victims of an earlier attempt are on their way out. */
function isAlreadyMadeRoomFor(pod: Pod, nodes: readonly NodeInfo[], { rejections }: PreemptionFacts) {
  const name = pod.status?.nominatedNodeName
  if (!name || rejections.get(name)?.resolvable === false) return false
  const node = nodes.find(each => each.name === name)
  return (node?.pods() ?? []).some(other => isLeaving(other) && priorityOf(other) < priorityOf(pod))
}

const isLeaving = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp !== undefined &&
  (status?.conditions ?? []).some(
    each =>
      each.type === 'DisruptionTarget' && each.status === 'True' && each.reason === 'PreemptionByScheduler',
  )

/** The victims, or the reasons why no leaving would help. */
function victimsOn(pod: Pod, node: NodeInfo, facts: PreemptionFacts): Candidate | string[] {
  const lower = node.pods().filter(other => priorityOf(other) < priorityOf(pod))
  if (lower.length === 0) return [NO_VICTIMS]
  const without = new Thought(facts.input, node)
  for (const other of lower) without.remove(other)
  for (const guest of facts.guestsOf(node.name)) without.add(guest)
  const rejection = without.filter()
  if (rejection !== null) return [...rejection.reasons]
  const { violating, others } = splitByBudgets(lower.sort(compareImportance), facts.budgets)
  const mustGo = (other: Pod): boolean => {
    without.add(other)
    if (without.filter() === null) return false
    without.remove(other)
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

const compareImportance = (a: Pod, b: Pod): number => priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b)

/** Each victim counts for at least this, so that fewer are better before less important ones are. */
const PRIORITY_OFFSET = 2 ** 31

/** The least harm first: budgets that forbid it, the most important victim, all of them, their number, their age. */
function compareCandidates(a: Candidate, b: Candidate): number {
  const sum = ({ victims }: Candidate) =>
    victims.reduce((total, pod) => total + priorityOf(pod) + PRIORITY_OFFSET, 0)
  const highest = ({ victims }: Candidate) => Math.max(...victims.map(priorityOf))
  const earliest = ({ victims }: Candidate) => {
    const top = Math.max(...victims.map(priorityOf))
    return Math.min(...victims.filter(pod => priorityOf(pod) === top).map(startOf))
  }
  return (
    a.violations - b.violations ||
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    earliest(b) - earliest(a)
  )
}
