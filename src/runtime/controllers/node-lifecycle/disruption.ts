/**
 * When so many nodes are silent that the fault is more likely the cluster's than theirs, none is evicted (pure).
 * As upstream: by zone, and with the same shares.
 */
import type { Node } from '../../../kube/types.ts'
import { nodeCondition } from './plan.ts'

type ZoneState = 'normal' | 'partial' | 'full'

const PARTIAL_SHARE = 0.55
const PARTIAL_NODES_MIN = 3
/** Zones up to this size evict nobody while they are partly disrupted. */
const SMALL_ZONE = 50

interface Zone {
  readonly nodes: number
  readonly ready: number
}

const NOBODY: Zone = { nodes: 0, ready: 0 }

function zoneStateOf({ nodes, ready }: Zone): ZoneState {
  const notReady = nodes - ready
  if (ready === 0 && notReady > 0) return 'full'
  return notReady >= PARTIAL_NODES_MIN && notReady / nodes >= PARTIAL_SHARE ? 'partial' : 'normal'
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

/**
 * How many nodes each zone has and how many of them are ready, kept up as they change: a thousand heartbeats must not
 * look at a thousand nodes each. `Ready` is told by the last heartbeat: False and Unknown both count as not ready.
 */
export class ZoneTally {
  readonly #nodes = new Map<string, { readonly zone: string; readonly isReady: boolean }>()
  readonly #zones = new Map<string, Zone>()

  constructor(nodes: readonly Node[] = []) {
    for (const node of nodes) this.put(node)
  }

  /** The node as it is now. */
  put(node: Node): void {
    const name = node.metadata.name ?? ''
    const next = { zone: zoneOf(node), isReady: nodeCondition(node, 'Ready')?.status === 'True' }
    const known = this.#nodes.get(name)
    if (known?.zone === next.zone && known.isReady === next.isReady) return
    this.remove(name)
    this.#nodes.set(name, next)
    this.#count(next, 1)
  }

  remove(name: string): void {
    const known = this.#nodes.get(name)
    if (known === undefined) return
    this.#nodes.delete(name)
    this.#count(known, -1)
  }

  /** No node at all is ready. */
  get isEverythingDown(): boolean {
    return this.#zones.values().every(zone => zoneStateOf(zone) === 'full')
  }

  /** What holds for this node while the others are as they are. */
  evictionFor(node: Node): Eviction {
    const { isEverythingDown } = this
    const zone = this.#zones.get(zoneOf(node)) ?? NOBODY
    const isPartial = zoneStateOf(zone) === 'partial'
    const isLarge = zone.nodes > SMALL_ZONE
    return {
      isOn: !isEverythingDown && (!isPartial || isLarge),
      isEverythingDown,
      intervalMs: isPartial ? LARGE_PARTIAL_INTERVAL_MS : INTERVAL_MS,
    }
  }

  #count({ zone, isReady }: { readonly zone: string; readonly isReady: boolean }, by: 1 | -1): void {
    const { nodes, ready } = this.#zones.get(zone) ?? NOBODY
    if (nodes + by === 0) this.#zones.delete(zone)
    else this.#zones.set(zone, { nodes: nodes + by, ready: ready + (isReady ? by : 0) })
  }
}
