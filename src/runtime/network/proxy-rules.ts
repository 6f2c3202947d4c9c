/** Services and endpoint slices become listeners with backends (pure). */
import type { Endpoint, EndpointSlice, Service, ServicePort } from '../../kube/types.ts'

export interface Backend {
  readonly address: string
  readonly port: number
}

export interface ProxyRule {
  /** `TCP 127.152.183.12:80`. */
  readonly key: string
  readonly protocol: 'TCP' | 'UDP'
  readonly address: string
  readonly port: number
  /** `namespace/name:port`, for people. */
  readonly service: string
  readonly serviceKey: string
  readonly backends: readonly Backend[]
  /** Connections of one client go to one backend for so long; null for no affinity. */
  readonly affinityMs: number | null
  /** Only endpoints of this node are asked, so that they see who asks. */
  readonly isLocalOnly: boolean
}

export interface ProxyInput {
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly nodeName: string
  /** Where node ports listen. */
  readonly nodeAddresses: readonly string[]
  /** Where pods reach a cluster IP. */
  readonly serviceAddress: (clusterIp: string) => string
  /** Where this node itself serves a service that selects nothing, by `namespace/name:port`. */
  readonly own?: ReadonlyMap<string, Backend>
  /** Rules without backends too, for those who refuse connections themselves. */
  readonly keepsEmpty?: boolean
}

/** Whoever is connected to a dead API server is told at once, so that its watches go on elsewhere. */
export const endsWithBackend = ({ serviceKey, protocol }: ProxyRule): boolean =>
  serviceKey === 'default/kubernetes' && protocol === 'TCP'

const SERVICE_LABEL = 'kubernetes.io/service-name'
const DEFAULT_AFFINITY_SECONDS = 10_800

/** A rule without backends is left out unless it is wanted, so that connections to it are refused. */
export function planProxyRules(input: ProxyInput): ReadonlyMap<string, ProxyRule> {
  const slicesOf = Map.groupBy(
    input.slices,
    ({ metadata }) => `${metadata.namespace}/${metadata.labels?.[SERVICE_LABEL] ?? ''}`,
  )
  const rules = new Map<string, ProxyRule>()
  for (const service of input.services) {
    const serviceKey = `${service.metadata.namespace}/${service.metadata.name}`
    for (const port of service.spec?.ports ?? []) {
      for (const rule of rulesOf(service, port, slicesOf.get(serviceKey) ?? [], input)) {
        // Two services cannot own an address and port; the API sees to it, and the first one stays.
        const isWanted = rule.backends.length > 0 || input.keepsEmpty === true
        if (isWanted && !rules.has(rule.key)) rules.set(rule.key, rule)
      }
    }
  }
  return rules
}

function rulesOf(
  service: Service,
  port: ServicePort,
  slices: readonly EndpointSlice[],
  input: ProxyInput,
): ProxyRule[] {
  const protocol = port.protocol ?? 'TCP'
  const spec = service.spec ?? {}
  if (spec.type === 'ExternalName' || (protocol !== 'TCP' && protocol !== 'UDP')) return []
  const { namespace, name } = service.metadata
  const affinitySeconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS
  const common = {
    protocol: protocol as 'TCP' | 'UDP',
    service: `${namespace}/${name}${port.name ? `:${port.name}` : ''}`,
    serviceKey: `${namespace}/${name}`,
    affinityMs: spec.sessionAffinity === 'ClientIP' ? affinitySeconds * 1_000 : null,
  }
  const own = spec.selector === undefined ? input.own?.get(common.service) : undefined
  const rule = (address: string, number: number, isLocalOnly: boolean): ProxyRule => ({
    ...common,
    key: `${protocol} ${address}:${number}`,
    address,
    port: number,
    isLocalOnly,
    backends: own === undefined ? backendsOf(port, slices, isLocalOnly ? input.nodeName : null) : [own],
  })
  const addresses = (spec.clusterIPs ?? [spec.clusterIP ?? '']).filter(isUsable)
  const internal = spec.internalTrafficPolicy === 'Local'
  const external = spec.externalTrafficPolicy === 'Local'
  const rules = addresses.map(address => rule(input.serviceAddress(address), port.port, internal))
  const { nodePort } = port
  if (nodePort) rules.push(...input.nodeAddresses.map(address => rule(address, nodePort, external)))
  return rules
}

/** An IPv4 cluster IP; headless services have `None`, and IPv6 has no mirror. */
const isUsable = (address: string) => /^\d+\.\d+\.\d+\.\d+$/.test(address)

/** Ready endpoints; when there is none, those that still serve while they end. */
function backendsOf(port: ServicePort, slices: readonly EndpointSlice[], onNode: string | null): Backend[] {
  const ready = new Map<string, Backend>()
  const ending = new Map<string, Backend>()
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue
    const target = slice.ports?.find(
      candidate =>
        (candidate.name ?? '') === (port.name ?? '') &&
        (candidate.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    )
    if (target?.port === undefined) continue
    for (const endpoint of slice.endpoints ?? []) {
      if (onNode !== null && endpoint.nodeName !== onNode) continue
      const list = isReady(endpoint) ? ready : isEnding(endpoint) ? ending : null
      for (const address of endpoint.addresses) {
        list?.set(`${address}:${target.port}`, { address, port: target.port })
      }
    }
  }
  return [...(ready.size > 0 ? ready : ending).values()]
}

const isReady = ({ conditions }: Endpoint) => conditions?.ready !== false
const isEnding = ({ conditions }: Endpoint) => conditions?.serving === true && conditions.terminating === true
