/** What each port of a Service leads to, for whoever carries it out: addresses, policies and endpoints (pure). */

import { familyOf } from '../../kube/ip-family.ts'
import type { EndpointSlice, Service, ServicePort } from '../../kube/types.ts'
import type { Family } from './family.ts'
import type { Backend } from './usable-backends.ts'
import { type NodeView, usableBackends } from './usable-backends.ts'

export type Protocol = 'TCP' | 'UDP' | 'SCTP'

export interface PortPlan {
  /** `namespace/name:port`, for people. */
  readonly service: string
  readonly serviceKey: string
  readonly protocol: Protocol
  readonly port: number
  readonly nodePort: number | null
  readonly clusterIps: readonly string[]
  readonly externalIps: readonly string[]
  readonly loadBalancerIps: readonly string[]
  /** Who may use the load balancer's addresses; null for everybody. */
  readonly sourceRanges: readonly string[] | null
  /** Connections of one client go to one backend for so long; null for no affinity. */
  readonly affinityMs: number | null
  /** Only endpoints of this node are asked at cluster IPs; or from outside. */
  readonly isInternalLocal: boolean
  readonly isExternalLocal: boolean
  /** For connections that any node may serve. */
  readonly everywhere: readonly Backend[]
  /** Those of them on this node, near or far, for connections that it serves itself. */
  readonly local: readonly Backend[]
}

export interface PortPlanInput {
  readonly service: Service
  /** Of this service. */
  readonly slices: readonly EndpointSlice[]
  readonly node: NodeView
  /** Where this node itself serves a service that selects nothing, by `namespace/name:port`. */
  readonly own?: ReadonlyMap<string, Backend> | undefined
  /** Whose addresses and endpoints it is about; IPv4 unless given. */
  readonly family?: Family
}

const DEFAULT_AFFINITY_SECONDS = 10_800
const PROTOCOLS: readonly string[] = ['TCP', 'UDP', 'SCTP']

export const serviceKeyOf = ({ metadata }: Service | EndpointSlice, name: string | undefined): string =>
  `${metadata.namespace}/${name ?? ''}`

/** Nothing for headless services and names of others; slices without the service's own port are passed over. */
export function planPorts(input: PortPlanInput): PortPlan[] {
  const { service, family = 'IPv4' } = input
  const { spec = {} } = service
  if (spec.type === 'ExternalName' || addressesOf(spec.clusterIPs ?? [spec.clusterIP], family).length === 0)
    return []
  return (spec.ports ?? []).flatMap(port =>
    PROTOCOLS.includes(port.protocol ?? 'TCP') ? [planPort(input, port)] : [],
  )
}

function planPort(input: PortPlanInput, port: ServicePort): PortPlan {
  const { service, slices, node, own, family = 'IPv4' } = input
  const addresses = (texts: readonly (string | undefined)[]) => addressesOf(texts, family)
  const { spec = {}, metadata, status } = service
  const serviceKey = serviceKeyOf(service, metadata.name)
  const name = `${serviceKey}${port.name ? `:${port.name}` : ''}`
  const owned = spec.selector === undefined ? own?.get(name) : undefined
  const served = owned !== undefined && familyOf(owned.address) === family ? owned : undefined
  const usable = served === undefined ? usableBackends(port, slices, node, family) : null
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS
  const ingress = (status?.loadBalancer?.ingress ?? []).filter(({ ipMode }) => ipMode !== 'Proxy')
  const ranges = (spec.loadBalancerSourceRanges ?? []).map(text => text.trim())
  return {
    service: name,
    serviceKey,
    protocol: (port.protocol ?? 'TCP') as Protocol,
    port: port.port,
    nodePort: port.nodePort || null,
    clusterIps: addresses(spec.clusterIPs ?? [spec.clusterIP]),
    externalIps: addresses(spec.externalIPs ?? []),
    loadBalancerIps: spec.type === 'LoadBalancer' ? addresses(ingress.map(({ ip }) => ip)) : [],
    sourceRanges: ranges.length === 0 ? null : ranges.filter(range => isOf(range, family)),
    affinityMs: spec.sessionAffinity === 'ClientIP' ? seconds * 1_000 : null,
    isInternalLocal: spec.internalTrafficPolicy === 'Local',
    isExternalLocal: spec.externalTrafficPolicy === 'Local',
    everywhere: usable?.everywhere ?? (served === undefined ? [] : [served]),
    local: usable?.local ?? (served === undefined ? [] : [served]),
  }
}

/** Those of a family; headless services have `None`. */
function addressesOf(texts: readonly (string | undefined)[], family: Family): string[] {
  return [...new Set(texts)].filter(text => text !== undefined && isOf(text, family)) as string[]
}

/** Addresses and networks begin alike. */
const isOf = (text: string, family: Family) =>
  family === 'IPv6' ? text.includes(':') : /^\d+\.\d+\.\d+\.\d+(\/\d+)?$/.test(text)
