/** Who has to go when a node is short of something (pure): ranking and the words of an eviction, as upstream's. */
import { integerValue, parseQuantity } from '../../../kube/quantity.ts'
import type { Container, Pod } from '../../../kube/types.ts'
import { isCritical } from './admission.ts'
import { type Observation, RESOURCE_OF, type Threshold } from './thresholds.ts'

export interface PodUse {
  readonly pod: Pod
  /** By container, of memory, disk or processes. */
  readonly containers: ReadonlyMap<string, number>
  /** Beside what its containers use: emptyDirs. */
  readonly otherUse: number
}

/** The first is to go first; critical pods are left out. */
export function rankPods(pods: readonly PodUse[], { signal }: Threshold): PodUse[] {
  const resource = RESOURCE_OF[signal]
  const hasRequests = resource === 'memory' || resource === 'ephemeral-storage'
  const excessOf = (use: PodUse) => useOf(use) - (hasRequests ? requestOf(use.pod, resource) : 0)
  return pods
    .filter(({ pod }) => !isCritical(pod))
    .toSorted((a, b) => {
      const exceeds = Number(excessOf(b) > 0) - Number(excessOf(a) > 0)
      const priority = (a.pod.spec?.priority ?? 0) - (b.pod.spec?.priority ?? 0)
      return (hasRequests ? exceeds : 0) || priority || excessOf(b) - excessOf(a)
    })
}

const useOf = ({ containers, otherUse }: PodUse): number =>
  [...containers.values()].reduce((sum, use) => sum + use, otherUse)

const requestOf = (pod: Pod, resource: string): number =>
  (pod.spec?.containers ?? []).reduce((sum, container) => sum + requestIn(container, resource), 0)

export const requestIn = ({ resources }: Container, resource: string): number =>
  integerValue(parseQuantity(resources?.requests?.[resource] ?? resources?.limits?.[resource] ?? '0'))

export function evictionMessage(use: PodUse, threshold: Threshold, seen: Observation): string {
  const resource = RESOURCE_OF[threshold.signal]
  const amounts = `Threshold quantity: ${threshold.value}, available: ${amountText(resource, seen.available)}`
  const head = `The node was low on resource: ${resource}. ${amounts}. `
  const lines = (use.pod.spec?.containers ?? []).flatMap(container => {
    const used = use.containers.get(container.name) ?? 0
    const request = requestIn(container, resource)
    if (used <= request) return []
    const asked = container.resources?.requests?.[resource] ?? '0'
    const name = container.name
    return [
      `Container ${name} was using ${amountText(resource, used)}, request is ${asked}, has larger consumption of ${resource}. `,
    ]
  })
  return head + lines.join('')
}

const KIB = 1_024

const amountText = (resource: string, amount: number): string =>
  resource === 'memory' || resource === 'ephemeral-storage' ? `${Math.ceil(amount / KIB)}Ki` : String(amount)
