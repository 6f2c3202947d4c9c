/** The status of a daemon set, counted over nodes. */
import type { DaemonSet, DaemonSetStatus, Pod } from '../../../kube/types.ts'
import { isAvailable, isReady, podCondition, timeMs } from '../shared/pods.ts'
import { isUpdated } from './daemon-pod.ts'
import type { DaemonNode } from './nodes.ts'

export interface StatusInput {
  readonly set: DaemonSet
  readonly nodes: readonly DaemonNode[]
  readonly hash: string
  readonly collisionCount: number
  readonly nowMs: number
}

/** Of several pods on a node the one that has run longest counts. */
export function planDaemonSetStatus({
  set,
  nodes,
  hash,
  collisionCount,
  nowMs,
}: StatusInput): DaemonSetStatus {
  const wanted = nodes.filter(node => node.shouldRun)
  const pods = wanted.flatMap(node => node.pods.slice(0, 1))
  const minReadySeconds = set.spec?.minReadySeconds ?? 0
  const ready = pods.filter(isReady)
  const available = ready.filter(pod => isAvailable(pod, minReadySeconds, nowMs)).length
  const { conditions, collisionCount: known } = set.status ?? {}
  const updated = pods.filter(pod => isUpdated(set, pod, hash)).length
  const unavailable = wanted.length - available
  return {
    observedGeneration: set.metadata.generation ?? 0,
    desiredNumberScheduled: wanted.length,
    currentNumberScheduled: pods.length,
    numberMisscheduled: nodes.filter(node => !node.shouldRun && node.pods.length > 0).length,
    numberReady: ready.length,
    ...(updated > 0 ? { updatedNumberScheduled: updated } : {}),
    ...(available > 0 ? { numberAvailable: available } : {}),
    ...(unavailable > 0 ? { numberUnavailable: unavailable } : {}),
    ...(collisionCount > 0 || known !== undefined ? { collisionCount } : {}),
    ...(conditions === undefined ? {} : { conditions }),
  }
}

/** Milliseconds until the next ready pod counts as available; undefined when none is waiting. */
export function untilAvailableMs(set: DaemonSet, pods: readonly Pod[], nowMs: number): number | undefined {
  const minReadyMs = (set.spec?.minReadySeconds ?? 0) * 1_000
  const waits = pods
    .filter(isReady)
    .map(pod => timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) + minReadyMs - nowMs)
    .filter(waitMs => waitMs > 0)
  return waits.length === 0 ? undefined : Math.min(...waits)
}
