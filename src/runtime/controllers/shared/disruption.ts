/** The condition that tells why the control plane ends a pod. */
import { formatTime } from '../../../kube/time.ts'

/** Strategic merge patch of a pod's status. */
export function disruptionPatch(
  why: { readonly reason: string; readonly message: string },
  nowMs: number,
): object {
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    lastTransitionTime: formatTime(nowMs),
    ...why,
  }
  return { status: { conditions: [condition] } }
}
