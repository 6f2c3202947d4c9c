/** The condition that tells why the control plane ends a pod. */
import { observedGeneration } from '../../../kube/observed-generation.ts'
import { formatTime } from '../../../kube/time.ts'
import type { Pod } from '../../../kube/types.ts'

/** Strategic merge patch of a pod's status. */
export function disruptionPatch(
  pod: Pod,
  why: { readonly reason: string; readonly message: string },
  nowMs: number,
): object {
  const condition = {
    type: 'DisruptionTarget',
    ...observedGeneration(pod),
    status: 'True',
    lastTransitionTime: formatTime(nowMs),
    ...why,
  }
  return { status: { conditions: [condition] } }
}
