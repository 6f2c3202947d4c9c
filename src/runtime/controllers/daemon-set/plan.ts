/** What a daemon set does next: first every node gets what it lacks and loses what is too much, then the rollout. */
import type { Pod } from '../../../kube/types.ts'
import { isRolling } from './limits.ts'
import { type Ended, type PlacementInput, planPlacement } from './placement.ts'
import { planRollout } from './rollout.ts'

export interface DaemonSetPlan {
  /** Names of nodes that get a pod. */
  readonly create: readonly string[]
  readonly delete: readonly Pod[]
  readonly failed: readonly Ended[]
  readonly succeeded: readonly Ended[]
  readonly againMs: number | undefined
}

/** Pods created, and pods deleted, in one go. */
const BURST_PODS_MAX = 250

export function planDaemonSet(input: PlacementInput): DaemonSetPlan {
  if (input.set.metadata.deletionTimestamp !== undefined) {
    return { create: [], delete: [], failed: [], succeeded: [], againMs: undefined }
  }
  const placement = planPlacement(input)
  const isAtRest = placement.create.length === 0 && placement.delete.length === 0
  const step = isAtRest && isRolling(input.set) ? planRollout(input) : placement
  const gone = step.delete.slice(0, BURST_PODS_MAX)
  const isGone = ({ pod }: Ended) => gone.includes(pod)
  return {
    create: step.create.slice(0, BURST_PODS_MAX),
    delete: gone,
    failed: placement.failed.filter(isGone),
    succeeded: placement.succeeded.filter(isGone),
    againMs: placement.againMs,
  }
}
