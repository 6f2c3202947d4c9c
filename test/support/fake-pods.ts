/** Pods for tests of planners: they come from a plan, and become ready, fail or go as the test says. */

import { formatTime } from '../../src/kube/time.ts'
import type { Pod } from '../../src/kube/types.ts'

let created = 0

/** What the API server would make of it. */
export function admitPod(pod: Pod, nowMs: number): Pod {
  created++
  const { generateName, name = `${generateName}${created}` } = pod.metadata
  const metadata = { ...pod.metadata, name, uid: `uid-${created}`, creationTimestamp: formatTime(nowMs) }
  return { ...pod, metadata, status: { phase: 'Pending' } }
}

export function withReadiness(pod: Pod, isReady: boolean, nowMs: number): Pod {
  const lastTransitionTime = formatTime(nowMs)
  const condition = { type: 'Ready', status: isReady ? 'True' : 'False', lastTransitionTime }
  return { ...pod, status: { phase: 'Running', conditions: [condition] } }
}

export const failed = (pod: Pod): Pod => ({ ...pod, status: { phase: 'Failed' } })

export function deleted(pod: Pod, nowMs: number): Pod {
  if (pod.metadata.deletionTimestamp !== undefined) return pod
  return { ...pod, metadata: { ...pod.metadata, deletionTimestamp: formatTime(nowMs) } }
}
