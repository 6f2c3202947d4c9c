/** How many daemons may be missing and how many nodes may have two during a rollout. */
import type { DaemonSet } from '../../../kube/types.ts'
import { scaledValue } from '../shared/int-or-percent.ts'

export interface RolloutLimits {
  readonly maxUnavailable: number
  readonly maxSurge: number
}

/** Both round up; without either, one may be missing. */
export function rolloutLimits(set: DaemonSet, desired: number): RolloutLimits {
  const rolling = set.spec?.updateStrategy?.rollingUpdate
  if (!isRolling(set)) return { maxUnavailable: 0, maxSurge: 0 }
  const maxUnavailable = scaledValue(rolling?.maxUnavailable ?? 1, desired, Math.ceil)
  const maxSurge = scaledValue(rolling?.maxSurge ?? 0, desired, Math.ceil)
  return maxUnavailable === 0 && maxSurge === 0
    ? { maxUnavailable: 1, maxSurge }
    : { maxUnavailable, maxSurge }
}

export const isRolling = (set: DaemonSet): boolean => set.spec?.updateStrategy?.type !== 'OnDelete'

/** Whether two pods on one node may be wanted at all. */
export function allowsSurge(set: DaemonSet): boolean {
  const surge = set.spec?.updateStrategy?.rollingUpdate?.maxSurge
  return isRolling(set) && surge !== undefined && scaledValue(surge, 100, Math.ceil) > 0
}
