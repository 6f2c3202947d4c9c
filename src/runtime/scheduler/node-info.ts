/** A node with the pods on it, summed up so that filters and scores are cheap. */
import { type HostPort, hostPortsOf } from '../../kube/host-ports.ts'
import {
  type Amounts,
  type CpuAndMemory,
  parseAmounts,
  podRequests,
  scoredRequests,
} from '../../kube/pod-requests.ts'
import type { Node, Pod } from '../../kube/types.ts'
import { type PodTerm, termsOf } from './pod-terms.ts'

interface PodEntry {
  readonly pod: Pod
  readonly requests: Amounts
  readonly scored: CpuAndMemory
  readonly ports: readonly HostPort[]
}

type TermKind = 'affinity' | 'antiAffinity' | 'preferred' | 'avoided'
const KINDS: readonly TermKind[] = ['affinity', 'antiAffinity', 'preferred', 'avoided']

/** A term that `count` pods of the node have in common. */
interface TermHere {
  readonly kind: TermKind
  readonly term: PodTerm
  count: number
}

/** Questions about a node's pods whose answers are remembered until one comes or goes. */
const REMEMBERED_MAX = 64

export class NodeInfo {
  readonly node: Node
  readonly name: string
  readonly allocatable: Amounts
  /** What every decision asks every node for, as plain numbers. */
  readonly cpu: number
  readonly memory: number
  readonly podsMax: number
  podCount = 0
  requestedCpu = 0
  requestedMemory = 0
  /** With what pods count for that ask for nothing. */
  scoredCpu = 0
  scoredMemory = 0
  /** Whether pods here say anything of other pods. */
  hasTerms = false
  readonly #pods = new Map<string, PodEntry>()
  readonly #terms = new Map<string, TermHere>()
  readonly #requested = new Map<string, number>()
  readonly #counts = new Map<string, number>()
  /** How many pods use host ports. */
  #withPorts = 0
  #images: ReadonlyMap<string, number> | null = null

  constructor(node: Node, pods: readonly Pod[] = []) {
    this.node = node
    this.name = node.metadata.name ?? ''
    this.allocatable = parseAmounts(node.status?.allocatable ?? node.status?.capacity)
    this.cpu = this.allocatable.get('cpu') ?? 0
    this.memory = this.allocatable.get('memory') ?? 0
    this.podsMax = this.allocatable.get('pods') ?? 0
    for (const pod of pods) this.add(pod)
  }

  pods(): Pod[] {
    return Array.from(this.#pods.values(), entry => entry.pod)
  }

  copy(): NodeInfo {
    return new NodeInfo(this.node, this.pods())
  }

  requested(resource: string): number {
    return this.#requested.get(resource) ?? 0
  }

  terms(): Iterable<TermHere> {
    return this.#terms.values()
  }

  /** How many pods here match; `key` names the question. */
  count(key: string, matches: (pod: Pod) => boolean): number {
    if (this.#pods.size === 0) return 0
    const known = this.#counts.get(key)
    if (known !== undefined) return known
    let count = 0
    for (const { pod } of this.#pods.values()) if (matches(pod)) count++
    if (this.#counts.size >= REMEMBERED_MAX) this.#counts.clear()
    this.#counts.set(key, count)
    return count
  }

  /** Adding a pod again replaces it. */
  add(pod: Pod): void {
    this.remove(pod.metadata.uid ?? '')
    const entry = {
      pod,
      requests: podRequests(pod),
      scored: scoredRequests(pod),
      ports: hostPortsOf(pod),
    }
    this.#pods.set(pod.metadata.uid ?? '', entry)
    this.#count(entry, 1)
  }

  remove(uid: string): void {
    const entry = this.#pods.get(uid)
    if (entry === undefined) return
    this.#pods.delete(uid)
    this.#count(entry, -1)
  }

  /** The host ports that pods here use. */
  hostPorts(): HostPort[] {
    return this.#withPorts === 0 ? [] : [...this.#pods.values()].flatMap(({ ports }) => ports)
  }

  /** The size of each image that the node has, by each of its names. */
  get images(): ReadonlyMap<string, number> {
    this.#images ??= new Map(
      (this.node.status?.images ?? []).flatMap(({ names, sizeBytes }) =>
        (names ?? []).map(name => [name, sizeBytes ?? 0] as const),
      ),
    )
    return this.#images
  }

  #count({ pod, requests, scored, ports }: PodEntry, sign: 1 | -1): void {
    for (const [name, amount] of requests) {
      this.#requested.set(name, (this.#requested.get(name) ?? 0) + sign * amount)
    }
    this.podCount = this.#pods.size
    this.requestedCpu = this.requested('cpu')
    this.requestedMemory = this.requested('memory')
    this.scoredCpu += sign * scored.cpu
    this.scoredMemory += sign * scored.memory
    if (ports.length > 0) this.#withPorts += sign
    this.#counts.clear()
    if (pod.spec?.affinity !== undefined) this.#countTerms(pod, sign)
  }

  #countTerms(pod: Pod, sign: 1 | -1): void {
    const terms = termsOf(pod)
    for (const kind of KINDS) {
      for (const term of terms[kind]) {
        const key = `${kind} ${term.id}`
        const here = this.#terms.get(key) ?? { kind, term, count: 0 }
        here.count += sign
        if (here.count > 0) this.#terms.set(key, here)
        else this.#terms.delete(key)
      }
    }
    this.hasTerms = this.#terms.size > 0
  }
}
