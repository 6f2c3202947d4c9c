/** Pods that nobody will ever finish: on vanished nodes, unscheduled but deleted, or long terminated. */
import type { Pod } from '../../../kube/types.ts'
import { isFinished, timeMs } from '../shared/pods.ts'

export type PodGarbage = 'keep' | 'orphaned' | 'unscheduled-terminating'

export function classifyPod(pod: Pod, nodeExists: (name: string) => boolean): PodGarbage {
  const node = pod.spec?.nodeName
  if (node) return nodeExists(node) ? 'keep' : 'orphaned'
  return pod.metadata.deletionTimestamp === undefined ? 'keep' : 'unscheduled-terminating'
}

/** Terminated pods beyond the limit, oldest first. */
export function planExcess(pods: readonly Pod[], limit: number): Pod[] {
  if (pods.length <= limit) return []
  const terminated = pods.filter(isFinished)
  const excess = terminated.length - limit
  if (excess <= 0) return []
  return terminated
    .sort((a, b) => timeMs(a.metadata.creationTimestamp) - timeMs(b.metadata.creationTimestamp))
    .slice(0, excess)
}
