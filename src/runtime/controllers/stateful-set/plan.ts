/** What a stateful set needs next: pods to create, to put right or to delete, in the order that it promises. */
import type { PersistentVolumeClaim, Pod, StatefulSet } from '../../../kube/types.ts'
import { scaledValue } from '../shared/int-or-percent.ts'
import { isFinished } from '../shared/pods.ts'
import { type ClaimChange, type Claims, isStale, missingClaims, planClaimOwners } from './claims.ts'
import {
  isInRange,
  ordinalOf,
  type Revision,
  renderPod,
  revisionOf,
  startOrdinal,
  wantedReplicas,
  withIdentity,
} from './identity.ts'
import { isPodAvailable } from './status.ts'

export type StatefulSetAction =
  /** The claims first; `pod` is for the records. */
  | { readonly kind: 'create-claims'; readonly pod: Pod; readonly claims: readonly PersistentVolumeClaim[] }
  | { readonly kind: 'create-pod'; readonly pod: Pod; readonly claims: readonly PersistentVolumeClaim[] }
  | { readonly kind: 'update-pod'; readonly pod: Pod }
  | { readonly kind: 'change-claim'; readonly change: ClaimChange }
  | { readonly kind: 'delete-pod'; readonly pod: Pod }

export interface StatefulSetState {
  readonly set: StatefulSet
  /** The set's own. */
  readonly pods: readonly Pod[]
  readonly claims: Claims
  /** What is being replaced; the same as `update` when nothing is. */
  readonly current: Revision
  readonly update: Revision
  readonly nowMs: number
}

/** One ordinal that should have a pod. */
interface Replica {
  readonly ordinal: number
  readonly pod: Pod | undefined
}

interface Step {
  readonly actions: readonly StatefulSetAction[]
  /** Nothing further down may happen in this round. */
  readonly isLast: boolean
}

/** Carried out in this order. */
export function planStatefulSet(state: StatefulSetState): StatefulSetAction[] {
  if (state.set.metadata.deletionTimestamp !== undefined) return []
  const replicas = replicasOf(state)
  const condemned = condemnedOf(state)
  const steps = [
    () => planReplicas(state, replicas),
    () => planClaims(state, condemned),
    () => planCondemned(state, replicas, condemned),
    () => ({ actions: planRollout(state, replicas), isLast: true }),
  ]
  const actions: StatefulSetAction[] = []
  for (const step of steps) {
    const done = step()
    actions.push(...done.actions)
    if (done.isLast) break
  }
  return actions
}

const isOrdered = (set: StatefulSet): boolean => set.spec?.podManagementPolicy !== 'Parallel'

function replicasOf({ set, pods }: StatefulSetState): Replica[] {
  const byOrdinal = new Map(pods.map(pod => [ordinalOf(set, pod), pod]))
  return Array.from({ length: wantedReplicas(set) }, (_, index) => {
    const ordinal = startOrdinal(set) + index
    return { ordinal, pod: byOrdinal.get(ordinal) }
  })
}

interface Condemned {
  readonly ordinal: number
  readonly pod: Pod
}

/** Pods beyond the range, the highest ordinal first. */
function condemnedOf({ set, pods }: StatefulSetState): Condemned[] {
  return pods
    .flatMap(pod => {
      const ordinal = ordinalOf(set, pod)
      return ordinal === undefined || isInRange(set, ordinal) ? [] : [{ ordinal, pod }]
    })
    .sort((a, b) => b.ordinal - a.ordinal)
}

/** Every ordinal from the lowest; in order, one that is not well holds up all after it. */
function planReplicas(state: StatefulSetState, replicas: readonly Replica[]): Step {
  const actions: StatefulSetAction[] = []
  for (const replica of replicas) {
    const step = planReplica(state, replica)
    actions.push(...step.actions)
    if (step.isLast && isOrdered(state.set)) return { actions, isLast: true }
  }
  return { actions, isLast: false }
}

function planReplica(state: StatefulSetState, replica: Replica): Step {
  const { set, claims } = state
  const { pod, ordinal } = replica
  if (pod === undefined) return planCreation(state, ordinal)
  const isDeleting = pod.metadata.deletionTimestamp !== undefined
  if (isFinished(pod)) {
    // However it ended: an evicted pod may have ended well. Its successor comes when it is gone.
    return { actions: isDeleting ? [] : [{ kind: 'delete-pod', pod }], isLast: true }
  }
  const missing = pod.status?.phase === 'Pending' ? missingClaims(set, ordinal, claims) : []
  const actions: StatefulSetAction[] = [
    ...(missing.length > 0 ? [{ kind: 'create-claims' as const, pod, claims: missing }] : []),
    ...planOwners(state, { ordinal, pod }),
  ]
  if (isOrdered(set) && !isHealthy(state, pod)) return { actions, isLast: true }
  const renamed = withIdentity(set, pod, ordinal)
  if (renamed !== undefined) actions.push({ kind: 'update-pod', pod: renamed })
  return { actions, isLast: false }
}

