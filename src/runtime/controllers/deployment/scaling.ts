/** How replicas are divided: rolling steps and the proportional share when a deployment is resized midway. */
import type { Deployment, ReplicaSet } from '../../../kube/types.ts'
import {
  DESIRED_REPLICAS,
  isRollingUpdate,
  MAX_REPLICAS,
  maxSurge,
  maxUnavailable,
  replicasOf,
} from './annotations.ts'
import { activeSets, byAge, newSetReplicas, sumAvailable, sumReplicas } from './replica-sets.ts'

export interface Resize {
  readonly set: ReplicaSet
  readonly to: number
}

export interface Sets {
  readonly newSet: ReplicaSet | undefined
  /** Without the newest, with those that have no pods. */
  readonly oldSets: readonly ReplicaSet[]
}

const allOf = (sets: Sets): ReplicaSet[] =>
  sets.newSet === undefined ? [...sets.oldSets] : [...sets.oldSets, sets.newSet]

/** The newest towards its size, in one step. */
export function planNewSetScale(deployment: Deployment, sets: Sets): Resize[] {
  const { newSet } = sets
  if (newSet === undefined || replicasOf(newSet) === replicasOf(deployment)) return []
  const over = replicasOf(newSet) > replicasOf(deployment)
  const to = over ? replicasOf(deployment) : newSetReplicas(deployment, { newSet, allSets: allOf(sets) })
  return to === replicasOf(newSet) ? [] : [{ set: newSet, to }]
}

/** The old ones down: first pods that do no good anyway, then as far as enough stay available. */
export function planOldSetsScale(deployment: Deployment, sets: Sets): Resize[] {
  const old = activeSets(sets.oldSets)
  if (old.length === 0) return []
  const all = allOf(sets)
  const least = replicasOf(deployment) - maxUnavailable(deployment)
  const newUnavailable =
    sets.newSet === undefined ? 0 : replicasOf(sets.newSet) - (sets.newSet.status?.availableReplicas ?? 0)
  const mayGo = sumReplicas(all) - least - newUnavailable
  if (mayGo <= 0) return []
  const sizes = new Map(old.map(set => [set, replicasOf(set)]))
  const ordered = [...old].sort(byAge)
  dropUnhealthy(ordered, sizes, mayGo)
  dropAvailable(ordered, sizes, sumAvailable(all) - least)
  return ordered
    .map(set => ({ set, to: sizes.get(set) ?? 0 }))
    .filter(resize => resize.to !== replicasOf(resize.set))
}

function dropUnhealthy(sets: readonly ReplicaSet[], sizes: Map<ReplicaSet, number>, most: number): void {
  let left = most
  for (const set of sets) {
    const size = sizes.get(set) ?? 0
    const unhealthy = Math.max(0, size - (set.status?.availableReplicas ?? 0))
    const drop = Math.min(left, unhealthy)
    sizes.set(set, size - drop)
    left -= drop
  }
}

function dropAvailable(sets: readonly ReplicaSet[], sizes: Map<ReplicaSet, number>, most: number): void {
  let left = most
  for (const set of sets) {
    if (left <= 0) return
    const size = sizes.get(set) ?? 0
    const drop = Math.min(left, size)
    sizes.set(set, size - drop)
    left -= drop
  }
}

/** The deployment was resized since its replica sets were last scaled. */
export function isScalingEvent(deployment: Deployment, sets: Sets): boolean {
  return activeSets(allOf(sets)).some(set => {
    const desired = set.metadata.annotations?.[DESIRED_REPLICAS]
    return desired !== undefined && Number(desired) !== replicasOf(deployment)
  })
}

/** All replica sets to the deployment's new size, in proportion when several have pods. */
export function planResize(deployment: Deployment, sets: Sets): Resize[] {
  const only = findOnlyActive(sets)
  if (only !== undefined) {
    return replicasOf(only) === replicasOf(deployment) ? [] : [{ set: only, to: replicasOf(deployment) }]
  }
  if (isSaturated(deployment, sets.newSet)) {
    return activeSets(sets.oldSets).map(set => ({ set, to: 0 }))
  }
  return isRollingUpdate(deployment) ? planProportional(deployment, sets) : []
}

/** The one that has pods, or the newest when none has. */
function findOnlyActive(sets: Sets): ReplicaSet | undefined {
  const active = activeSets(allOf(sets))
  if (active.length > 1) return undefined
  return active[0] ?? sets.newSet ?? [...sets.oldSets].sort(byAge).at(-1)
}

function isSaturated(deployment: Deployment, set: ReplicaSet | undefined): boolean {
  return (
    set !== undefined &&
    replicasOf(set) === replicasOf(deployment) &&
    Number(set.metadata.annotations?.[DESIRED_REPLICAS]) === replicasOf(deployment) &&
    set.status?.availableReplicas === replicasOf(deployment)
  )
}

function planProportional(deployment: Deployment, sets: Sets): Resize[] {
  const active = activeSets(allOf(sets))
  const total = sumReplicas(active)
  const allowed = replicasOf(deployment) > 0 ? replicasOf(deployment) + maxSurge(deployment) : 0
  const toAdd = allowed - total
  const ordered = [...active].sort(
    (a, b) => replicasOf(b) - replicasOf(a) || (toAdd > 0 ? byAge(b, a) : byAge(a, b)),
  )
  let added = 0
  const resizes = ordered.map(set => {
    const share = toAdd === 0 ? 0 : proportion(deployment, set, { toAdd, added })
    added += share
    return { set, to: replicasOf(set) + share }
  })
  const largest = resizes[0]
  if (largest !== undefined) resizes[0] = { ...largest, to: Math.max(0, largest.to + toAdd - added) }
  return resizes
}

function proportion(
  deployment: Deployment,
  set: ReplicaSet,
  progress: { readonly toAdd: number; readonly added: number },
): number {
  const left = progress.toAdd - progress.added
  if (replicasOf(set) === 0 || left === 0) return 0
  const fraction = fractionOf(deployment, set)
  return progress.toAdd > 0 ? Math.min(fraction, left) : Math.max(fraction, left)
}

/** The replica set's share of the deployment's growth, from the size it was last scaled at. */
function fractionOf(deployment: Deployment, set: ReplicaSet): number {
  if (replicasOf(deployment) === 0) return -replicasOf(set)
  const size = replicasOf(deployment) + maxSurge(deployment)
  const before = Number(set.metadata.annotations?.[MAX_REPLICAS])
  const reference = Number.isInteger(before) && before > 0 ? before : (deployment.status?.replicas ?? 0)
  if (reference === 0) return 0
  return Math.round((replicasOf(set) * size) / reference) - replicasOf(set)
}
