/** A deployment's status: counts, and the conditions Available, Progressing and ReplicaFailure. */

import { formatTime } from '../../../kube/time.ts'
import type { Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'
import { maxUnavailable, replicasOf } from './annotations.ts'

/** kubectl and others write the largest 32-bit number for "no deadline". */
const NO_DEADLINE = 2_147_483_647

export interface NewCondition {
  readonly type: 'Available' | 'Progressing' | 'ReplicaFailure'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
}

export const hasDeadline = (deployment: Deployment): boolean =>
  (deployment.spec?.progressDeadlineSeconds ?? NO_DEADLINE) !== NO_DEADLINE

export function findCondition(
  conditions: readonly DeploymentCondition[] | undefined,
  type: string,
): DeploymentCondition | undefined {
  return conditions?.find(condition => condition.type === type)
}

/** Counts and the Available condition; other conditions are kept. */
export function planCounts(
  deployment: Deployment,
  parts: {
    readonly allSets: readonly ReplicaSet[]
    readonly newSet: ReplicaSet | undefined
    readonly nowMs: number
  },
): DeploymentStatus {
  const sum = (count: (set: ReplicaSet) => number | undefined) =>
    parts.allSets.reduce((total, set) => total + (count(set) ?? 0), 0)
  const available = sum(set => set.status?.availableReplicas)
  const total = parts.allSets.reduce((all, set) => all + replicasOf(set), 0)
  const { collisionCount } = deployment.status ?? {}
  const status: DeploymentStatus = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: sum(set => set.status?.replicas),
    updatedReplicas: parts.newSet?.status?.replicas ?? 0,
    readyReplicas: sum(set => set.status?.readyReplicas),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total - available),
    terminatingReplicas: sum(set => set.status?.terminatingReplicas),
    conditions: [...(deployment.status?.conditions ?? [])],
    ...(collisionCount === undefined ? {} : { collisionCount }),
  }
  const isAvailable = available >= replicasOf(deployment) - maxUnavailable(deployment)
  const condition: NewCondition = isAvailable
    ? {
        type: 'Available',
        status: 'True',
        reason: 'MinimumReplicasAvailable',
        message: 'Deployment has minimum availability.',
      }
    : {
        type: 'Available',
        status: 'False',
        reason: 'MinimumReplicasUnavailable',
        message: 'Deployment does not have minimum availability.',
      }
  return { ...status, conditions: setCondition(status.conditions ?? [], condition, parts.nowMs) }
}

/** Same status and reason: kept as it is. Same status: the time of the transition stays. */
export function setCondition(
  conditions: readonly DeploymentCondition[],
  next: NewCondition,
  nowMs: number,
): DeploymentCondition[] {
  const current = findCondition(conditions, next.type)
  if (current?.status === next.status && current.reason === next.reason) return [...conditions]
  const time = formatTime(nowMs)
  const lastTransitionTime = current?.status === next.status ? (current.lastTransitionTime ?? time) : time
  const others = conditions.filter(condition => condition.type !== next.type)
  return [...others, { ...next, lastUpdateTime: time, lastTransitionTime }]
}

/** As `setCondition`, but written anew although status and reason are the same: progress was made. */
function renewCondition(
  conditions: readonly DeploymentCondition[],
  next: NewCondition,
  nowMs: number,
): DeploymentCondition[] {
  const current = findCondition(conditions, next.type)
  const time = formatTime(nowMs)
  const lastTransitionTime = current?.status === next.status ? (current.lastTransitionTime ?? time) : time
  const others = conditions.filter(condition => condition.type !== next.type)
  return [...others, { ...next, lastUpdateTime: time, lastTransitionTime }]
}

const OMITTED_WHEN_ZERO = [
  'replicas',
  'updatedReplicas',
  'readyReplicas',
  'availableReplicas',
  'unavailableReplicas',
]

/** As the status is written: only pods that end are counted when there are none. */
export function withoutZeros(status: DeploymentStatus): DeploymentStatus {
  const counts = Object.entries(status)
  return Object.fromEntries(counts.filter(([key, value]) => value !== 0 || !OMITTED_WHEN_ZERO.includes(key)))
}

/** Every pod is of the newest template, and available. */
export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const wanted = replicasOf(deployment)
  return (
    status.updatedReplicas === wanted &&
    status.replicas === wanted &&
    status.availableReplicas === wanted &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  )
}

