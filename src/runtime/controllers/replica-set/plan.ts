/** What a replica set needs: pods to create or to delete, and its status. */

import { hasLabels } from '../../../client/has-labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import type { Pod, ReplicaSet, ReplicaSetCondition, ReplicaSetStatus } from '../../../kube/types.ts'
import { isActive, isAvailable, isReady, podCondition, timeMs } from '../shared/pods.ts'
import { rankForDeletion } from '../shared/ranking.ts'
import { generateNameOf, podOfTemplate } from '../shared/template-pod.ts'

/** Pods created or deleted in one go. */
export const BURST_PODS_MAX = 500

export type ReplicaPlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'create'; readonly count: number }
  | { readonly kind: 'delete'; readonly pods: readonly Pod[] }

/** `related` are the pods of all replica sets of the same owner. */
export function planReplicas(
  set: ReplicaSet,
  parts: { readonly pods: readonly Pod[]; readonly related: readonly Pod[]; readonly nowMs: number },
): ReplicaPlan {
  if (set.metadata.deletionTimestamp !== undefined) return { kind: 'nothing' }
  const active = parts.pods.filter(isActive)
  const missing = wantedReplicas(set) - active.length
  if (missing === 0) return { kind: 'nothing' }
  if (missing > 0) return { kind: 'create', count: Math.min(missing, BURST_PODS_MAX) }
  const ranked = rankForDeletion(active, parts.related.filter(isActive), parts.nowMs)
  return { kind: 'delete', pods: ranked.slice(0, Math.min(-missing, BURST_PODS_MAX)) }
}

/** A pod of the set's template, not created yet. */
export function renderPod(set: ReplicaSet): KubeObject {
  const pod = podOfTemplate(set, set.spec?.template)
  return { ...pod, metadata: { ...pod.metadata, generateName: generateNameOf(set) } }
}

export const wantedReplicas = (set: ReplicaSet): number => set.spec?.replicas ?? 1

export interface ReplicaFailure {
  readonly reason: 'FailedCreate' | 'FailedDelete'
  readonly message: string
}

/** The status as it should be; `failure` is what went wrong with pods just now. */
export function planReplicaSetStatus(
  set: ReplicaSet,
  parts: { readonly pods: readonly Pod[]; readonly nowMs: number; readonly failure: ReplicaFailure | null },
): ReplicaSetStatus {
  const { nowMs } = parts
  const active = parts.pods.filter(isActive)
  const templateLabels = set.spec?.template?.metadata?.labels
  const minReadySeconds = set.spec?.minReadySeconds ?? 0
  const terminating = parts.pods.filter(pod => pod.metadata.deletionTimestamp !== undefined)
  const conditions = planConditions(set, parts)
  return {
    replicas: active.length,
    fullyLabeledReplicas: active.filter(pod => hasLabels(templateLabels, pod.metadata.labels)).length,
    readyReplicas: active.filter(isReady).length,
    availableReplicas: active.filter(pod => isAvailable(pod, minReadySeconds, nowMs)).length,
    terminatingReplicas: terminating.length,
    observedGeneration: set.metadata.generation ?? 0,
    ...(conditions.length > 0 ? { conditions } : {}),
  }
}

function planConditions(
  set: ReplicaSet,
  parts: { readonly nowMs: number; readonly failure: ReplicaFailure | null },
): ReplicaSetCondition[] {
  const others = (set.status?.conditions ?? []).filter(condition => condition.type !== 'ReplicaFailure')
  const present = (set.status?.conditions ?? []).find(condition => condition.type === 'ReplicaFailure')
  if (parts.failure === null) return others
  if (present !== undefined && present.reason === parts.failure.reason) return [...others, present]
  const lastTransitionTime = `${new Date(parts.nowMs).toISOString().slice(0, 19)}Z`
  return [...others, { type: 'ReplicaFailure', status: 'True', lastTransitionTime, ...parts.failure }]
}

/** Milliseconds until the next ready pod becomes available; undefined when none is waiting. */
export function untilAvailableMs(set: ReplicaSet, pods: readonly Pod[], nowMs: number): number | undefined {
  const minReadyMs = (set.spec?.minReadySeconds ?? 0) * 1_000
  if (minReadyMs === 0) return undefined
  const waits = pods
    .filter(pod => isActive(pod) && isReady(pod))
    .map(pod => timeMs(podCondition(pod, 'Ready')?.lastTransitionTime) + minReadyMs - nowMs)
    .filter(waitMs => waitMs > 0)
  return waits.length === 0 ? undefined : Math.min(...waits)
}
