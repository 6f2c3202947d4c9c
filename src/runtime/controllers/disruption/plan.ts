/** How many pods of a disruption budget may be evicted now. Pure. */
import { formatTime } from '../../../kube/time.ts'
import type { Condition, Pod, PodDisruptionBudget, PodDisruptionBudgetStatus } from '../../../kube/types.ts'
import { scaledValue } from '../shared/int-or-percent.ts'
import { controllerOf } from '../shared/owners.ts'
import { isFinished, isReady, podCondition, timeMs } from '../shared/pods.ts'

/** An eviction that was allowed is expected to delete its pod within this time. */
const DELETION_MS_MAX = 120_000
/** A pod that somebody wanted to disrupt is deleted within this time, or it was not meant. */
const STALE_MS = 120_000
const CONDITION = 'DisruptionAllowed'

export interface BudgetFacts {
  readonly pods: readonly Pod[]
  /** What the controllers of the pods want, by uid; as far as it matters. */
  readonly scales: ReadonlyMap<string, number>
  readonly nowMs: number
}

export interface BudgetPlan {
  readonly status: PodDisruptionBudgetStatus
  /** The budget needs the scale of controllers, and these pods have none. */
  readonly unmanaged: readonly string[]
  /** Their eviction was allowed, and they are still here. */
  readonly notDeleted: readonly Pod[]
  readonly againMs: number | undefined
}

/** Whether the budget is a share of what the pods' controllers want. */
export const needsScales = ({ spec }: PodDisruptionBudget): boolean =>
  spec?.maxUnavailable !== undefined || typeof spec?.minAvailable === 'string'

export function planBudget(budget: PodDisruptionBudget, facts: BudgetFacts): BudgetPlan {
  const { pods, nowMs } = facts
  const disrupted = disruptedPods(budget, pods, nowMs)
  const currentHealthy = pods.filter(
    pod =>
      pod.metadata.deletionTimestamp === undefined &&
      !Object.hasOwn(disrupted.still, pod.metadata.name ?? '') &&
      isReady(pod),
  ).length
  const { expectedPods, desiredHealthy } = countWanted(budget, facts)
  const allowed = expectedPods <= 0 ? 0 : Math.max(0, currentHealthy - desiredHealthy)
  const status = {
    currentHealthy,
    desiredHealthy,
    expectedPods,
    disruptionsAllowed: allowed,
    ...(Object.keys(disrupted.still).length > 0 ? { disruptedPods: disrupted.still } : {}),
    ...(budget.metadata.generation === undefined ? {} : { observedGeneration: budget.metadata.generation }),
  }
  const isUnmanaged = (pod: Pod) => controllerOf(pod) === undefined
  return {
    status: withAllowedCondition(status, budget.status?.conditions, nowMs),
    unmanaged: needsScales(budget) ? pods.filter(isUnmanaged).map(pod => pod.metadata.name ?? '') : [],
    notDeleted: disrupted.notDeleted,
    againMs: disrupted.againMs,
  }
}

/** What is written when the numbers cannot be found: nothing may be evicted. */
export function planFailure(
  budget: PodDisruptionBudget,
  message: string,
  nowMs: number,
): PodDisruptionBudgetStatus {
  const { status } = budget
  const condition = { status: 'False', reason: 'SyncFailed', message }
  return {
    currentHealthy: 0,
    desiredHealthy: 0,
    expectedPods: 0,
    ...status,
    disruptionsAllowed: 0,
    conditions: withCondition(status?.conditions, condition, status?.observedGeneration, nowMs),
  }
}

interface Disrupted {
  /** By pod name, when its eviction was allowed. */
  readonly still: Readonly<Record<string, string>>
  readonly notDeleted: readonly Pod[]
  readonly againMs: number | undefined
}

function disruptedPods({ status }: PodDisruptionBudget, pods: readonly Pod[], nowMs: number): Disrupted {
  const still: Record<string, string> = {}
  const notDeleted: Pod[] = []
  let againMs: number | undefined
  for (const pod of pods) {
    const { name = '', deletionTimestamp } = pod.metadata
    const since = status?.disruptedPods?.[name]
    if (since === undefined || deletionTimestamp !== undefined) continue
    const leftMs = timeMs(since) + DELETION_MS_MAX - nowMs
    if (leftMs < 0) {
      notDeleted.push(pod)
      continue
    }
    still[name] = since
    againMs = Math.min(againMs ?? leftMs, leftMs)
  }
  return { still, notDeleted, againMs: againMs === undefined ? undefined : againMs + 1 }
}

function countWanted(
  { spec }: PodDisruptionBudget,
  { pods, scales }: BudgetFacts,
): { readonly expectedPods: number; readonly desiredHealthy: number } {
  const { maxUnavailable, minAvailable } = spec ?? {}
  const scaled = [...scales.values()].reduce((sum, each) => sum + each, 0)
  if (maxUnavailable !== undefined) {
    const away = scaledValue(maxUnavailable, scaled, Math.ceil)
    return { expectedPods: scaled, desiredHealthy: Math.max(0, scaled - away) }
  }
  if (typeof minAvailable === 'string') {
    return { expectedPods: scaled, desiredHealthy: scaledValue(minAvailable, scaled, Math.ceil) }
  }
  if (minAvailable === undefined) return { expectedPods: 0, desiredHealthy: 0 }
  return { expectedPods: pods.length, desiredHealthy: minAvailable }
}

function withAllowedCondition(
  status: PodDisruptionBudgetStatus,
  before: readonly Condition[] | undefined,
  nowMs: number,
): PodDisruptionBudgetStatus {
  const isAllowed = (status.disruptionsAllowed ?? 0) > 0
  const condition = {
    status: isAllowed ? 'True' : 'False',
    reason: isAllowed ? 'SufficientPods' : 'InsufficientPods',
    message: '',
  }
  return { ...status, conditions: withCondition(before, condition, status.observedGeneration, nowMs) }
}

function withCondition(
  before: readonly Condition[] | undefined,
  next: { readonly status: string; readonly reason: string; readonly message: string },
  observedGeneration: number | undefined,
  nowMs: number,
): Condition[] {
  const others = (before ?? []).filter(each => each.type !== CONDITION)
  const present = before?.find(each => each.type === CONDITION)
  const isSame = present?.status === next.status
  const lastTransitionTime = isSame ? present.lastTransitionTime : formatTime(nowMs)
  const generation = observedGeneration === undefined ? {} : { observedGeneration }
  return [...others, { type: CONDITION, ...next, lastTransitionTime, ...generation }]
}

/** Milliseconds until the pod's disruption target means nothing any more; undefined when it has none. */
export function staleTargetMs(pod: Pod, nowMs: number): number | undefined {
  const condition = podCondition(pod, 'DisruptionTarget')
  if (condition?.status !== 'True' || condition.reason === 'TerminationByKubelet') return undefined
  if (pod.metadata.deletionTimestamp !== undefined || isFinished(pod)) return undefined
  return Math.max(0, timeMs(condition.lastTransitionTime) + STALE_MS - nowMs)
}
