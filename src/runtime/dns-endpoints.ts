/**
 * The endpoint slices of `kube-system/kube-dns`: every node's own DNS, at the address where that node alone reaches it.
 * The leader keeps them. Nobody's rules are made of them: each node knows where its DNS is (see node-dns.ts).
 */
import { type BackoffConfig, backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import { messageOf } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { WakingLoop } from '../base/waking-loop.ts'
import type { Informer } from '../client/informer.ts'
import { isNotFound, KubeClient } from '../client/kube-client.ts'
import { ENDPOINT_SLICES, SERVICES } from '../client/resources.ts'
import type { Transport } from '../client/transport.ts'
import { MANAGED_BY_LABEL, SERVICE_NAME_LABEL } from '../kube/endpoint-slice-labels.ts'
import { familyOf } from '../kube/ip-family.ts'
import type { Endpoint, EndpointSlice, Node, Service } from '../kube/types.ts'
import { DNS_SERVICE, type DnsFacts, dnsBackends } from './node-dns.ts'

export interface DnsEndpointsParts {
  readonly transport: Transport
  readonly nodes: Pick<Informer<Node>, 'list' | 'onChange'>
  readonly cluster: DnsFacts
  /** The add-on is enabled. */
  readonly isOn: () => boolean
  readonly clock: Clock
  readonly term: number
  readonly log: Log
}

const NAMESPACE = 'kube-system'
const MANAGER = 'dns.mk8s.io'
/** As many as a slice may have. */
const ENDPOINTS_MAX = 1_000
const SETTLE_MS = 500
/** Whether the add-on was switched, or somebody else changed the slices. */
const LOOK_MS = 30_000
const RETRY: BackoffConfig = { baseMs: 1_000, maxMs: LOOK_MS }
const CANNOT_WRITE = 'the endpoints of the DNS cannot be written'
const ROLES = { dns: 'UDP', 'dns-tcp': 'TCP', metrics: 'TCP' } as const

/** Nothing for a service that selects pods, or that nobody answers for (pure). */
export function planDnsSlices(
  service: Service,
  nodes: readonly Node[],
  { cluster, isOn }: { readonly cluster: DnsFacts; readonly isOn: boolean },
): EndpointSlice[] {
  if (!isOn || service.spec?.selector !== undefined) return []
  const runtimeOf = ({ status }: Node) => status?.nodeInfo?.containerRuntimeVersion?.split(':')[0] ?? ''
  const answering = nodes.filter(node => !['', 'simulated'].includes(runtimeOf(node)))
  const kinds = Map.groupBy(answering, node => (runtimeOf(node) === 'process' ? 'process' : 'oci'))
  return [...kinds].flatMap(([kind, members]) => {
    const sorted = members.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))
    const count = Math.ceil(sorted.length / ENDPOINTS_MAX)
    return Array.from({ length: count }, (_, index) => {
      const part = sorted.slice(index * ENDPOINTS_MAX, (index + 1) * ENDPOINTS_MAX)
      return renderSlice(service, `${kind === 'process' ? 'processes' : 'nodes'}-${index}`, part, {
        backends: dnsBackends(cluster, kind),
      })
    })
  })
}

function renderSlice(
  { metadata }: Service,
  suffix: string,
  nodes: readonly Node[],
  { backends }: { readonly backends: ReturnType<typeof dnsBackends> },
): EndpointSlice {
  const at = (role: string) => backends.get(`${NAMESPACE}/${DNS_SERVICE}:${role}`)
  const address = at('dns')?.address ?? ''
  const owner = { apiVersion: 'v1', kind: 'Service', name: DNS_SERVICE, uid: metadata.uid ?? '' }
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: `${DNS_SERVICE}-${suffix}`,
      namespace: NAMESPACE,
      labels: { [SERVICE_NAME_LABEL]: DNS_SERVICE, [MANAGED_BY_LABEL]: MANAGER },
      ownerReferences: [{ ...owner, controller: true, blockOwnerDeletion: true }],
    },
    addressType: familyOf(address),
    endpoints: nodes.map(node => endpointOf(node, address)),
    ports: Object.entries(ROLES).map(([name, protocol]) => ({ name, protocol, port: at(name)?.port ?? 0 })),
  }
}

function endpointOf({ metadata, status }: Node, address: string): Endpoint {
  const ready = status?.conditions?.some(each => each.type === 'Ready' && each.status === 'True') === true
  const targetRef = { kind: 'Node', name: metadata.name ?? '', uid: metadata.uid ?? '' }
  return {
    addresses: [address],
    conditions: { ready, serving: ready, terminating: false },
    nodeName: metadata.name ?? '',
    targetRef,
  }
}

export function createDnsEndpoints(parts: DnsEndpointsParts): Component {
  return new DnsEndpoints(parts)
}

class DnsEndpoints implements Component {
  readonly name = 'dns-endpoints'
  readonly #parts: DnsEndpointsParts
  readonly #client: KubeClient
  #unsubscribe = () => {}
  readonly #loop: WakingLoop
  #written = ''
  #failures = 0
  #problem = ''

  constructor(parts: DnsEndpointsParts) {
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#look(), settleMs: SETTLE_MS, clock: parts.clock })
    this.#client = new KubeClient(parts.transport, { userAgent: 'mk8s-dns', term: parts.term })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    this.#unsubscribe = this.#parts.nodes.onChange((_, next, previous) => {
      if (shown(next) !== shown(previous)) this.#loop.wake()
    })
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    await this.#loop.stop()
  }

  health(): Health {
    return { ok: true, reason: this.#problem && `${CANNOT_WRITE}: ${this.#problem}` }
  }

  async #look(): Promise<number> {
    try {
      await this.#write()
      this.#failures = 0
      this.#tell('')
      return LOOK_MS
    } catch (error) {
      this.#failures += 1
      // A Service that somebody took away, or that is just being made, needs no endpoints.
      this.#tell(isNotFound(error) ? '' : messageOf(error))
      return backoffMs(RETRY, this.#failures)
    }
  }

  /** Once, however often it is tried again. */
  #tell(problem: string): void {
    if (problem !== '' && problem !== this.#problem) this.#parts.log.warn(CANNOT_WRITE, { error: problem })
    this.#problem = problem
  }

  async #write(): Promise<void> {
    const { nodes, cluster, isOn } = this.#parts
    const service = await this.#client.get<Service>(SERVICES, { namespace: NAMESPACE, name: DNS_SERVICE })
    const wanted = planDnsSlices(service, nodes.list(), { cluster, isOn: isOn() })
    const labelSelector = `${SERVICE_NAME_LABEL}=${DNS_SERVICE},${MANAGED_BY_LABEL}=${MANAGER}`
    const { items } = await this.#client.list<EndpointSlice>(ENDPOINT_SLICES, {
      namespace: NAMESPACE,
      labelSelector,
    })
    const text = JSON.stringify(wanted)
    const isComplete = wanted.length === items.length
    if (text === this.#written && isComplete) return
    for (const slice of wanted) {
      await this.#client.apply(ENDPOINT_SLICES, slice, { fieldManager: MANAGER, force: true })
    }
    for (const { metadata } of items) {
      if (wanted.some(slice => slice.metadata.name === metadata.name)) continue
      await this.#client.delete(ENDPOINT_SLICES, { namespace: NAMESPACE, name: metadata.name ?? '' })
    }
    this.#written = text
  }
}

/** What the slices say of a node: heartbeats are none of it. */
const shown = (node: Node | null): string =>
  node === null
    ? ''
    : JSON.stringify([endpointOf(node, '').conditions, node.status?.nodeInfo?.containerRuntimeVersion])
