/** How the scheduler of one name weighs nodes; the defaults are upstream's. */
import type { Pod } from '../../kube/types.ts'
import type { Plugin } from './filters.ts'

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

export interface Profile {
  readonly name: string
  readonly weights: Weights
  /** The emptiest node or the fullest one. */
  readonly strategy: 'LeastAllocated' | 'MostAllocated'
  /** What counts for how much when nodes are compared by what is free; 0: not at all. */
  readonly fitWeights: { readonly cpu: number; readonly memory: number }
  /** Resources that are never short. */
  readonly ignoredResources: ReadonlySet<string>
  /** Who may object; null: all of them. */
  readonly filters: ReadonlySet<Plugin> | null
  /** Whether less important pods have to leave. */
  readonly preempts: boolean
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
  strategy: 'LeastAllocated',
  fitWeights: { cpu: 1, memory: 1 },
  ignoredResources: new Set(),
  filters: null,
  preempts: true,
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
