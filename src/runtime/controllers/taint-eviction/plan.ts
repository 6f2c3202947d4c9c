/** How long a pod may stay on a node whose taints evict. */
import type { Pod, Taint } from '../../../kube/types.ts'
import { evictionDueMs } from '../shared/eviction-due.ts'

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
  if (pod.metadata.deletionTimestamp !== undefined) return { kind: 'stay' }
  const dueMs = evictionDueMs(taints, pod.spec?.tolerations ?? [], seenMs)
  if (dueMs === Number.POSITIVE_INFINITY) return { kind: 'stay' }
  return dueMs <= nowMs ? { kind: 'evict' } : { kind: 'wait', delayMs: dueMs - nowMs }
}
