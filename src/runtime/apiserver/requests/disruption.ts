/** What an eviction may do to a pod and its disruption budget, in upstream's words. Pure. */
import { selects } from '../../../kube/labels.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { forbidden, StatusError, tooManyRequests } from '../../../kube/status.ts'
import type { Condition, Pod, PodDisruptionBudget } from '../../../kube/types.ts'

/** Evictions that the controller has not confirmed. */
const DISRUPTED_PODS_MAX = 2_000
const BUDGETS = { group: 'policy', resource: 'poddisruptionbudget' }
const REFUSED = "Cannot evict pod as it would violate the pod's disruption budget."
const BEHIND_SECONDS = 10
const CONDITION = 'DisruptionAllowed'

/** Pods that do not run, or that are on their way out, disturb nobody. */
export function ignoresBudgets({ metadata, status }: Pod): boolean {
  const isIdle = ['Succeeded', 'Failed', 'Pending'].includes(status?.phase ?? '')
  return metadata.deletionTimestamp !== undefined || isIdle
}

export const budgetsOf = (pod: Pod, budgets: readonly PodDisruptionBudget[]): PodDisruptionBudget[] =>
  budgets.filter(budget => selects(budget.spec?.selector, pod.metadata.labels))

/** A pod that is not ready counts for nothing, so its going takes nothing from what is healthy. */
export function isSparedByBudget(pod: Pod, { spec, status }: PodDisruptionBudget): boolean {
  const isReady = pod.status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True')
  if (isReady) return false
  if (spec?.unhealthyPodEvictionPolicy === 'AlwaysAllow') return true
  const { currentHealthy = 0, desiredHealthy = 0 } = status ?? {}
  return currentHealthy >= desiredHealthy && desiredHealthy > 0
}

/** Takes one allowed disruption; throws 429 when none is left. */
export function withDisruption(budget: PodDisruptionBudget, podName: string, now: string): KubeObject {
  const { metadata, status } = budget
  const { disruptionsAllowed = 0, observedGeneration = 0, disruptedPods } = status ?? {}
  const { name = '', generation = 0 } = metadata
  if (observedGeneration < generation) {
    const message = `The disruption budget ${name} is still being processed by the server.`
    throw refused(message, BEHIND_SECONDS)
  }
  if (disruptionsAllowed < 0) throw forbidden(BUDGETS, name, 'pdb disruptions allowed is negative')
  if (Object.keys(disruptedPods ?? {}).length > DISRUPTED_PODS_MAX) {
    const why = 'DisruptedPods map too big - too many evictions not confirmed by PDB controller'
    throw forbidden(BUDGETS, name, why)
  }
  if (disruptionsAllowed === 0) throw refused(whyNone(budget))
  return {
    ...budget,
    status: {
      ...status,
      disruptionsAllowed: disruptionsAllowed - 1,
      disruptedPods: { ...disruptedPods, [podName]: now },
      ...(disruptionsAllowed === 1 ? { conditions: withoutAllowance(budget, now) } : {}),
    },
  }
}

function whyNone({ metadata, status }: PodDisruptionBudget): string {
  const condition = status?.conditions?.find(each => each.type === CONDITION)
  const head = `The disruption budget ${metadata.name}`
  if (condition?.reason === 'SyncFailed') {
    return `${head} does not allow evicting pods currently because it failed sync: ${condition.message}`
  }
  const { desiredHealthy = 0, currentHealthy = 0 } = status ?? {}
  return `${head} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`
}

function withoutAllowance({ status }: PodDisruptionBudget, now: string): Condition[] {
  const others = (status?.conditions ?? []).filter(each => each.type !== CONDITION)
  const generation = status?.observedGeneration
  const condition = {
    type: CONDITION,
    status: 'False',
    reason: 'InsufficientPods',
    message: '',
    lastTransitionTime: now,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
  }
  return [...others, condition]
}

function refused(message: string, retryAfterSeconds?: number): StatusError {
  const { status } = tooManyRequests(REFUSED, retryAfterSeconds)
  const { retryAfterSeconds: _none, ...rest } = status.details ?? {}
  const causes = [{ reason: 'DisruptionBudget', message }]
  const details = retryAfterSeconds === undefined ? rest : { ...rest, retryAfterSeconds }
  return new StatusError({ ...status, details: { ...details, causes } })
}

/** The condition that tells why the pod ends. */
export function withTarget(pod: Pod, now: string): Pod {
  const others = (pod.status?.conditions ?? []).filter(each => each.type !== 'DisruptionTarget')
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastTransitionTime: now,
  }
  return { ...pod, status: { ...pod.status, conditions: [...others, condition] } }
}
