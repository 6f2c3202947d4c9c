/** From a service and its pods to endpoints and their ports. */
import { familyOf } from '../../../kube/ip-family.ts'
import type { Endpoint, EndpointSlicePort, Pod, Service } from '../../../kube/types.ts'
import { isFinished, isReady } from '../shared/pods.ts'
import { resolvePorts } from '../shared/service-ports.ts'

export type AddressType = 'IPv4' | 'IPv6'

/** Endpoints that share one list of ports. */
export interface PortGroup {
  readonly ports: readonly EndpointSlicePort[]
  readonly endpoints: Endpoint[]
}

/** The address types that a service's endpoints come in. */
export function addressTypesOf(service: Service): AddressType[] {
  const families = service.spec?.ipFamilies ?? []
  if (families.length > 0) return families.map(family => (family === 'IPv6' ? 'IPv6' : 'IPv4'))
  return [familyOf(service.spec?.clusterIP ?? '')]
}

/** The endpoints of one address type, grouped by ports: pods may resolve named ports differently. */
export function groupEndpoints(
  service: Service,
  pods: readonly Pod[],
  addressType: AddressType,
  zoneOf: ZoneOf,
): PortGroup[] {
  const groups = new Map<string, PortGroup>()
  for (const pod of pods) {
    const address = addressOf(pod, addressType)
    if (address === undefined || isFinished(pod)) continue
    const ports = resolvePorts(service, pod)
    const key = portsKey(ports)
    const group: PortGroup = groups.get(key) ?? { ports, endpoints: [] }
    group.endpoints.push(renderEndpoint(service, pod, address, zoneOf(pod.spec?.nodeName ?? '')))
    groups.set(key, group)
  }
  return [...groups.values()]
}

/** Equal for equal lists of ports, in whatever order. */
export function portsKey(ports: readonly EndpointSlicePort[]): string {
  return ports
    .map(port => `${port.name ?? ''}|${port.protocol ?? 'TCP'}|${port.port ?? ''}|${port.appProtocol ?? ''}`)
    .sort()
    .join(',')
}

function addressOf(pod: Pod, addressType: AddressType): string | undefined {
  const ips = pod.status?.podIPs?.map(each => each.ip) ?? [pod.status?.podIP]
  return ips.find(ip => ip !== undefined && ip !== '' && familyOf(ip) === addressType)
}

/** The zone of a node; undefined when it has none. */
export type ZoneOf = (nodeName: string) => string | undefined

function renderEndpoint(service: Service, pod: Pod, address: string, zone: string | undefined): Endpoint {
  const serving = isReady(pod)
  const terminating = pod.metadata.deletionTimestamp !== undefined
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating)
  const { namespace, name, uid } = pod.metadata
  const hostname = pod.spec?.hostname
  const isNamed = Boolean(hostname) && pod.spec?.subdomain === service.metadata.name
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    targetRef: { kind: 'Pod', namespace: namespace ?? '', name: name ?? '', uid: uid ?? '' },
    ...(pod.spec?.nodeName ? { nodeName: pod.spec.nodeName } : {}),
    ...(zone === undefined ? {} : { zone }),
    ...(isNamed && hostname ? { hostname } : {}),
    ...(ready ? hintsFor(service, zone, pod.spec?.nodeName) : {}),
  }
}

/** Who should prefer this endpoint, as the service wishes to distribute its traffic. */
function hintsFor(
  { spec }: Service,
  zone: string | undefined,
  nodeName: string | undefined,
): Pick<Endpoint, 'hints'> {
  const isSameNode = spec?.trafficDistribution === 'PreferSameNode'
  const isSameZone = ['PreferClose', 'PreferSameZone'].includes(spec?.trafficDistribution ?? '')
  const forZones = (isSameNode || isSameZone) && zone !== undefined ? { forZones: [{ name: zone }] } : {}
  const forNodes = isSameNode && nodeName ? { forNodes: [{ name: nodeName }] } : {}
  const hints = { ...forZones, ...forNodes }
  return Object.keys(hints).length === 0 ? {} : { hints }
}
