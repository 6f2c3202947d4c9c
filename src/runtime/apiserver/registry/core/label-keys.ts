/** What a new pod's own labels add to the selectors of its affinity and spreading, as `matchLabelKeys` asks. */
import type { Pod, PodAffinityTerm } from '../../../../kube/types.ts'

type Selector = NonNullable<PodAffinityTerm['labelSelector']>

export function mergeLabelKeys(pod: Pod): void {
  const labels = pod.metadata.labels ?? {}
  const { affinity, topologySpreadConstraints = [] } = pod.spec ?? {}
  for (const part of [affinity?.podAffinity, affinity?.podAntiAffinity]) {
    const terms = [
      ...(part?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(part?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map(one => one.podAffinityTerm),
    ]
    for (const term of terms) {
      addKeys(term?.labelSelector, term?.matchLabelKeys, 'In', labels)
      addKeys(term?.labelSelector, term?.mismatchLabelKeys, 'NotIn', labels)
    }
  }
  for (const { labelSelector, matchLabelKeys } of topologySpreadConstraints) {
    addKeys(labelSelector, matchLabelKeys, 'In', labels)
  }
}

/** Keys that the pod has no label for, and terms without a selector, add nothing. */
function addKeys(
  selector: Selector | undefined,
  keys: readonly string[] | undefined,
  operator: 'In' | 'NotIn',
  labels: Readonly<Record<string, string>>,
): void {
  if (!selector) return
  for (const key of keys ?? []) {
    const value = labels[key]
    if (value === undefined) continue
    selector.matchExpressions = [...(selector.matchExpressions ?? []), { key, operator, values: [value] }]
  }
}
