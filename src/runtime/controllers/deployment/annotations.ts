/** Annotations and labels that tie replica sets to a deployment's revisions and sizes. */
import type { Deployment, ReplicaSet } from '../../../kube/types.ts'
import { scaledValue } from '../shared/int-or-percent.ts'

export const REVISION = 'deployment.kubernetes.io/revision'
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history'
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas'
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas'
export const HASH_LABEL = 'pod-template-hash'
const DEPRECATED_ROLLBACK = 'deprecated.deployment.rollback.to'
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
const REVISION_HISTORY_CHARS_MAX = 2_000

/** Annotations of the deployment that replica sets do not inherit. */
const NOT_INHERITED: ReadonlySet<string> = new Set([
  LAST_APPLIED,
  REVISION,
  REVISION_HISTORY,
  DESIRED_REPLICAS,
  MAX_REPLICAS,
  DEPRECATED_ROLLBACK,
])

export function revisionOf(object: Deployment | ReplicaSet): number {
  const revision = Number(object.metadata.annotations?.[REVISION] ?? 0)
  return Number.isInteger(revision) ? revision : 0
}

export function maxRevision(sets: readonly ReplicaSet[]): number {
  return Math.max(0, ...sets.map(revisionOf))
}

/** The annotations of the newest replica set: what it inherits, and its revision, which only grows. */
export function newSetAnnotations(
  deployment: Deployment,
  set: ReplicaSet,
  options: { readonly revision: number; readonly exists: boolean },
): Record<string, string> {
  const annotations = { ...set.metadata.annotations }
  for (const [key, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!NOT_INHERITED.has(key)) annotations[key] = value
  }
  const old = annotations[REVISION]
  if (Number(old ?? 0) < options.revision) {
    annotations[REVISION] = String(options.revision)
    if (options.exists && old !== undefined && old !== '') {
      const history = annotations[REVISION_HISTORY]
      const entries = [...(history ? history.split(',') : []), old]
      while (entries.join(',').length > REVISION_HISTORY_CHARS_MAX) entries.shift()
      annotations[REVISION_HISTORY] = entries.join(',')
    }
  }
  return options.exists ? annotations : { ...annotations, ...sizeAnnotations(deployment) }
}

/** What size the deployment had when the replica set was last scaled: a change of it is a scaling event. */
export function sizeAnnotations(deployment: Deployment): Record<string, string> {
  const replicas = replicasOf(deployment)
  return {
    [DESIRED_REPLICAS]: String(replicas),
    [MAX_REPLICAS]: String(replicas + maxSurge(deployment)),
  }
}

export const replicasOf = (object: Deployment | ReplicaSet): number => object.spec?.replicas ?? 1

export const isRollingUpdate = (deployment: Deployment): boolean =>
  deployment.spec?.strategy?.type !== 'Recreate'

export function maxSurge(deployment: Deployment): number {
  return isRollingUpdate(deployment) ? resolveFenceposts(deployment).surge : 0
}

/** Never more than the replicas themselves. */
export function maxUnavailable(deployment: Deployment): number {
  if (!isRollingUpdate(deployment) || replicasOf(deployment) === 0) return 0
  return Math.min(resolveFenceposts(deployment).unavailable, replicasOf(deployment))
}

/** Surge rounds up, unavailable rounds down; if both come to nothing, one pod may be unavailable. */
function resolveFenceposts(deployment: Deployment): { surge: number; unavailable: number } {
  const rolling = deployment.spec?.strategy?.rollingUpdate
  const replicas = replicasOf(deployment)
  const surge = scaledValue(rolling?.maxSurge ?? '25%', replicas, Math.ceil)
  const unavailable = scaledValue(rolling?.maxUnavailable ?? '25%', replicas, Math.floor)
  return surge === 0 && unavailable === 0 ? { surge, unavailable: 1 } : { surge, unavailable }
}
