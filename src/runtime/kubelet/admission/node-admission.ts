/** Whether this node takes a new pod in, and the end of others that a critical one takes the place of. */

import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import { podText } from '../pod-identity.ts'
import { judgePod, type NodeView, shortagesFor } from './judge-pod.ts'
import { planPreemption } from './plan-preemption.ts'

export interface NodeAdmissionParts {
  /** What the kubelet's parts have against it, in upstream's order. */
  readonly refusals: readonly ((pod: Pod) => PodFailure | null)[]
  readonly view: () => NodeView
  /** Resolves once nothing of the pod runs. */
  readonly end: (pod: Pod, failure: PodFailure) => Promise<void>
  readonly log: Log
}

/** As a pod says that ended for a critical one. */
const PREEMPTED: PodFailure = {
  reason: 'Preempting',
  message: 'Preempted in order to admit critical pod',
  isDisruption: true,
  disruptionMessage: 'Pod was preempted by Kubelet to accommodate a critical pod.',
}

export interface Verdict {
  readonly refusal: PodFailure | null
  /** Those that end for it. */
  readonly victims: readonly Pod[]
}

export class NodeAdmission {
  readonly #parts: NodeAdmissionParts

  constructor(parts: NodeAdmissionParts) {
    this.#parts = parts
  }

  judge(pod: Pod): Verdict {
    const { refusals, view } = this.#parts
    for (const refuse of refusals) {
      const refusal = refuse(pod)
      if (refusal !== null) return { refusal, victims: [] }
    }
    const seen = view()
    const refusal = judgePod(pod, seen)
    if (refusal !== null) return { refusal, victims: [] }
    const shortages = shortagesFor(pod, seen)
    // All others would have been refused for them.
    if (shortages.length === 0) return { refusal, victims: [] }
    const victims = planPreemption(pod, seen.others, shortages)
    return 'unmet' in victims ? { refusal: noVictims(victims.unmet), victims: [] } : { refusal, victims }
  }

  /** One by one, as upstream; what cannot be ended now ends later. */
  async preempt(victims: readonly Pod[]): Promise<void> {
    const { end, log } = this.#parts
    for (const victim of victims) {
      log.info('a pod ends for a critical one', { pod: podText(victim) })
      await end(victim, PREEMPTED).catch(error => {
        log.warn('a pod could not be ended for a critical one', {
          pod: podText(victim),
          error: messageOf(error),
        })
      })
    }
  }
}

function noVictims(unmet: string): PodFailure {
  const why = `error finding a set of pods to preempt: no set of running pods found to reclaim resources: ${unmet}`
  const message = `Unexpected error while attempting to recover from admission failure: preemption: ${why}`
  return { reason: 'UnexpectedAdmissionError', message: `Pod was rejected: ${message}` }
}
