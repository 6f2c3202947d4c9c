/** Defaults of services: the constant ones, and the IP families that the cluster has. */
import { parseAddress } from '../../../../kube/cidr.ts'
import type { IPFamily } from '../../../../kube/ip-family.ts'
import type { Service } from '../../../../kube/types.ts'
import { semanticallyEqual, setDefault } from '../support.ts'
import { isExternal } from '../validation/service.ts'

const AFFINITY_SECONDS = 10_800

export function defaultService(service: Service): void {
  const spec = service.spec
  if (!spec) return
  if (!spec.sessionAffinity) spec.sessionAffinity = 'None'
  if (!spec.type) spec.type = 'ClusterIP'
  if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig
  if (spec.sessionAffinity === 'ClientIP' && !spec.sessionAffinityConfig?.clientIP?.timeoutSeconds) {
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: AFFINITY_SECONDS } }
  }
  for (const port of spec.ports ?? []) {
    if (!port.protocol) port.protocol = 'TCP'
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') {
      port.targetPort = port.port
    }
  }
  if (isExternal(spec) && !spec.externalTrafficPolicy) spec.externalTrafficPolicy = 'Cluster'
  if (spec.type !== 'ExternalName') setDefault(spec, 'internalTrafficPolicy', 'Cluster')
  if (spec.type !== 'LoadBalancer') return
  setDefault(spec, 'allocateLoadBalancerNodePorts', true)
  for (const ingress of service.status?.loadBalancer?.ingress ?? []) {
    if (ingress.ip) setDefault(ingress, 'ipMode', 'VIP')
  }
}

/** `clusterIP` and `clusterIPs` say one thing; families follow the addresses, then the cluster's networks. */
export function defaultFamilies(
  service: Service,
  previous: Service | null,
  known: readonly IPFamily[],
): void {
  const spec = service.spec
  if (!spec) return
  if (spec.type === 'ExternalName') {
    if (previous === null) mirrorClusterIp(service, null)
    return
  }
  mirrorClusterIp(service, previous)
  if (previous !== null) releaseSecond(service, previous)
  const inferred = (spec.clusterIPs ?? []).flatMap(address => parseAddress(address)?.family ?? [])
  const given = spec.ipFamilies ?? []
  const families = [...given, ...inferred.slice(given.length).map(family => `IPv${family}`)]
  const isDualStack = known.length > 1
  if (families.length === 0) families.push(known[0] ?? 'IPv4')
  if (isFree(service)) setDefault(spec, 'ipFamilyPolicy', 'RequireDualStack')
  const wantsTwo = spec.ipFamilyPolicy !== undefined && spec.ipFamilyPolicy !== 'SingleStack'
  if (families.length === 1 && wantsTwo && (isDualStack || isFree(service))) {
    families.push(families[0] === 'IPv4' ? 'IPv6' : 'IPv4')
  }
  spec.ipFamilies = families
  // Two families without a policy are a contradiction, which validation tells.
  if (families.length === 1) setDefault(spec, 'ipFamilyPolicy', 'SingleStack')
}

/** Whoever only says that one family is enough gives back the second one and its address. */
function releaseSecond(service: Service, previous: Service): void {
  const [spec, before] = [service.spec, previous.spec]
  if (!spec || !before || spec.ipFamilyPolicy !== 'SingleStack') return
  if (before.ipFamilyPolicy === undefined || before.ipFamilyPolicy === 'SingleStack') return
  const isSame =
    semanticallyEqual(spec.clusterIPs, before.clusterIPs) &&
    semanticallyEqual(spec.ipFamilies, before.ipFamilies)
  if (!isSame) return
  if (spec.clusterIPs?.length === 2) spec.clusterIPs = spec.clusterIPs.slice(0, 1)
  if (spec.ipFamilies?.length === 2) spec.ipFamilies = spec.ipFamilies.slice(0, 1)
}

/** Headless without a selector: nothing is allocated, so both families may be named in any cluster. */
export const isFree = ({ spec }: Service): boolean =>
  spec?.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0

