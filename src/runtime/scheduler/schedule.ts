/** Decides where one pod runs: filters, then scores; or what would have to leave. Pure. */

import type { Random } from '../../base/random.ts'
import type { Pod, ResourceClaim } from '../../kube/types.ts'
import { allocationsAt, claimToFree, findDeviceProblem } from './devices/device-filters.ts'
import { type FilterInput, filterNode, prepareFilters, type Rejection, Thought } from './filters.ts'
import type { NodeInfo } from './node-info.ts'
import {
  findPreemption,
  NOT_HELPFUL,
  type PreemptionFacts,
  type PreemptionResult,
  priorityOf,
} from './preemption.ts'
import { nodesToScore, type Plugin } from './profile.ts'
import { scoreNodes } from './scores.ts'
import { findClaimProblem } from './volume-filters.ts'
import { EMPTY_WORLD, type World } from './world.ts'

export type ScheduleResult =
  /** `examined`: how many nodes were looked at; the next pod begins behind them. */
  | {
      readonly kind: 'node'
      readonly name: string
      readonly examined: number
      /** What its claims on devices get there. */
      readonly allocations: ReturnType<typeof allocationsAt>
    }
  | Unschedulable

export interface Unschedulable {
  readonly kind: 'unschedulable'
  /** What the condition and the event say. */
  readonly message: string
  readonly preemption: PreemptionResult | null
  /** Who objected: only what they care for can help. */
  readonly plugins: ReadonlySet<Plugin>
  /** Its condition says that something is wrong, and not that nothing fits. */
  readonly isError?: boolean
  /** A claim whose devices are given back, so that others may be found. */
  readonly frees?: ResourceClaim | null
}

/** What filters made of the nodes. */
export interface Search {
  readonly kind: 'search'
  readonly fitting: readonly NodeInfo[]
  readonly rejections: ReadonlyMap<string, Rejection>
  readonly examined: number
  readonly input: FilterInput
  readonly guestsOf: (node: string) => readonly Pod[]
}

/** `nominated` are waiting pods for which room is being made; what is as important leaves it to them. */
export function schedule(
  pod: Pod,
  nodes: readonly NodeInfo[],
  random: Random,
  nominated: readonly Pod[] = [],
  over: Partial<World> = {},
): ScheduleResult {
  const world = { ...EMPTY_WORLD, ...over }
  const search = findNodes(pod, nodes, nominated, world)
  if (search.kind !== 'search') return search
  const [only] = search.fitting
  if (only === undefined) {
    const facts = preemptionFacts(search, world, random)
    const preemption = world.profile.preempts ? findPreemption(pod, nodes, facts) : null
    return unschedulable(pod, nodes, preemption, search)
  }
  const { fitting } = search
  if (fitting.length === 1) return placedOn(search, only.name)
  const scores = scoreNodes(pod, nodes, fitting, world)
  return placedOn(search, pickBest(fitting, scores, random))
}

export const placedOn = ({ examined, input: { devices } }: Search, name: string): ScheduleResult => ({
  ...{ kind: 'node', name, examined },
  allocations: devices === null ? [] : allocationsAt(devices, name),
})

export function findNodes(
  pod: Pod,
  nodes: readonly NodeInfo[],
  nominated: readonly Pod[],
  world: World,
): Search | Unschedulable {
  if (nodes.length === 0) {
    const message = 'no nodes available to schedule pods'
    return { kind: 'unschedulable', message, preemption: null, plugins: new Set() }
  }
  const problem = findClaimProblem(pod, world.volumes)
  if (problem !== null) return nowhere(pod, problem, 'VolumeBinding', nodes.length)
  const deviceProblem = pod.spec?.resourceClaims ? findDeviceProblem(pod, world.devices) : null
  if (deviceProblem !== null) return nowhere(pod, deviceProblem, 'DynamicResources', nodes.length)
  const input = prepareFilters(pod, nodes, world)
  const guestsOf = guestsBeside(pod, nominated)
  const filter = (node: NodeInfo) => filterWith(input, node, guestsOf(node.name))
  const named = namedNodes(pod)
  const asked = named === null ? nodes : nodes.filter(({ name }) => named.has(name))
  const found = findFitting(pod, asked, filter, named === null ? world : null)
  for (const { isError, reasons, plugin } of found.rejections.values()) {
    if (isError !== true) continue
    const plugins = new Set(plugin === null ? [] : [plugin])
    return { kind: 'unschedulable', message: reasons.join(', '), preemption: null, plugins, isError }
  }
  return { kind: 'search', ...found, input, guestsOf }
}

export const preemptionFacts = (
  { input, rejections, guestsOf }: Search,
  { budgets, profile: { candidates } }: World,
  random: Random,
): PreemptionFacts => ({ input, rejections, budgets, guestsOf, random, candidates })

interface Found {
  readonly fitting: readonly NodeInfo[]
  readonly rejections: ReadonlyMap<string, Rejection>
  readonly examined: number
}

