/**
 * When so many nodes are silent that the fault is more likely the cluster's than theirs, none is evicted (pure).
 * As upstream: by zone, and with the same shares.
 */
import type { Node } from '../../../kube/types.ts'
import { nodeCondition } from './plan.ts'

export type ZoneState = 'normal' | 'partial' | 'full'

const PARTIAL_SHARE = 0.55
const PARTIAL_NODES_MIN = 3
/** Zones up to this size evict nobody while they are partly disrupted. */
const SMALL_ZONE = 50

/** `Ready` is told by the last heartbeat: False and Unknown both count as not ready. */
export function zoneStateOf(nodes: readonly Node[]): ZoneState {
  const ready = nodes.filter(node => nodeCondition(node, 'Ready')?.status === 'True').length
  const notReady = nodes.length - ready
  if (ready === 0 && notReady > 0) return 'full'
  return notReady >= PARTIAL_NODES_MIN && notReady / nodes.length >= PARTIAL_SHARE ? 'partial' : 'normal'
}

export function zoneOf({ metadata: { labels = {} } }: Node): string {
  return `${labels['topology.kubernetes.io/region'] ?? ''}/${labels['topology.kubernetes.io/zone'] ?? ''}`
}

export interface Eviction {
  /** Whether nodes may be tainted so that their pods leave; what is tainted already may stay so. */
  readonly isOn: boolean
  /** No node at all is ready: nobody is to leave, and taints that make pods leave are taken away. */
  readonly isEverythingDown: boolean
  /** The least time between two nodes of a zone. */
  readonly intervalMs: number
}

const INTERVAL_MS = 10_000
const LARGE_PARTIAL_INTERVAL_MS = 100_000

/** What holds for this node while the others are as they are. */
export function evictionFor(node: Node, nodes: readonly Node[]): Eviction {
  const zones = Map.groupBy(nodes, zoneOf)
  const isEverythingDown = [...zones.values()].every(zone => zoneStateOf(zone) === 'full')
  const zone = zones.get(zoneOf(node)) ?? [node]
  const isPartial = zoneStateOf(zone) === 'partial'
  const isLarge = zone.length > SMALL_ZONE
  return {
    isOn: !isEverythingDown && (!isPartial || isLarge),
    isEverythingDown,
    intervalMs: isPartial ? LARGE_PARTIAL_INTERVAL_MS : INTERVAL_MS,
  }
}