/** A client that knows only `clusterIP` changes `clusterIPs` too. */
function mirrorClusterIp(service: Service, previous: Service | null): void {
  const spec = service.spec
  if (!spec) return
  const before = previous?.spec
  if (!before) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP]
    return
  }
  const isSame = semanticallyEqual(spec.clusterIPs, before.clusterIPs)
  if (!spec.clusterIP && before.clusterIP) {
    if (isSame) delete spec.clusterIPs
  } else if (spec.clusterIP !== before.clusterIP) {
    if (isSame || !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP ?? '']
  } else if (spec.clusterIP && !spec.clusterIPs?.length) delete spec.clusterIP
}

/** An update that leaves out what was allocated keeps it; one to a type without it loses it. */
export function keepAllocated(next: Service, previous: Service): void {
  const spec = next.spec
  const before = previous.spec
  if (!spec || !before) return
  if (needsClusterIp(next) && needsClusterIp(previous)) {
    if (!spec.clusterIP && before.clusterIP !== undefined) spec.clusterIP = before.clusterIP
    if (!spec.clusterIPs?.length && before.clusterIPs !== undefined && spec.clusterIP === before.clusterIP) {
      spec.clusterIPs = [...before.clusterIPs]
    }
  }
  if (needsNodePorts(next) && needsNodePorts(previous)) keepNodePorts(next, previous)
  if (needsHealthPort(next) && needsHealthPort(previous) && !spec.healthCheckNodePort) {
    if (before.healthCheckNodePort) spec.healthCheckNodePort = before.healthCheckNodePort
  }
  dropUnused(next, previous)
}

function keepNodePorts(next: Service, previous: Service): void {
  const keyOf = (port: { port: number; protocol?: string }) => `${port.protocol ?? 'TCP'}/${port.port}`
  const before = new Map((previous.spec?.ports ?? []).map(port => [keyOf(port), port.nodePort]))
  const used = new Set((next.spec?.ports ?? []).map(port => port.nodePort))
  for (const port of next.spec?.ports ?? []) {
    const kept = before.get(keyOf(port))
    if (port.nodePort || !kept || used.has(kept)) continue
    port.nodePort = kept
    used.add(kept)
  }
}

/** What the service no longer needs goes away, unless the client changed it in the same breath. */
function dropUnused(next: Service, previous: Service): void {
  const spec = next.spec
  const before = previous.spec
  if (!spec || !before) return
  if (needsClusterIp(previous) && !needsClusterIp(next)) {
    if (spec.clusterIP === before.clusterIP && semanticallyEqual(spec.clusterIPs, before.clusterIPs)) {
      delete spec.clusterIP
      delete spec.clusterIPs
    }
    dropSame(spec, before, ['ipFamilies', 'ipFamilyPolicy', 'internalTrafficPolicy'])
  }
  if (needsNodePorts(previous) && !needsNodePorts(next) && hasSamePorts(spec.ports, before.ports)) {
    for (const port of spec.ports ?? []) delete port.nodePort
  }
  if (needsHealthPort(previous) && !needsHealthPort(next)) dropSame(spec, before, ['healthCheckNodePort'])
  if (before.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    dropSame(spec, before, ['allocateLoadBalancerNodePorts', 'loadBalancerClass'])
  }
  if (isExternal(before) && !isExternal(spec)) dropSame(spec, before, ['externalTrafficPolicy'])
}

type Spec = NonNullable<Service['spec']>
type Ports = Spec['ports']

function dropSame(spec: Spec, before: Spec, fields: readonly (keyof Spec)[]): void {
  for (const field of fields) if (semanticallyEqual(spec[field], before[field])) delete spec[field]
}

/** The node ports of both are the same numbers. */
function hasSamePorts(left: Ports, right: Ports): boolean {
  const numbers = (ports: Ports) => (ports ?? []).flatMap(port => port.nodePort || []).sort()
  return semanticallyEqual(numbers(left), numbers(right))
}

export const needsClusterIp = (service: Service): boolean => service.spec?.type !== 'ExternalName'

export function needsNodePorts({ spec }: Service): boolean {
  return (
    spec?.type === 'NodePort' ||
    (spec?.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  )
}

export const needsHealthPort = ({ spec }: Service): boolean =>
  spec?.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
