/** The downward API (pure): a pod's own fields and its containers' resources as text. */

import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from '../../kube/types.ts'
import type { HostFacts } from './host-facts.ts'

/** What a running pod knows about itself beyond its object. */
export interface PodFacts {
  readonly podAddresses: readonly string[]
  readonly hostAddress: string
  /** That and the one of the other family, where there are two. */
  readonly hostAddresses?: readonly string[]
}

/** The value of a fieldRef, or null when there is no such field. */
export function podField(pod: Pod, selector: ObjectFieldSelector, facts: PodFacts): string | null {
  const keyed = /^metadata\.(annotations|labels)\['(.*)'\]$/.exec(selector.fieldPath)
  if (keyed !== null) {
    const values = keyed[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations
    return values?.[keyed[2] ?? ''] ?? ''
  }
  switch (selector.fieldPath) {
    case 'metadata.name':
      return pod.metadata.name ?? ''
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid ?? ''
    case 'metadata.labels':
      return renderMap(pod.metadata.labels)
    case 'metadata.annotations':
      return renderMap(pod.metadata.annotations)
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? ''
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? ''
    case 'status.podIP':
      return facts.podAddresses[0] ?? ''
    case 'status.podIPs':
      return facts.podAddresses.join(',')
    case 'status.hostIP':
      return facts.hostAddress
    case 'status.hostIPs':
      return facts.hostAddresses?.join(',') ?? facts.hostAddress
    default:
      return null
  }
}

function renderMap(values: Readonly<Record<string, string>> | undefined): string {
  const keys = Object.keys(values ?? {}).sort()
  return keys.map(key => `${key}=${JSON.stringify(values?.[key])}`).join('\n')
}

const SUFFIXES: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** A quantity as a number; NaN for what is none. */
export function quantityValue(text: string): number {
  const match = /^([+-]?[0-9.]+)(?:([eE][+-]?\d+)|([a-zA-Z]*))$/.exec(text)
  if (match === null) return Number.NaN
  if (match[2] !== undefined) return Number(`${match[1]}${match[2]}`)
  return Number(match[1]) * (SUFFIXES[match[3] ?? ''] ?? Number.NaN)
}

/** The value of a resourceFieldRef, rounded up to its divisor; null when there is no such resource. */
export function resourceField(
  container: Pick<Container, 'resources'>,
  selector: ResourceFieldSelector,
  host: HostFacts,
): string | null {
  const match = /^(limits|requests)\.(.+)$/.exec(selector.resource)
  if (match === null) return null
  const name = match[2] ?? ''
  const list = match[1] === 'limits' ? container.resources?.limits : container.resources?.requests
  const given = list?.[name] ?? (match[1] === 'limits' ? allocatable(name, host) : '0')
  if (given === null) return null
  const divisor = quantityValue(selector.divisor ?? '0') || 1
  // Floating-point dust must not push an exact value up to the next whole number.
  return String(Math.ceil(Number((quantityValue(given) / divisor).toPrecision(12))))
}

/** Without a limit of its own a container may use what the node has. */
function allocatable(name: string, host: HostFacts): string | null {
  if (name === 'cpu') return String(host.cpuCount)
  if (name === 'memory') return String(host.memoryBytes)
  if (name === 'ephemeral-storage') return String(host.diskBytes)
  return name.startsWith('hugepages-') ? '0' : null
}
