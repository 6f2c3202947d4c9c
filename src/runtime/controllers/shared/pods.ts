/** Questions that several controllers ask of a pod. */
import type { Pod, PodCondition } from '../../../kube/types.ts'

/** Neither finished nor being deleted. */
export function isActive(pod: Pod): boolean {
  return !isFinished(pod) && pod.metadata.deletionTimestamp === undefined
}

export function isFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed'
}

export function podCondition(pod: Pod, type: string): PodCondition | undefined {
  return pod.status?.conditions?.find(condition => condition.type === type)
}

export function isReady(pod: Pod): boolean {
  return podCondition(pod, 'Ready')?.status === 'True'
}

/** Ready for at least so long. */
export function isAvailable(pod: Pod, minReadySeconds: number, nowMs: number): boolean {
  const ready = podCondition(pod, 'Ready')
  if (ready?.status !== 'True') return false
  if (minReadySeconds === 0) return true
  return timeMs(ready.lastTransitionTime) + minReadySeconds * 1_000 <= nowMs
}

/** Milliseconds of a timestamp; 0 when there is none. */
export function timeMs(time: string | undefined | null): number {
  const parsed = Date.parse(time ?? '')
  return Number.isNaN(parsed) ? 0 : parsed
}
