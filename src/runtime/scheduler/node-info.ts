/** A node with the pods on it, summed up so that filters and scores are cheap. */
import type { Node, Pod } from '../../kube/types.ts'
import { requiredAntiTerms } from './pod-affinity.ts'
import { type Amounts, parseAmounts, podRequests, scoredRequests } from './resources.ts'

export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

interface PodEntry {
  readonly pod: Pod
  readonly requests: Amounts
}

export class NodeInfo {
  readonly node: Node
  readonly allocatable: Amounts
  readonly #pods = new Map<string, PodEntry>()
  /** Pods that keep others away; few have any. */
  readonly #repelling = new Set<string>()
  readonly #requested = new Map<string, number>()
  #scoredCpu = 0
  #scoredMemory = 0

  constructor(node: Node, pods: readonly Pod[] = []) {
    this.node = node
    this.allocatable = parseAmounts(node.status?.allocatable ?? node.status?.capacity)
    for (const pod of pods) this.add(pod)
  }

  get name(): string {
    return this.node.metadata.name ?? ''
  }

  get podCount(): number {
    return this.#pods.size
  }

  get scored(): { readonly cpu: number; readonly memory: number } {
    return { cpu: this.#scoredCpu, memory: this.#scoredMemory }
  }

  pods(): Pod[] {
    return Array.from(this.#pods.values(), entry => entry.pod)
  }

  podsWithAntiAffinity(): Pod[] {
    return this.#repelling.size === 0
      ? []
      : this.pods().filter(pod => this.#repelling.has(pod.metadata.uid ?? ''))
  }

  requested(resource: string): number {
    return this.#requested.get(resource) ?? 0
  }

  /** Adding a pod again replaces it. */
  add(pod: Pod): void {
    this.remove(pod.metadata.uid ?? '')
    const requests = podRequests(pod)
    this.#pods.set(pod.metadata.uid ?? '', { pod, requests })
    if (requiredAntiTerms(pod).length > 0) this.#repelling.add(pod.metadata.uid ?? '')
    this.#count(requests, 1)
  }

  remove(uid: string): void {
    const entry = this.#pods.get(uid)
    if (entry === undefined) return
    this.#pods.delete(uid)
    this.#repelling.delete(uid)
    this.#count(entry.requests, -1)
  }

  /** The host ports that pods here use. */
  hostPorts(): HostPort[] {
    return this.pods().flatMap(hostPortsOf)
  }

  #count(requests: Amounts, sign: 1 | -1): void {
    for (const [name, amount] of requests) {
      this.#requested.set(name, (this.#requested.get(name) ?? 0) + sign * amount)
    }
    const scored = scoredRequests(requests)
    this.#scoredCpu += sign * scored.cpu
    this.#scoredMemory += sign * scored.memory
  }
}

export function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter(each => each.restartPolicy === 'Always')
  return [...(pod.spec?.containers ?? []), ...sidecars]
    .flatMap(container => container.ports ?? [])
    .filter(port => (port.hostPort ?? 0) > 0)
    .map(port => ({
      ip: port.hostIP || '0.0.0.0',
      protocol: port.protocol ?? 'TCP',
      port: port.hostPort ?? 0,
    }))
}
