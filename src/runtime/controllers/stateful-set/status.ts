/** The status of a stateful set, counted from its pods. */
import type { Pod, StatefulSet, StatefulSetStatus } from '../../../kube/types.ts'
import { isAvailable, isReady, podCondition, timeMs } from '../shared/pods.ts'
import { revisionOf, wantedReplicas } from './identity.ts'

const isRunningAndReady = (pod: Pod): boolean => pod.status?.phase === 'Running' && isReady(pod)

export const isPodAvailable = (set: StatefulSet, pod: Pod, nowMs: number): boolean =>
  isRunningAndReady(pod) && isAvailable(pod, set.spec?.minReadySeconds ?? 0, nowMs)

export interface StatusInput {
  readonly set: StatefulSet
  readonly pods: readonly Pod[]
  /** Names of revisions. */
  readonly current: string
  readonly update: string
  readonly collisionCount: number
  readonly nowMs: number
}

/** Once all pods are of the new revision and ready, that is the current one. */
export function planStatefulSetStatus(input: StatusInput): StatefulSetStatus {
  const { set, pods, update, nowMs } = input
  const live = pods.filter(pod => pod.metadata.deletionTimestamp === undefined)
  const ofRevision = (name: string) => live.filter(pod => revisionOf(pod) === name).length
  const replicas = pods.length
  const readyReplicas = pods.filter(isRunningAndReady).length
  const updatedReplicas = ofRevision(update)
  const wanted = wantedReplicas(set)
  const isDone =
    set.spec?.updateStrategy?.type !== 'OnDelete' &&
    [updatedReplicas, readyReplicas, replicas].every(count => count === wanted)
  const current = isDone ? update : input.current
  const { conditions } = set.status ?? {}
  return {
    observedGeneration: set.metadata.generation ?? 0,
    replicas,
    readyReplicas,
    availableReplicas: pods.filter(pod => isPodAvailable(set, pod, nowMs)).length,
    currentReplicas: ofRevision(current),
    updatedReplicas,
    currentRevision: current,
    updateRevision: update,
    collisionCount: input.collisionCount,
    ...(conditions === undefined ? {} : { conditions }),
  }
}

/** Milliseconds until the next ready pod counts as available; undefined when none is waiting. */
export function untilAvailableMs(set: StatefulSet, pods: readonly Pod[], nowMs: number): number | undefined {
  const minReadyMs = (set.spec?.minReadySeconds ?? 0) * 1_000
  const waits = pods
    .filter(isRunningAndReady)
    .map(pod => timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) + minReadyMs - nowMs)
    .filter(waitMs => waitMs > 0)
  return waits.length === 0 ? undefined : Math.min(...waits)
}
