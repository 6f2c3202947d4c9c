/** How long a pod may stay on a node whose taints evict. */
import { tolerates } from '../../../client/taints.ts'
import type { Pod, Taint } from '../../../kube/types.ts'
import { timeMs } from '../shared/pods.ts'

export type EvictionPlan =
  | { readonly kind: 'stay' }
  | { readonly kind: 'wait'; readonly delayMs: number }
  | { readonly kind: 'evict' }

/** Taints that do not say since when count from when they were first seen. */
export function planEviction(
  pod: Pod,
  taints: readonly Taint[],
  nowMs: number,
  seenMs: number = nowMs,
): EvictionPlan {
  const evicting = taints.filter(taint => taint.effect === 'NoExecute')
  if (evicting.length === 0 || pod.metadata.deletionTimestamp !== undefined) return { kind: 'stay' }
  const tolerations = pod.spec?.tolerations ?? []
  let dueMs = Number.POSITIVE_INFINITY
  for (const taint of evicting) {
    const matching = tolerations.filter(toleration => tolerates(toleration, taint))
    if (matching.length === 0) return { kind: 'evict' }
    const limits = matching.flatMap(each => each.tolerationSeconds ?? [])
    if (limits.length === 0) continue
    const startedMs = timeMs(taint.timeAdded) || seenMs
    dueMs = Math.min(dueMs, startedMs + Math.max(0, Math.min(...limits)) * 1_000)
  }
  if (dueMs === Number.POSITIVE_INFINITY) return { kind: 'stay' }
  return dueMs <= nowMs ? { kind: 'evict' } : { kind: 'wait', delayMs: dueMs - nowMs }
}
