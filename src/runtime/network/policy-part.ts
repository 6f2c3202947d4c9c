/**
 * Network policies as rules for the pods of one node (pure). A pod that policies select is isolated: it is led to a
 * chain that tries each of its policies, which accept, and drops what none of them accepts. Peers are sets of
 * addresses, one per selector, so that a pod that comes or goes is an element.
 */
import { familyOf } from '../../kube/ip-family.ts'
import { type LabelRequirement, matchesLabels, requirementsOf } from '../../kube/labels.ts'
import type {
  LabelSelector,
  Namespace,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from '../../kube/types.ts'
import { type Family, type FamilyWords, wordsOf } from './family.ts'
import { addressOf, type PolicyPod, portsOf } from './policy-pods.ts'
import { ruleName } from './rule-names.ts'
import { PartBuilder, type TablePart } from './table-part.ts'

export interface PolicyInput {
  readonly nodeName: string
  /** Whose addresses it is about; IPv4 unless given. */
  readonly family?: Family
  readonly policies: readonly NetworkPolicy[]
  /** Of all nodes. */
  readonly pods: readonly PolicyPod[]
  readonly namespaces: readonly Namespace[]
}

type Direction = 'ingress' | 'egress'
/** As it is on the wire, of either direction. */
interface Rule {
  readonly from?: readonly NetworkPolicyPeer[]
  readonly to?: readonly NetworkPolicyPeer[]
  readonly ports?: readonly NetworkPolicyPort[]
}

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']
const SHORT: Readonly<Record<Direction, string>> = { ingress: 'in', egress: 'out' }

export function renderPolicies(input: PolicyInput): TablePart {
  return new PolicyRenderer(input).render()
}

class PolicyRenderer {
  readonly #input: PolicyInput
  readonly #words: FamilyWords
  readonly #part = new PartBuilder()
  /** Pods that can be met in the pod network. */
  readonly #pods: readonly PolicyPod[]
  readonly #local: ReadonlyMap<string, readonly PolicyPod[]>
  readonly #byNamespace: ReadonlyMap<string, readonly PolicyPod[]>
  readonly #drawn = new Set<string>()

  constructor(input: PolicyInput) {
    this.#input = input
    this.#words = wordsOf(input.family ?? 'IPv4')
    this.#pods = input.pods.filter(pod => this.#addressOf(pod) !== '')
    this.#byNamespace = Map.groupBy(this.#pods, ({ metadata }) => metadata.namespace ?? '')
    const local = this.#pods.filter(({ spec }) => spec?.nodeName === input.nodeName)
    this.#local = Map.groupBy(local, ({ metadata }) => metadata.namespace ?? '')
  }

  #addressOf(pod: PolicyPod): string {
    return addressOf(pod, this.#words.family) ?? ''
  }

  render(): TablePart {
    for (const direction of DIRECTIONS) this.#isolate(direction)
    return this.#part.build()
  }

  #isolate(direction: Direction): void {
    const chainsOf = new Map<PolicyPod, string[]>()
    for (const policy of this.#input.policies) {
      if (!applies(policy, direction)) continue
      const subjects = this.#subjects(policy)
      if (subjects.length === 0) continue
      const chain = this.#drawPolicy(policy, direction)
      for (const pod of subjects) chainsOf.set(pod, [...(chainsOf.get(pod) ?? []), chain])
    }
    for (const [pod, chains] of chainsOf) {
      const sorted = chains.toSorted()
      // Pods with the same policies share a chain.
      const name = ruleName(SHORT[direction], sorted.join(' '), pod.metadata.namespace ?? '')
      const address = this.#addressOf(pod)
      this.#part.chain(name, [...sorted.map(chain => `jump ${chain}`), 'drop'])
      this.#part.element(`isolated-${direction}`, address, `goto ${name}`)
      this.#part.element('itself', `${address} . ${address}`)
    }
  }

  #subjects({ metadata, spec }: NetworkPolicy): PolicyPod[] {
    const requirements = requirementsOf(spec?.podSelector ?? {}) ?? []
    const pods = this.#local.get(metadata.namespace ?? '') ?? []
    return pods.filter(pod => matchesLabels(requirements, pod.metadata.labels))
  }

  #drawPolicy({ metadata, spec }: NetworkPolicy, direction: Direction): string {
    const key = `${metadata.namespace}/${metadata.name}`
    const name = ruleName(`policy-${SHORT[direction]}`, key, key)
    const rules = (spec?.[direction] ?? []) as readonly Rule[]
    this.#part.chain(
      name,
      rules.flatMap(rule => this.#ruleLines(rule, direction, metadata.namespace ?? '')),
    )
    return name
  }

  #ruleLines(rule: Rule, direction: Direction, namespace: string): string[] {
    const peers = (direction === 'ingress' ? rule.from : rule.to) ?? []
    const ports = rule.ports ?? []
    const field = direction === 'ingress' ? 'saddr' : 'daddr'
    const addresses =
      peers.length === 0 ? [''] : peers.flatMap(peer => this.#peerMatch(peer, field, namespace))
    const numbers = ports.length === 0 ? [''] : ports.map(port => this.#portMatch(port))
    return addresses.flatMap(address =>
      numbers.map(number => [address, number, 'accept'].filter(word => word !== '').join(' ')),
    )
  }

  #peerMatch(peer: NetworkPolicyPeer, field: string, namespace: string): string[] {
    const { ipBlock } = peer
    const { ip, family } = this.#words
    if (ipBlock === undefined) return [`${ip} ${field} @${this.#peerSet(peer, namespace)}`]
    // Those of the other family match none of these packets.
    if (familyOf(ipBlock.cidr) !== family) return []
    const except = (ipBlock.except ?? []).filter(range => familyOf(range) === family)
    return [
      [ipBlock.cidr, ...except.map(range => `!= ${range}`)].map(range => `${ip} ${field} ${range}`).join(' '),
    ]
  }

  #peerSet({ podSelector, namespaceSelector }: NetworkPolicyPeer, namespace: string): string {
    const scope = namespaceSelector === undefined ? namespace : ''
    const key = JSON.stringify([scope, namespaceSelector ?? null, podSelector ?? {}])
    const name = ruleName('peers', key, namespace)
    if (this.#drawn.has(name)) return name
    this.#drawn.add(name)
    this.#part.set(name, `set { type ${this.#words.address}; }`)
    const requirements = requirementsOf(podSelector ?? {}) ?? []
    for (const pod of this.#podsIn(namespaceSelector, namespace)) {
      if (matchesLabels(requirements, pod.metadata.labels)) this.#part.element(name, this.#addressOf(pod))
    }
    return name
  }

  #podsIn(selector: LabelSelector | undefined, namespace: string): readonly PolicyPod[] {
    if (selector === undefined) return this.#byNamespace.get(namespace) ?? []
    const requirements: readonly LabelRequirement[] = requirementsOf(selector) ?? []
    return this.#input.namespaces
      .filter(({ metadata }) => matchesLabels(requirements, metadata.labels))
      .flatMap(({ metadata }) => this.#byNamespace.get(metadata.name ?? '') ?? [])
  }

  #portMatch({ port, endPort, protocol = 'TCP' }: NetworkPolicyPort): string {
    const carrier = `meta l4proto ${protocol.toLowerCase()}`
    if (port === undefined) return carrier
    if (typeof port === 'number') {
      return `${carrier} th dport ${port}${endPort === undefined || endPort === port ? '' : `-${endPort}`}`
    }
    return `${this.#words.ip} daddr . meta l4proto . th dport @${this.#namedSet(String(port), protocol)}`
  }

  /** Where pods have a port of this name: whoever is called decides what a name means. */
  #namedSet(portName: string, protocol: string): string {
    const name = ruleName('port', `${protocol} ${portName}`, portName)
    if (this.#drawn.has(name)) return name
    this.#drawn.add(name)
    this.#part.set(name, `set { type ${this.#words.address} . inet_proto . inet_service; }`)
    for (const pod of this.#pods) {
      for (const port of portsOf(pod)) {
        if (port.name !== portName || (port.protocol ?? 'TCP') !== protocol) continue
        this.#part.element(
          name,
          `${this.#addressOf(pod)} . ${protocol.toLowerCase()} . ${port.containerPort}`,
        )
      }
    }
    return name
  }
}

/** Without types, a policy is about what comes in, and about what goes out if it has rules for that. */
function applies({ spec }: NetworkPolicy, direction: Direction): boolean {
  const types = spec?.policyTypes ?? []
  if (types.length > 0) return types.includes(direction === 'ingress' ? 'Ingress' : 'Egress')
  return direction === 'ingress' || (spec?.egress ?? []).length > 0
}
