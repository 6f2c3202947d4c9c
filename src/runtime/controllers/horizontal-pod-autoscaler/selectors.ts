/** Whose pods each autoscaler scales, and why it may not: a pod that two of them would scale is scaled by neither. */
import { messageOf } from '../../../base/errors.ts'
import { type LabelRequirement, matchesLabels, parseLabelSelector } from '../../../kube/labels.ts'
import type { Pod } from '../../../kube/types.ts'

/** In upstream's words. */
export interface SelectorProblem {
  readonly event: { readonly reason: string; readonly message: string }
  readonly condition: { readonly reason: string; readonly message: string }
}

export interface Selected {
  readonly pods: readonly Pod[]
  readonly problem?: SelectorProblem
}

const MISSING: SelectorProblem = {
  event: { reason: 'SelectorRequired', message: 'selector is required' },
  condition: { reason: 'InvalidSelector', message: "the HPA target's scale is missing a selector" },
}

const problemOf = (reason: string, message: string): SelectorProblem => ({
  event: { reason, message },
  condition: { reason, message },
})

const namespaceOf = (key: string): string => key.slice(0, key.indexOf('/') + 1)

export class TargetSelectors {
  /** By key of the autoscaler, as far as it was looked at. */
  readonly #known = new Map<string, readonly LabelRequirement[]>()

  forget(key: string): void {
    this.#known.delete(key)
  }

  /** `pods`: all of the autoscaler's namespace. */
  select(key: string, pods: readonly Pod[], text: string): Selected {
    if (text === '') return { pods: [], problem: MISSING }
    let requirements: readonly LabelRequirement[]
    try {
      requirements = parseLabelSelector(text)
    } catch (error) {
      const why = `couldn't convert selector into a corresponding internal selector object: ${messageOf(error)}`
      return { pods: [], problem: problemOf('InvalidSelector', why) }
    }
    this.#known.set(key, requirements)
    const selected = pods.filter(pod => matchesLabels(requirements, pod.metadata.labels ?? {}))
    const keys = this.#selecting(key, selected)
    if (keys.length < 2) return { pods: selected }
    const why = `pods by selector ${text} are controlled by multiple HPAs: [${keys.join(' ')}]`
    return { pods: selected, problem: problemOf('AmbiguousSelector', why) }
  }

  /** Every autoscaler of the namespace that would scale one of these pods. */
  #selecting(key: string, pods: readonly Pod[]): string[] {
    const near = [...this.#known].filter(([other]) => namespaceOf(other) === namespaceOf(key))
    return near
      .filter(([, requirements]) => pods.some(pod => matchesLabels(requirements, pod.metadata.labels ?? {})))
      .map(([other]) => other)
      .sort()
  }
}
