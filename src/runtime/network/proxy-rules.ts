/** Ports of Services become listeners with backends, for the proxy that carries connections itself (pure). */

import { SERVICE_NAME_LABEL } from '../../kube/endpoint-slice-labels.ts'
import type { EndpointSlice, Service } from '../../kube/types.ts'
import { type PortPlan, planPorts, serviceKeyOf } from './port-plan.ts'
import type { Backend, NodeView } from './usable-backends.ts'

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
}

export interface ProxyInput {
  readonly services: readonly Service[]
  readonly slices: readonly EndpointSlice[]
  readonly node: NodeView
  /** Where node ports listen. */
  readonly nodeAddresses: readonly string[]
  /** Where pods reach a cluster IP. */
  readonly serviceAddress: (clusterIp: string) => string
}

/** Whoever is connected to a dead API server is told at once, so that its watches go on elsewhere. */
export const endsWithBackend = ({
  serviceKey,
  protocol,
}: Pick<PortPlan, 'serviceKey' | 'protocol'>): boolean =>
  serviceKey === 'default/kubernetes' && protocol === 'TCP'

/** A port without backends is left out, so that connections to it are refused. */
export function planProxyRules(input: ProxyInput): ReadonlyMap<string, ProxyRule> {
  const slicesOf = Map.groupBy(input.slices, slice =>
    serviceKeyOf(slice, slice.metadata.labels?.[SERVICE_NAME_LABEL]),
  )
  const rules = new Map<string, ProxyRule>()
  for (const service of input.services) {
    const slices = slicesOf.get(serviceKeyOf(service, service.metadata.name)) ?? []
    for (const plan of planPorts({ service, slices, node: input.node })) {
      for (const rule of rulesOf(plan, input)) {
        // Two services cannot own an address and port; the API sees to it, and the first one stays.
        if (rule.backends.length > 0 && !rules.has(rule.key) && !servesItself(rule)) rules.set(rule.key, rule)
      }
    }
  }
  return rules
}

/** Somebody listens there already, such as the DNS of the node. */
const servesItself = ({ address, port, backends }: ProxyRule): boolean =>
  backends.some(backend => backend.address === address && backend.port === port)

function rulesOf(plan: PortPlan, { serviceAddress, nodeAddresses }: ProxyInput): ProxyRule[] {
  const { protocol, service, serviceKey, affinityMs, nodePort } = plan
  // A process cannot carry SCTP without help of the kernel.
  if (protocol === 'SCTP') return []
  const rule = (address: string, port: number, isLocal: boolean): ProxyRule => ({
    key: `${protocol} ${address}:${port}`,
    ...{ protocol, address, port, service, serviceKey, affinityMs },
    backends: isLocal ? plan.local : plan.everywhere,
  })
  const internal = plan.clusterIps.map(address =>
    rule(serviceAddress(address), plan.port, plan.isInternalLocal),
  )
  if (nodePort === null) return internal
  return [...internal, ...nodeAddresses.map(address => rule(address, nodePort, plan.isExternalLocal))]
}
