/** Which pods end for a critical one that does not fit (pure), as upstream's kubelet picks them. */
import type { Shortage } from '../../../kube/node-room.ts'
import { podRequests } from '../../../kube/pod-requests.ts'
import { qosClassOf } from '../../../kube/qos.ts'
import type { Pod } from '../../../kube/types.ts'
import { isCritical } from '../pressure/admission.ts'

/** What is missing, by resource. */
type Missing = ReadonlyMap<string, number>

/** As few of the better classes and with as little as will do; what they cannot bring, when all together would not do. */
export function planPreemption(
  pod: Pod,
  others: readonly Pod[],
  shortages: readonly Shortage[],
): readonly Pod[] | { readonly unmet: string } {
  const missing: Missing = new Map(
    shortages.map(({ resource, requested, used, capacity }) => [resource, requested - (capacity - used)]),
  )
  const may = others.filter(other => isPreemptable(pod, other))
  const unmet = without(missing, may)
  if (unmet.size > 0) return { unmet: textOf(unmet) }
  const ofClass = (name: string) => may.filter(other => qosClassOf(other) === name)
  const [best, burst, sure] = [ofClass('BestEffort'), ofClass('Burstable'), ofClass('Guaranteed')]
  // Each class as if the ones below went altogether; then those give only what is still needed.
  const sureOnes = nearest(sure, without(missing, [...best, ...burst]))
  const burstOnes = nearest(burst, without(missing, [...best, ...sureOnes]))
  const bestOnes = nearest(best, without(missing, [...burstOnes, ...sureOnes]))
  return [...bestOnes, ...burstOnes, ...sureOnes]
}

/** Critical pods are not ended for each other, unless one's priority is higher. */
function isPreemptable(pod: Pod, other: Pod): boolean {
  if (!isCritical(other)) return true
  const [own, theirs] = [pod.spec?.priority, other.spec?.priority]
  return own !== undefined && theirs !== undefined && own > theirs
}

/** One after the other, the pod that brings it nearest to what is missing. */
function nearest(pods: readonly Pod[], missing: Missing): Pod[] {
  const chosen: Pod[] = []
  const left = [...pods]
  for (let open = missing; open.size > 0 && left.length > 0; open = without(open, chosen.slice(-1))) {
    const [next] = left.toSorted((a, b) => distance(a, open) - distance(b, open) || bySize(a, b))
    if (next === undefined) break
    chosen.push(next)
    left.splice(left.indexOf(next), 1)
  }
  return chosen
}

function distance(pod: Pod, missing: Missing): number {
  let sum = 0
  for (const [resource, amount] of missing) {
    const rest = amount - requestOf(pod, resource)
    if (rest > 0) sum += (rest / amount) ** 2
  }
  return sum
}

function bySize(a: Pod, b: Pod): number {
  const difference = requestOf(a, 'memory') - requestOf(b, 'memory')
  return difference === 0 ? requestOf(a, 'cpu') - requestOf(b, 'cpu') : difference
}

function without(missing: Missing, pods: readonly Pod[]): Missing {
  const given = (resource: string) => pods.reduce((sum, pod) => sum + requestOf(pod, resource), 0)
  const rest = [...missing].map(([resource, amount]) => [resource, amount - given(resource)] as const)
  return new Map(rest.filter(([, amount]) => amount > 0))
}

const requestOf = (pod: Pod, resource: string): number =>
  resource === 'pods' ? 1 : (podRequests(pod).get(resource) ?? 0)

const textOf = (missing: Missing): string =>
  `[${[...missing].map(([resource, amount]) => `(res: ${resource}, q: ${amount}), `).join('')}]`