/** The node that room was made on comes first; then as many as are enough to choose from. Null: all of them. */
function findFitting(
  pod: Pod,
  nodes: readonly NodeInfo[],
  filter: (node: NodeInfo) => Rejection | null,
  world: World | null,
): Found {
  const nominee = pod.status?.nominatedNodeName
  const reserved = nominee ? nodes.find(({ name }) => name === nominee) : undefined
  const rejections = new Map<string, Rejection>()
  if (reserved !== undefined && filter(reserved) === null)
    return { fitting: [reserved], rejections, examined: 0 }
  const enough = world === null ? nodes.length : nodesToScore(nodes.length, world.profile)
  const first = world?.firstNode ?? 0
  const fitting: NodeInfo[] = []
  let examined = 0
  for (; examined < nodes.length && fitting.length < enough; examined++) {
    const node = nodes[(first + examined) % nodes.length]
    if (node === undefined) break
    const rejection = filter(node)
    if (rejection === null) fitting.push(node)
    else rejections.set(node.name, rejection)
  }
  return { fitting, rejections, examined }
}

/** A node must take the pod as it is, and with those that are to come to it. */
function filterWith(input: FilterInput, node: NodeInfo, guests: readonly Pod[]): Rejection | null {
  if (guests.length > 0) {
    const crowded = new Thought(input, node)
    for (const guest of guests) crowded.add(guest)
    const rejection = crowded.filter()
    if (rejection !== null) return rejection
  }
  return filterNode(input, node)
}

const NOBODY: readonly Pod[] = []

/** Those that the pod has to leave room for, by node. */
function guestsBeside(pod: Pod, nominated: readonly Pod[]): (node: string) => readonly Pod[] {
  if (nominated.length === 0) return () => NOBODY
  const coming = nominated.filter(
    other => other.metadata.uid !== pod.metadata.uid && priorityOf(other) >= priorityOf(pod),
  )
  const byNode = Map.groupBy(coming, other => other.status?.nominatedNodeName ?? '')
  return node => byNode.get(node) ?? NOBODY
}

/** The only nodes that the pod's affinity names; null when it does not go by name. */
function namedNodes(pod: Pod): ReadonlySet<string> | null {
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
  if (required === undefined) return null
  const names = new Set<string>()
  for (const { matchFields = [] } of required.nodeSelectorTerms) {
    const lists = matchFields
      .filter(({ key, operator }) => key === 'metadata.name' && operator === 'In')
      .map(({ values = [] }) => new Set(values))
    const [first, ...others] = lists
    if (first === undefined) return null
    for (const name of others.reduce((all, each) => all.intersection(each), first)) names.add(name)
  }
  return names
}

/** No node would do, and no pod's leaving would help. */
function nowhere(pod: Pod, problem: string, plugin: Plugin, nodeCount: number): Unschedulable {
  const all = `0/${nodeCount} nodes are available`
  const claims = claimsText(pod, null)
  const message = `${all}: ${problem}. ${claims}preemption: ${all}: ${nodeCount} ${NOT_HELPFUL}.`
  return { kind: 'unschedulable', message, preemption: null, plugins: new Set([plugin]) }
}

/** What upstream's plugin for claims on devices says before preemption does. */
function claimsText({ spec }: Pod, frees: ResourceClaim | null): string {
  if (!spec?.resourceClaims?.length) return 'no new claims to deallocate, '
  return frees === null ? 'still not schedulable, ' : 'deallocation of ResourceClaim completed, '
}

const UNNAMED_REASON = "node(s) didn't satisfy plugin(s) [NodeAffinity]"

export function unschedulable(
  pod: Pod,
  nodes: readonly NodeInfo[],
  preemption: PreemptionResult | null,
  { rejections, input: { devices } }: Pick<Search, 'rejections' | 'input'>,
): Unschedulable {
  const frees = devices === null ? null : claimToFree(devices, pod)
  const unasked = nodes.length - rejections.size
  const reasons = [...rejections.values()].flatMap(rejection => rejection.reasons)
  const all = [...reasons, ...new Array<string>(unasked).fill(UNNAMED_REASON)]
  const objectors = new Set(Array.from(rejections.values(), ({ plugin }) => plugin))
  if (unasked > 0) objectors.add('NodeAffinity')
  const plugins = objectors.has(null) ? new Set<Plugin>() : (objectors as ReadonlySet<Plugin>)
  const tried = describePreemption(preemption, nodes.length, claimsText(pod, frees))
  const message = `0/${nodes.length} nodes are available: ${countUp(all)}.${tried}`
  return { kind: 'unschedulable', message, preemption, plugins, frees }
}

/** Among equally good ones, any. */
export function pickBest(nodes: readonly NodeInfo[], scores: readonly number[], random: Random): string {
  const best = scores.reduce((a, b) => Math.max(a, b))
  const winners = nodes.filter((_node, index) => scores[index] === best)
  return winners[Math.floor(random.float() * winners.length)]?.name ?? ''
}

function describePreemption(preemption: PreemptionResult | null, nodeCount: number, claims: string): string {
  if (preemption === null) return ''
  switch (preemption.kind) {
    case 'victims':
      return ''
    case 'not-eligible':
      return ` ${claims}preemption: ${preemption.why}`
    default:
      return ` ${claims}preemption: 0/${nodeCount} nodes are available: ${countUp(preemption.reasons)}.`
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