function isProgressing(deployment: Deployment, next: DeploymentStatus): boolean {
  const old = deployment.status
  const oldOnes = (status: DeploymentStatus | undefined) =>
    (status?.replicas ?? 0) - (status?.updatedReplicas ?? 0)
  return (
    (next.updatedReplicas ?? 0) > (old?.updatedReplicas ?? 0) ||
    oldOnes(next) < oldOnes(old) ||
    (next.readyReplicas ?? 0) > (old?.readyReplicas ?? 0) ||
    (next.availableReplicas ?? 0) > (old?.availableReplicas ?? 0)
  )
}

/** When the deployment counts as stuck, in milliseconds since the epoch; null while nothing runs against it. */
export function deadlineMs(deployment: Deployment, status: DeploymentStatus): number | null {
  const progressing = findCondition(status.conditions, 'Progressing')
  if (!hasDeadline(deployment) || progressing === undefined) return null
  if (progressing.reason === 'NewReplicaSetAvailable' || isComplete(deployment, status)) return null
  if (progressing.reason === 'ProgressDeadlineExceeded') return null
  const seconds = deployment.spec?.progressDeadlineSeconds ?? NO_DEADLINE
  return timeMs(progressing.lastUpdateTime) + seconds * 1_000
}

/** The whole status after a rollout step. */
export function planRolloutStatus(
  deployment: Deployment,
  parts: {
    readonly allSets: readonly ReplicaSet[]
    readonly newSet: ReplicaSet | undefined
    readonly nowMs: number
  },
): DeploymentStatus {
  const status = planCounts(deployment, parts)
  const conditions = planProgress(deployment, status, parts)
  return { ...status, conditions: planFailure(conditions, parts) }
}

function planProgress(
  deployment: Deployment,
  status: DeploymentStatus,
  parts: { readonly newSet: ReplicaSet | undefined; readonly nowMs: number },
): DeploymentCondition[] {
  const conditions = status.conditions ?? []
  if (!hasDeadline(deployment)) return conditions.filter(condition => condition.type !== 'Progressing')
  const current = findCondition(deployment.status?.conditions, 'Progressing')
  const isAtRest = status.replicas === status.updatedReplicas && current?.reason === 'NewReplicaSetAvailable'
  if (isAtRest) return conditions
  const { newSet, nowMs } = parts
  const what = newSet ? `ReplicaSet "${newSet.metadata.name}"` : `Deployment "${deployment.metadata.name}"`
  const condition = (state: 'True' | 'False', reason: string, message: string): NewCondition => ({
    type: 'Progressing',
    status: state,
    reason,
    message: `${what} ${message}`,
  })
  if (isComplete(deployment, status)) {
    const done = condition('True', 'NewReplicaSetAvailable', 'has successfully progressed.')
    return setCondition(conditions, done, nowMs)
  }
  if (isProgressing(deployment, status)) {
    return renewCondition(conditions, condition('True', 'ReplicaSetUpdated', 'is progressing.'), nowMs)
  }
  const deadline = deadlineMs(deployment, status)
  if (deadline === null || deadline > nowMs) return conditions
  const late = condition('False', 'ProgressDeadlineExceeded', 'has timed out progressing.')
  return setCondition(conditions, late, nowMs)
}

/** The newest replica set's failure, or any other's. */
function planFailure(
  conditions: readonly DeploymentCondition[],
  parts: {
    readonly allSets: readonly ReplicaSet[]
    readonly newSet: ReplicaSet | undefined
    readonly nowMs: number
  },
): DeploymentCondition[] {
  const ordered = parts.newSet === undefined ? parts.allSets : [parts.newSet, ...parts.allSets]
  const failure = ordered
    .flatMap(set => set.status?.conditions ?? [])
    .find(condition => condition.type === 'ReplicaFailure')
  if (failure === undefined) return conditions.filter(condition => condition.type !== 'ReplicaFailure')
  const next: NewCondition = {
    type: 'ReplicaFailure',
    status: failure.status === 'True' ? 'True' : 'False',
    reason: failure.reason ?? '',
    message: failure.message ?? '',
  }
  return setCondition(conditions, next, parts.nowMs)
}
