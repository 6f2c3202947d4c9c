/** How the scheduler of one name weighs nodes; the defaults are upstream's. */
import type { Pod } from '../../kube/types.ts'

export type Constraint = NonNullable<NonNullable<Pod['spec']>['topologySpreadConstraints']>[number]

export interface Weights {
  readonly NodeResourcesFit: number
  readonly NodeResourcesBalancedAllocation: number
  readonly TaintToleration: number
  readonly NodeAffinity: number
  readonly PodTopologySpread: number
  readonly InterPodAffinity: number
  readonly ImageLocality: number
}

export type AddedAffinity = NonNullable<NonNullable<NonNullable<Pod['spec']>['affinity']>['nodeAffinity']>

export interface FitScoring {
  /** The emptiest node, the fullest one, or what `shape` says of how far a node is used. */
  readonly type: 'LeastAllocated' | 'MostAllocated' | 'RequestedToCapacityRatio'
  readonly resources: readonly { readonly name: string; readonly weight: number }[]
  /** Percent used, in order, to a score of 0 to 100. */
  readonly shape: readonly { readonly utilization: number; readonly score: number }[]
}

export interface Profile {
  readonly name: string
  readonly weights: Weights
  /** How NodeResourcesFit compares nodes. */
  readonly fit: FitScoring
  /** What is to be used to the same degree. */
  readonly balanced: readonly string[]
  /** Resources that are never short, and the groups of such (`example.com` of `example.com/a`). */
  readonly ignoredResources: ReadonlySet<string>
  readonly ignoredGroups: ReadonlySet<string>
  /** What every pod of the profile asks of nodes beside what it says itself. */
  readonly addedAffinity: AddedAffinity | null
  /** Who may object; null: all of them. */
  readonly filters: ReadonlySet<Plugin> | null
  /** Whether less important pods have to leave. */
  readonly preempts: boolean
  /** How many nodes where room can be made are enough to choose from. */
  readonly candidates: { readonly percentage: number; readonly absolute: number }
  /** How long volumes are waited for. */
  readonly bindTimeoutMs: number
  /** What required affinity of pods that are there is worth to a pod that comes. */
  readonly hardPodAffinityWeight: number
  /** Preferences of pods that are there count only where the pod that comes has some, too. */
  readonly ignoresPreferred: boolean
  /** Of pods that bring none of their own. */
  readonly defaultConstraints: readonly Constraint[]
  /** 0: fewer the more nodes there are. */
  readonly percentageOfNodesToScore: number
}

export const DEFAULT_SCHEDULER = 'default-scheduler'

export const SYSTEM_CONSTRAINTS: readonly Constraint[] = [
  { topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 3 },
  { topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway', maxSkew: 5 },
]

export const DEFAULT_PROFILE: Profile = {
  name: DEFAULT_SCHEDULER,
  weights: {
    NodeResourcesFit: 1,
    NodeResourcesBalancedAllocation: 1,
    TaintToleration: 3,
    NodeAffinity: 2,
    PodTopologySpread: 2,
    InterPodAffinity: 2,
    ImageLocality: 1,
  },
  fit: {
    type: 'LeastAllocated',
    resources: [
      { name: 'cpu', weight: 1 },
      { name: 'memory', weight: 1 },
    ],
    shape: [],
  },
  balanced: ['cpu', 'memory'],
  ignoredResources: new Set(),
  ignoredGroups: new Set(),
  addedAffinity: null,
  filters: null,
  preempts: true,
  candidates: { percentage: 10, absolute: 100 },
  bindTimeoutMs: 600_000,
  hardPodAffinityWeight: 1,
  ignoresPreferred: false,
  defaultConstraints: SYSTEM_CONSTRAINTS,
  percentageOfNodesToScore: 0,
}

const NODES_MIN = 100
const PERCENT_MIN = 5

/** How many nodes that fit are enough to choose from. */
export function nodesToScore(all: number, { percentageOfNodesToScore: fixed }: Profile): number {
  if (all < NODES_MIN || fixed >= 100) return all
  const percent = fixed > 0 ? fixed : Math.max(PERCENT_MIN, 50 - Math.trunc(all / 125))
  return Math.max(NODES_MIN, Math.trunc((all * percent) / 100))
}

export type Plugin =
  | 'NodeUnschedulable'
  | 'NodeName'
  | 'TaintToleration'
  | 'NodeAffinity'
  | 'NodePorts'
  | 'NodeResourcesFit'
  | 'VolumeRestrictions'
  | 'NodeVolumeLimits'
  | 'VolumeBinding'
  | 'VolumeZone'
  | 'PodTopologySpread'
  | 'InterPodAffinity'
  | 'DynamicResources'
  | 'NodeDeclaredFeatures'