function planCreation(state: StatefulSetState, ordinal: number): Step {
  const { set, claims } = state
  if (isStale(set, ordinal, claims)) return { actions: [], isLast: true }
  const pod = renderPod(set, ordinal, revisionFor(state, ordinal))
  return {
    actions: [{ kind: 'create-pod', pod, claims: missingClaims(set, ordinal, claims) }],
    isLast: true,
  }
}

/** Below the partition the current template is still the one. */
function revisionFor({ set, current, update }: StatefulSetState, ordinal: number): Revision {
  const rolling = set.spec?.updateStrategy?.rollingUpdate
  return ordinal < startOrdinal(set) + (rolling?.partition ?? 0) ? current : update
}

const planOwners = (state: StatefulSetState, { ordinal, pod }: Condemned): StatefulSetAction[] =>
  planClaimOwners(state.set, pod, { ordinal, claims: state.claims }).map(change => ({
    kind: 'change-claim',
    change,
  }))

const planClaims = (state: StatefulSetState, condemned: readonly Condemned[]): Step => ({
  actions: condemned.flatMap(each => planOwners(state, each)),
  isLast: false,
})

/** Down from the highest ordinal; in order, one at a time, and none while another is not well. */
function planCondemned(
  state: StatefulSetState,
  replicas: readonly Replica[],
  condemned: readonly Condemned[],
): Step {
  if (!isOrdered(state.set)) {
    const pods = condemned.map(each => each.pod).filter(pod => pod.metadata.deletionTimestamp === undefined)
    return { actions: pods.map(pod => ({ kind: 'delete-pod', pod })), isLast: false }
  }
  const [highest] = condemned
  if (highest === undefined) return { actions: [], isLast: false }
  const { pod } = highest
  const isDeleting = pod.metadata.deletionTimestamp !== undefined
  const mayGo = isHealthy(state, pod) || pod === firstUnhealthy(state, replicas, condemned)
  return { actions: isDeleting || !mayGo ? [] : [{ kind: 'delete-pod', pod }], isLast: true }
}

function firstUnhealthy(
  state: StatefulSetState,
  replicas: readonly Replica[],
  condemned: readonly Condemned[],
): Pod | undefined {
  const ordered = [...replicas, ...[...condemned].reverse()]
  return ordered.find(({ pod }) => pod === undefined || !isHealthy(state, pod))?.pod
}

/** Running, ready for long enough, and not on its way out. */
const isHealthy = (state: StatefulSetState, pod: Pod | undefined): boolean =>
  pod !== undefined &&
  pod.metadata.deletionTimestamp === undefined &&
  isPodAvailable(state.set, pod, state.nowMs)

/**
 * Old pods from the highest ordinal down to the partition, as many as may be missing at the same time. One that is not
 * well is missing already.
 */
function planRollout(state: StatefulSetState, replicas: readonly Replica[]): StatefulSetAction[] {
  const strategy = state.set.spec?.updateStrategy
  if (strategy?.type === 'OnDelete') return []
  const old = replicas
    .slice(strategy?.rollingUpdate?.partition ?? 0)
    .reverse()
    .flatMap(({ pod }) => pod ?? [])
    .filter(pod => revisionOf(pod) !== state.update.name && pod.metadata.deletionTimestamp === undefined)
    .filter(pod => !isFinished(pod))
  const unavailable = replicas.filter(({ pod }) => !isHealthy(state, pod)).length
  const mayGo = Math.max(0, maxUnavailable(state.set) - unavailable)
  const healthy = new Set(old.filter(pod => isHealthy(state, pod)).slice(0, mayGo))
  return old
    .filter(pod => healthy.has(pod) || !isHealthy(state, pod))
    .map(pod => ({ kind: 'delete-pod', pod }))
}

/** At least one, or a rollout would never end. */
export function maxUnavailable(set: StatefulSet): number {
  const value = set.spec?.updateStrategy?.rollingUpdate?.maxUnavailable
  return value === undefined ? 1 : Math.max(1, scaledValue(value, wantedReplicas(set), Math.ceil))
}
