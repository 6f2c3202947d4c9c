/** Pods that nobody will ever finish: on vanished or dead nodes, unscheduled but deleted, or long terminated. */
import type { Node, Pod } from '../../../kube/types.ts'
import { isFinished, timeMs } from '../shared/pods.ts'

/** Somebody says with it that the node is off and stays off until they take it away. */
const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service'

export type PodGarbage = 'keep' | 'orphaned' | 'unscheduled-terminating' | 'out-of-service'

export function classifyPod(pod: Pod, nodeOf: (name: string) => Node | undefined): PodGarbage {
  const isGoing = pod.metadata.deletionTimestamp !== undefined
  if (!pod.spec?.nodeName) return isGoing ? 'unscheduled-terminating' : 'keep'
  const node = nodeOf(pod.spec.nodeName)
  if (node === undefined) return 'orphaned'
  return isGoing && isOutOfService(node) ? 'out-of-service' : 'keep'
}

export function isOutOfService({ spec, status }: Node): boolean {
  const isReady = status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True')
  return !isReady && (spec?.taints ?? []).some(taint => taint.key === OUT_OF_SERVICE)
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
