/**
 * Which less important pods must leave so that a pod fits: on each node as few and as unimportant ones as
 * possible, then the node where that hurts least. Pure.
 */
import type { Pod } from '../../kube/types.ts'
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
  readonly victims: readonly Pod[]
}

interface World {
  readonly nodes: readonly NodeInfo[]
  readonly volumes: VolumeView | undefined
}

export function findPreemption(
  pod: Pod,
  nodes: readonly NodeInfo[],
  rejections: ReadonlyMap<string, Rejection>,
  volumes?: VolumeView,
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
    if (rejections.get(node.name)?.resolvable !== true) {
      reasons.push(NOT_HELPFUL)
      continue
    }
    const found = victimsOn(pod, node, { nodes, volumes })
    if (Array.isArray(found)) reasons.push(...found)
    else candidates.push(found)
  }
  const [best] = candidates.sort(compareCandidates)
  return best === undefined ? { kind: 'none', reasons, waits: false } : { kind: 'victims', ...best }
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
  const victims: Pod[] = []
  // The most important stay if they can.
  for (const other of lower.sort(compareImportance)) {
    without.add(other)
    if (tryOn(pod, without, world) === null) continue
    without.remove(other.metadata.uid ?? '')
    victims.push(other)
  }
  return victims.length === 0 ? [NO_VICTIMS] : { node: node.name, victims }
}

function tryOn(pod: Pod, changed: NodeInfo, { nodes, volumes }: World): Rejection | null {
  const seen = nodes.map(node => (node.name === changed.name ? changed : node))
  return filterNode(prepareFilters(pod, podRequests(pod), seen, volumes), changed)
}

const compareImportance = (a: Pod, b: Pod): number => priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b)

/** The least harm first: importance of the most important victim, of all of them, their number, their age. */
function compareCandidates(a: Candidate, b: Candidate): number {
  const sum = ({ victims }: Candidate) => victims.reduce((total, pod) => total + priorityOf(pod), 0)
  const [firstA, firstB] = [a.victims[0], b.victims[0]]
  if (firstA === undefined || firstB === undefined) return 0
  return (
    priorityOf(firstA) - priorityOf(firstB) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    startOf(firstB) - startOf(firstA)
  )
}
