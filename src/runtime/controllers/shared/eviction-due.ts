/** When taints that evict are to do so, by what tolerates them. */
import { tolerates } from '../../../client/taints.ts'
import type { Taint, Toleration } from '../../../kube/types.ts'
import { timeMs } from './pods.ts'

/** 0: at once; infinity: never. Taints that do not say since when count from when they were first seen. */
export function evictionDueMs(
  taints: readonly Taint[],
  tolerations: readonly Toleration[],
  seenMs: number,
): number {
  let dueMs = Number.POSITIVE_INFINITY
  for (const taint of taints.filter(({ effect }) => effect === 'NoExecute')) {
    const matching = tolerations.filter(toleration => tolerates(toleration, taint))
    if (matching.length === 0) return 0
    const limits = matching.flatMap(each => each.tolerationSeconds ?? [])
    if (limits.length === 0) continue
    const startedMs = timeMs(taint.timeAdded) || seenMs
    dueMs = Math.min(dueMs, startedMs + Math.max(0, Math.min(...limits)) * 1_000)
  }
  return dueMs
}
