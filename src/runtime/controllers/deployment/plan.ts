/** One step of a deployment: which replica sets to create, change, resize or delete, and the status then. */

import { semanticEqual } from '../../../kube/equality.ts'
import type { Deployment, DeploymentStatus, Pod, ReplicaSet } from '../../../kube/types.ts'
import { isFinished } from '../shared/pods.ts'
import {
  isRollingUpdate,
  maxRevision,
  newSetAnnotations,
  REVISION,
  replicasOf,
  revisionOf,
  sizeAnnotations,
} from './annotations.ts'
import { activeSets, findNewSet, renderNewSet } from './replica-sets.ts'
import {
  isScalingEvent,
  planNewSetScale,
  planOldSetsScale,
  planResize,
  type Resize,
  type Sets,
} from './scaling.ts'
import {
  findCondition,
  hasDeadline,
  isComplete,
  type NewCondition,
  planCounts,
  planRolloutStatus,
  setCondition,
} from './status.ts'

export type DeploymentAction =
  | { readonly kind: 'create-set'; readonly set: ReplicaSet }
  /** Annotations or minReadySeconds of the newest. */
  | { readonly kind: 'update-set'; readonly set: ReplicaSet }
  | { readonly kind: 'resize-set'; readonly set: ReplicaSet; readonly to: number }
  | { readonly kind: 'delete-set'; readonly set: ReplicaSet }

export interface DeploymentPlan {
  /** Carried out in this order; afterwards the deployment is looked at again. */
  readonly actions: readonly DeploymentAction[]
  readonly status: DeploymentStatus
  /** The deployment's own revision annotation; null to leave it. */
  readonly revision: string | null
}

export interface DeploymentState {
  readonly deployment: Deployment
  readonly sets: readonly ReplicaSet[]
  /** Pods of all of its replica sets. */
  readonly pods: readonly Pod[]
  readonly nowMs: number
}

export function planDeployment(state: DeploymentState): DeploymentPlan {
  const { deployment } = state
  const newSet = findNewSet(deployment, state.sets)
  const sets: Sets = { newSet, oldSets: state.sets.filter(set => set !== newSet) }
  if (deployment.metadata.deletionTimestamp !== undefined) return statusOnly(state, sets)
  const isPaused = deployment.spec?.paused === true
  if (isPaused || isScalingEvent(deployment, sets)) return planSync(state, sets, { isPaused })
  return isRollingUpdate(deployment) ? planRolling(state, sets) : planRecreate(state, sets)
}

function statusOnly(state: DeploymentState, sets: Sets): DeploymentPlan {
  const status = planCounts(state.deployment, { ...state, allSets: state.sets, newSet: sets.newSet })
  return { actions: [], status, revision: null }
}

/** Paused, or resized: sizes only, no rollout. */
function planSync(
  state: DeploymentState,
  sets: Sets,
  options: { readonly isPaused: boolean },
): DeploymentPlan {
  const { deployment } = state
  const adjusted = sets.newSet === undefined ? [] : adjustNewSet(deployment, sets.newSet, sets.oldSets)
  // A replica set that has its size already needs no write: a plan that never empties would never end.
  const resizes = planResize(deployment, sets).filter(({ set, to }) => to !== replicasOf(set))
  const stale = [...activeSets(state.sets)].filter(
    set =>
      !resizes.some(resize => resize.set === set) &&
      !semanticEqual(
        { ...set.metadata.annotations, ...sizeAnnotations(deployment) },
        set.metadata.annotations,
      ),
  )
  const actions = [
    ...adjusted,
    ...resizes.map(toAction),
    ...stale.map(set => toAction({ set, to: replicasOf(set) })),
    ...(options.isPaused ? planCleanup(deployment, sets.oldSets) : []),
  ]
  const status = planCounts(deployment, { ...state, allSets: state.sets, newSet: sets.newSet })
  const conditions = planPausedCondition(state, status)
  return { actions, status: { ...status, conditions }, revision: revisionAfter(deployment, sets) }
}

function planPausedCondition(state: DeploymentState, status: DeploymentStatus) {
  const conditions = status.conditions ?? []
  const { deployment, nowMs } = state
  if (!hasDeadline(deployment)) return conditions
  const current = findCondition(conditions, 'Progressing')
  const isPaused = deployment.spec?.paused === true
  if (current?.reason === 'ProgressDeadlineExceeded') return conditions
  if (isPaused && current?.reason !== 'DeploymentPaused') {
    return setCondition(conditions, progressing('DeploymentPaused', 'Deployment is paused'), nowMs)
  }
  if (!isPaused && current?.reason === 'DeploymentPaused') {
    return setCondition(conditions, progressing('DeploymentResumed', 'Deployment is resumed'), nowMs)
  }
  return conditions
}

const progressing = (reason: string, message: string): NewCondition => ({
  type: 'Progressing',
  status: 'Unknown',
  reason,
  message,
})

function planRolling(state: DeploymentState, sets: Sets): DeploymentPlan {
  const { deployment } = state
  if (sets.newSet === undefined) return planCreation(state, sets)
  const adjusted = adjustNewSet(deployment, sets.newSet, sets.oldSets)
  const grown = planNewSetScale(deployment, sets)
  const resizes = grown.length > 0 ? grown : planOldSetsScale(deployment, sets)
  return finish(state, sets, [...adjusted, ...resizes.map(toAction)])
}

