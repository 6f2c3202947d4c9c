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
  /** The resource that they end for, the first where there are several; empty without victims. */
  readonly short: string
}

export const TAKEN_IN: Verdict = { refusal: null, victims: [], short: '' }
const without = (refusal: PodFailure): Verdict => ({ ...TAKEN_IN, refusal })

export class NodeAdmission {
  readonly #parts: NodeAdmissionParts
  readonly #preemptions = new Map<string, number>()

  constructor(parts: NodeAdmissionParts) {
    this.#parts = parts
  }

  judge(pod: Pod): Verdict {
    const { refusals, view } = this.#parts
    for (const refuse of refusals) {
      const refusal = refuse(pod)
      if (refusal !== null) return without(refusal)
    }
    const seen = view()
    const refusal = judgePod(pod, seen)
    if (refusal !== null) return without(refusal)
    const shortages = shortagesFor(pod, seen)
    const [first] = shortages
    if (first === undefined) return TAKEN_IN
    // All others would have been refused for them.
    const victims = planPreemption(pod, seen.others, shortages)
    if ('unmet' in victims) return without(noVictims(victims.unmet))
    return { refusal: null, victims, short: first.resource }
  }

  /** How many pods have ended for critical ones, by the resource that was short. */
  get preemptions(): ReadonlyMap<string, number> {
    return this.#preemptions
  }

  /** One by one, as upstream; what cannot be ended now ends later. */
  async preempt({ victims, short }: Verdict): Promise<void> {
    const { end, log } = this.#parts
    for (const victim of victims) {
      const pod = podText(victim)
      log.info('a pod ends for a critical one', { pod })
      try {
        await end(victim, PREEMPTED)
        this.#preemptions.set(short, (this.#preemptions.get(short) ?? 0) + 1)
      } catch (error) {
        log.warn('a pod could not be ended for a critical one', { pod, error: messageOf(error) })
      }
    }
  }
}

function noVictims(unmet: string): PodFailure {
  const why = `error finding a set of pods to preempt: no set of running pods found to reclaim resources: ${unmet}`
  const message = `Unexpected error while attempting to recover from admission failure: preemption: ${why}`
  return { reason: 'UnexpectedAdmissionError', message: `Pod was rejected: ${message}` }
}
