/** Defaults of services: the constant ones, and the IP family of a single-stack IPv4 cluster. */
import type { Service } from '../../../../kube/types.ts'
import { setDefault } from '../support.ts'

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
  const isExternal = spec.type === 'NodePort' || spec.type === 'LoadBalancer'
  if (isExternal) setDefault(spec, 'externalTrafficPolicy', 'Cluster')
  if (spec.type !== 'ExternalName') setDefault(spec, 'internalTrafficPolicy', 'Cluster')
  if (spec.type === 'LoadBalancer') setDefault(spec, 'allocateLoadBalancerNodePorts', true)
}

/** `clusterIP` and `clusterIPs` say one thing; families follow the cluster's network. */
export function defaultFamilies(service: Service, previous: Service | null): void {
  const spec = service.spec
  if (!spec) return
  if (spec.type === 'ExternalName') return
  mirrorClusterIp(service, previous)
  if (isFree(service)) {
    setDefault(spec, 'ipFamilyPolicy', 'RequireDualStack')
    if (!spec.ipFamilies?.length) {
      spec.ipFamilies = spec.ipFamilyPolicy === 'SingleStack' ? ['IPv4'] : ['IPv4', 'IPv6']
    }
    return
  }
  setDefault(spec, 'ipFamilyPolicy', 'SingleStack')
  if (!spec.ipFamilies?.length) spec.ipFamilies = ['IPv4']
}

/** Headless without a selector: nothing is allocated, so both families may be named in any cluster. */
export const isFree = ({ spec }: Service): boolean =>
  spec?.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0

/** A client that knows only `clusterIP` changes `clusterIPs` too. */
function mirrorClusterIp(service: Service, previous: Service | null): void {
  const spec = service.spec
  if (!spec) return
  const before = previous?.spec
  if (before && !spec.clusterIP && !spec.clusterIPs?.length) return
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP]
  else if (!before && !spec.clusterIP && spec.clusterIPs?.[0]) spec.clusterIP = spec.clusterIPs[0]
  else if (before && spec.clusterIP !== before.clusterIP && spec.clusterIPs?.[0] === before.clusterIP) {
    if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP]
    else delete spec.clusterIPs
  }
}

/** An update that leaves out what was allocated keeps it; one to a type without it loses it. */
export function keepAllocated(next: Service, previous: Service): void {
  const spec = next.spec
  const before = previous.spec
  if (!spec || !before) return
  if (needsClusterIp(next) && needsClusterIp(previous) && !spec.clusterIP) {
    if (before.clusterIP !== undefined) spec.clusterIP = before.clusterIP
    if (before.clusterIPs !== undefined) spec.clusterIPs = before.clusterIPs
  }
  if (needsNodePorts(next) && needsNodePorts(previous)) keepNodePorts(next, previous)
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

/** After a change of type: what the old type had and the client did not touch goes away. */
function dropUnused(next: Service, previous: Service): void {
  const spec = next.spec
  const before = previous.spec
  if (!spec || !before || spec.type === before.type) return
  if (needsClusterIp(previous) && !needsClusterIp(next) && spec.clusterIP === before.clusterIP) {
    delete spec.clusterIP
    delete spec.clusterIPs
    delete spec.ipFamilies
    delete spec.ipFamilyPolicy
    delete spec.internalTrafficPolicy
  }
  if (needsNodePorts(previous) && !needsNodePorts(next)) {
    const old = new Set((before.ports ?? []).map(port => port.nodePort))
    for (const port of spec.ports ?? []) if (old.has(port.nodePort)) delete port.nodePort
    if (spec.externalTrafficPolicy === before.externalTrafficPolicy) delete spec.externalTrafficPolicy
    delete spec.healthCheckNodePort
  }
  if (before.type === 'LoadBalancer') delete spec.allocateLoadBalancerNodePorts
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