function planRecreate(state: DeploymentState, sets: Sets): DeploymentPlan {
  const active = activeSets(sets.oldSets)
  if (active.length > 0) {
    return finish(
      state,
      sets,
      active.map(set => toAction({ set, to: 0 })),
    )
  }
  if (hasOldPods(state, sets.newSet)) return finish(state, sets, [])
  if (sets.newSet === undefined) return planCreation(state, sets)
  const adjusted = adjustNewSet(state.deployment, sets.newSet, sets.oldSets)
  const resizes = planNewSetScale(state.deployment, sets)
  return finish(state, sets, [...adjusted, ...resizes.map(toAction)])
}

/** A pod of an older template may still run: it counts until it is gone or finished. */
function hasOldPods(state: DeploymentState, newSet: ReplicaSet | undefined): boolean {
  return state.pods.some(
    pod =>
      !isFinished(pod) &&
      !(pod.metadata.ownerReferences ?? []).some(owner => owner.uid === newSet?.metadata.uid),
  )
}

function planCreation(state: DeploymentState, sets: Sets): DeploymentPlan {
  const { deployment, nowMs } = state
  const revision = maxRevision(sets.oldSets) + 1
  const set = renderNewSet(deployment, { revision, oldSets: sets.oldSets })
  const status = planRolloutStatus(deployment, { ...state, allSets: state.sets, newSet: undefined })
  const condition: NewCondition = {
    type: 'Progressing',
    status: 'True',
    reason: 'NewReplicaSetCreated',
    message: `Created new replica set "${set.metadata.name}"`,
  }
  const conditions = hasDeadline(deployment)
    ? setCondition(status.conditions ?? [], condition, nowMs)
    : (status.conditions ?? [])
  return {
    actions: [{ kind: 'create-set', set }],
    status: { ...status, conditions },
    revision: String(revision),
  }
}

/** The newest's annotations and minReadySeconds follow the deployment. */
function adjustNewSet(
  deployment: Deployment,
  newSet: ReplicaSet,
  oldSets: readonly ReplicaSet[],
): DeploymentAction[] {
  const revision = maxRevision(oldSets) + 1
  const annotations = newSetAnnotations(deployment, newSet, { revision, exists: true })
  const minReadySeconds = deployment.spec?.minReadySeconds ?? 0
  const isSame =
    semanticEqual(annotations, newSet.metadata.annotations) &&
    minReadySeconds === (newSet.spec?.minReadySeconds ?? 0)
  if (isSame) return []
  const spec = { ...newSet.spec, selector: newSet.spec?.selector ?? {}, minReadySeconds }
  return [{ kind: 'update-set', set: { ...newSet, metadata: { ...newSet.metadata, annotations }, spec } }]
}

function finish(state: DeploymentState, sets: Sets, actions: readonly DeploymentAction[]): DeploymentPlan {
  const { deployment, nowMs } = state
  const found = withFoundCondition(deployment, sets.newSet, nowMs)
  const status = planRolloutStatus(found, { ...state, allSets: state.sets, newSet: sets.newSet })
  const isDone = actions.length === 0 && isComplete(deployment, status)
  const cleanup = isDone ? planCleanup(deployment, sets.oldSets) : []
  return { actions: [...actions, ...cleanup], status, revision: revisionAfter(deployment, sets) }
}

/** A deployment without any word on progress gets one: this matters when it was paused or has just a deadline. */
function withFoundCondition(
  deployment: Deployment,
  newSet: ReplicaSet | undefined,
  nowMs: number,
): Deployment {
  const conditions = deployment.status?.conditions ?? []
  const current = findCondition(conditions, 'Progressing')
  if (!hasDeadline(deployment)) return deployment
  if (current?.reason === 'DeploymentPaused') {
    const resumed = progressing('DeploymentResumed', 'Deployment is resumed')
    return {
      ...deployment,
      status: { ...deployment.status, conditions: setCondition(conditions, resumed, nowMs) },
    }
  }
  if (current !== undefined || newSet === undefined) return deployment
  const found: NewCondition = {
    type: 'Progressing',
    status: 'True',
    reason: 'FoundNewReplicaSet',
    message: `Found new replica set "${newSet.metadata.name}"`,
  }
  return {
    ...deployment,
    status: { ...deployment.status, conditions: setCondition(conditions, found, nowMs) },
  }
}

function revisionAfter(deployment: Deployment, sets: Sets): string | null {
  if (sets.newSet === undefined) return null
  const revision = Math.max(maxRevision(sets.oldSets) + 1, revisionOf(sets.newSet))
  const text = String(revision)
  return deployment.metadata.annotations?.[REVISION] === text ? null : text
}

/** Old replica sets without pods beyond the history limit, oldest revision first. */
function planCleanup(deployment: Deployment, oldSets: readonly ReplicaSet[]): DeploymentAction[] {
  const limit = deployment.spec?.revisionHistoryLimit ?? 10
  const idle = oldSets.filter(set => set.metadata.deletionTimestamp === undefined)
  const excess = idle.length - limit
  if (excess <= 0) return []
  return [...idle]
    .sort((a, b) => revisionOf(a) - revisionOf(b))
    .slice(0, excess)
    .filter(isEmpty)
    .map(set => ({ kind: 'delete-set' as const, set }))
}

const isEmpty = (set: ReplicaSet): boolean =>
  replicasOf(set) === 0 &&
  (set.status?.replicas ?? 0) === 0 &&
  (set.metadata.generation ?? 0) <= (set.status?.observedGeneration ?? 0)

const toAction = ({ set, to }: Resize): DeploymentAction => ({ kind: 'resize-set', set, to })
