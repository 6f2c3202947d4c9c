/** The rules for services. */
import { parseAddress } from '../../../../kube/cidr.ts'
import { duplicate, type FieldError, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkPortNumber,
  checkQualifiedName,
} from '../../../../kube/names.ts'
import type { Service, ServicePort, ServiceSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { cidrProblems, ipProblems, specialIpProblems } from './addresses.ts'
import { checkEach, checkLabels, checkOneOf, type Problems } from './meta.ts'
import { checkPort } from './probes.ts'

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const AFFINITY_SECONDS_MAX = 86_400
const KUBELET_PORT = 10_250
const FAMILIES = ['IPv4', 'IPv6']
const POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack']
const DISTRIBUTIONS = ['PreferClose', 'PreferSameZone', 'PreferSameNode']
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges'

/** `known`: the families that the cluster has networks of for Services. */
export function checkService(out: Problems, service: Service, known: readonly string[] = ['IPv4']): void {
  const spec = service.spec
  if (!spec) {
    out.push(required('spec'))
    return
  }
  const ports = spec.ports ?? []
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName')
    out.push(required('spec.ports'))
  checkType(out, spec)
  checkPorts(out, ports)
  checkLabels(out, 'spec.selector', spec.selector)
  checkAffinity(out, spec)
  if (spec.type !== 'ExternalName') {
    checkAddresses(out, spec)
    checkFamilies(out, spec, known)
  }
  if (!spec.type) out.push(required('spec.type'))
  else checkOneOf(out, 'spec.type', spec.type, TYPES)
  checkNodePorts(out, spec)
  checkDuplicatePorts(out, ports)
  checkLoadBalancer(out, spec)
  checkTraffic(out, spec)
}

const isHeadless = ({ clusterIPs }: ServiceSpec): boolean =>
  clusterIPs?.length === 1 && clusterIPs[0] === 'None'

/** What the type rules out or needs. */
function checkType(out: Problems, spec: ServiceSpec): void {
  if (spec.type === 'ExternalName') checkExternalName(out, spec)
  if (spec.type === 'LoadBalancer') {
    for (const [index, { port }] of (spec.ports ?? []).entries()) {
      if (port !== KUBELET_PORT) continue
      const detail = `may not expose port ${KUBELET_PORT} externally since it is used by kubelet`
      out.push(invalid(at('spec.ports', index), port, detail))
    }
  }
  if (!isHeadless(spec) || (spec.type !== 'LoadBalancer' && spec.type !== 'NodePort')) return
  out.push(invalid(at('spec.clusterIPs', 0), 'None', `may not be set to 'None' for ${spec.type} services`))
}

function checkExternalName(out: Problems, spec: ServiceSpec): void {
  const refusal = 'may not be set for ExternalName services'
  for (const name of ['clusterIPs', 'ipFamilies'] as const) {
    if ((spec[name] ?? []).length > 0) out.push(forbidden(`spec.${name}`, refusal))
  }
  if (spec.ipFamilyPolicy !== undefined) out.push(forbidden('spec.ipFamilyPolicy', refusal))
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (name === '') out.push(required('spec.externalName'))
  else checkEach(out, 'spec.externalName', name, checkDns1123Subdomain(name))
}

function checkPorts(out: Problems, ports: readonly ServicePort[]): void {
  const names = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const field = at('spec.ports', index)
    if (!port.name && ports.length > 1) out.push(required(`${field}.name`))
    if (port.name) {
      checkEach(out, `${field}.name`, port.name, checkDns1123Label(port.name))
      if (names.has(port.name)) out.push(duplicate(`${field}.name`, port.name))
      names.add(port.name)
    }
    checkEach(out, `${field}.port`, port.port, checkPortNumber(port.port))
    if (!port.protocol) out.push(required(`${field}.protocol`))
    else checkOneOf(out, `${field}.protocol`, port.protocol, PROTOCOLS)
    if (port.targetPort !== undefined) checkPort(out, `${field}.targetPort`, port.targetPort)
    if (port.appProtocol) {
      checkEach(out, `${field}.appProtocol`, port.appProtocol, checkQualifiedName(port.appProtocol))
    }
  }
}

/** One number may be there once for each protocol. The message shows only what it is a duplicate in. */
function checkDuplicatePorts(out: Problems, ports: readonly ServicePort[]): void {
  const pairs = new Set<string>()
  for (const [index, { protocol, port }] of ports.entries()) {
    const pair = `${protocol}/${port}`
    const shown = { Name: '', Protocol: protocol, AppProtocol: null, Port: port, TargetPort: 0, NodePort: 0 }
    if (pairs.has(pair)) out.push(duplicate(at('spec.ports', index), shown))
    pairs.add(pair)
  }
}

function checkAffinity(out: Problems, spec: ServiceSpec): void {
  if (!spec.sessionAffinity) out.push(required('spec.sessionAffinity'))
  else checkOneOf(out, 'spec.sessionAffinity', spec.sessionAffinity, ['ClientIP', 'None'])
  if (spec.sessionAffinity === 'None' && spec.sessionAffinityConfig) {
    const detail = 'must not be set when session affinity is None'
    out.push(forbidden('spec.sessionAffinityConfig', detail))
  }
  if (spec.sessionAffinity !== 'ClientIP') return
  const seconds = spec.sessionAffinityConfig?.clientIP?.timeoutSeconds
  const field = 'spec.sessionAffinityConfig.clientIP.timeoutSeconds'
  if (seconds === undefined) out.push(required(field, 'must be set when session affinity is ClientIP'))
  else if (seconds <= 0 || seconds > AFFINITY_SECONDS_MAX) {
    out.push(invalid(field, seconds, `must be greater than 0 and less than ${AFFINITY_SECONDS_MAX}`))
  }
}

/** The addresses by themselves, with each other, and with the families that are asked for. */
function checkAddresses(out: Problems, spec: ServiceSpec): void {
  const addresses = spec.clusterIPs ?? []
  const field = 'spec.clusterIPs'
  if (!spec.clusterIP && addresses.length > 0) {
    out.push(invalid(field, addresses, 'must be empty when `clusterIP` is not specified'))
  } else if (spec.clusterIP && spec.clusterIP !== addresses[0]) {
    out.push(invalid(field, addresses, 'first value must match `clusterIP`'))
  }
  checkFamilyNames(out, spec)
  const before = out.length
  for (const [index, address] of addresses.entries()) {
    if (index === 0 && address === 'None') {
      if (addresses.length > 1) out.push(invalid(field, addresses, "'None' must be the first and only value"))
    } else checkEach(out, at(field, index), address, ipProblems(address))
  }
  const areAddresses = out.length === before
  if (addresses.length > 2) out.push(invalid(field, addresses, 'may only hold up to 2 values'))
  if (!areAddresses) return
  const families = addresses.map(address => parseAddress(address)?.family)
  if (addresses.length > 1 && new Set(families).size === 1) {
    out.push(invalid(field, addresses, 'may specify no more than one IP for each IP family'))
  }
  if (isHeadless(spec)) return
  for (const [index, wanted] of (spec.ipFamilies ?? []).slice(0, addresses.length).entries()) {
    const family = `IPv${families[index]}`
    if (family === wanted || !FAMILIES.includes(wanted)) continue
    const detail = `expected an ${wanted} value as indicated by \`ipFamilies[${index}]\``
    out.push(invalid(at(field, index), addresses[index], detail))
  }
}

function checkFamilyNames(out: Problems, { ipFamilies = [], ipFamilyPolicy }: ServiceSpec): void {
  for (const [index, family] of ipFamilies.entries()) {
    const field = at('spec.ipFamilies', index)
    checkOneOf(out, field, family, FAMILIES)
    if (ipFamilies.indexOf(family) !== index) out.push(duplicate(field, family))
  }
  if (ipFamilyPolicy !== undefined) checkOneOf(out, 'spec.ipFamilyPolicy', ipFamilyPolicy, POLICIES)
}

/** What this cluster can give; headless without a selector nothing is given. */
function checkFamilies(out: Problems, spec: ServiceSpec, known: readonly string[]): void {
  const families = spec.ipFamilies ?? []
  const field = 'spec.ipFamilyPolicy'
  const policy = spec.ipFamilyPolicy
  if ((policy ?? 'SingleStack') === 'SingleStack') {
    for (const name of ['clusterIPs', 'ipFamilies'] as const) {
      if (spec[name]?.length !== 2) continue
      const detail = `must be RequireDualStack or PreferDualStack when multiple ${name} are specified`
      out.push(invalid(field, policy, detail))
    }
  }
  if (known.length > 1 || (isHeadless(spec) && Object.keys(spec.selector ?? {}).length === 0)) return
  if (policy === 'RequireDualStack') {
    out.push(invalid(field, policy, 'this cluster is not configured for dual-stack services'))
  }
  for (const [index, family] of families.entries()) {
    if (FAMILIES.includes(family) && !known.includes(family)) {
      out.push(invalid(at('spec.ipFamilies', index), family, 'not configured on this cluster'))
    }
  }
}

function checkNodePorts(out: Problems, { type, ports }: ServiceSpec): void {
  const seen = new Set<string>()
  for (const [index, { nodePort, protocol }] of (ports ?? []).entries()) {
    if (!nodePort) continue
    const field = `${at('spec.ports', index)}.nodePort`
    if (type === 'ClusterIP') out.push(forbidden(field, "may not be used when `type` is 'ClusterIP'"))
    const pair = `${protocol}/${nodePort}`
    if (seen.has(pair)) out.push(duplicate(field, nodePort))
    seen.add(pair)
  }
}

/** Whether anybody outside the cluster can reach it. */
export const isExternal = ({ type, externalIPs }: ServiceSpec): boolean =>
  type === 'NodePort' || type === 'LoadBalancer' || (type === 'ClusterIP' && (externalIPs ?? []).length > 0)

function checkTraffic(out: Problems, spec: ServiceSpec): void {
  const { externalTrafficPolicy: outer, internalTrafficPolicy: inner, healthCheckNodePort: health } = spec
  const field = 'spec.externalTrafficPolicy'
  if (!isExternal(spec)) {
    if (outer) out.push(invalid(field, outer, 'may only be set for externally-accessible services'))
  } else if (!outer) out.push(required(field))
  else checkOneOf(out, field, outer, ['Cluster', 'Local'])
  if (health && !(spec.type === 'LoadBalancer' && outer === 'Local')) {
    const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
    out.push(invalid('spec.healthCheckNodePort', health, detail))
  } else if (health) checkEach(out, 'spec.healthCheckNodePort', health, checkPortNumber(health))
  if (inner !== undefined) checkOneOf(out, 'spec.internalTrafficPolicy', inner, ['Cluster', 'Local'])
  const { trafficDistribution } = spec
  if (trafficDistribution === undefined) return
  checkOneOf(out, 'spec.trafficDistribution', trafficDistribution, DISTRIBUTIONS)
}

const BALANCER_ONLY = "may only be used when `type` is 'LoadBalancer'"

/** What else is written as an address or a network; `previous`, if there is one, may have had worse. */
export function checkOtherNetworks(service: Service, previous?: Service): readonly FieldError[] {
  const out: FieldError[] = []
  const kept = previous?.spec?.externalIPs
  for (const [index, address] of (service.spec?.externalIPs ?? []).entries()) {
    const problems = ipProblems(address, kept)
    const field = at('spec.externalIPs', index)
    checkEach(out, field, address, problems.length > 0 ? problems : specialIpProblems(address))
  }
  checkSourceRanges(out, service, previous === undefined ? [] : sourceRangesOf(previous))
  return out
}

const splitRanges = (text: string): string[] =>
  text.trim() === '' ? [] : text.split(',').map(range => range.trim())

const sourceRangesOf = ({ metadata, spec }: Service): string[] => [
  ...(spec?.loadBalancerSourceRanges ?? []).map(range => range.trim()),
  ...splitRanges(metadata.annotations?.[SOURCE_RANGES] ?? ''),
]

function checkSourceRanges(out: Problems, { metadata, spec }: Service, kept: readonly string[]): void {
  const ranges = spec?.loadBalancerSourceRanges ?? []
  const annotation = metadata.annotations?.[SOURCE_RANGES]
  const isBalancer = spec?.type === 'LoadBalancer'
  if (ranges.length > 0) {
    const field = 'spec.LoadBalancerSourceRanges'
    if (!isBalancer) out.push(forbidden(field, BALANCER_ONLY))
    for (const [index, range] of ranges.entries()) {
      checkEach(out, at(field, index), range.trim(), cidrProblems(range.trim(), kept))
    }
  } else if (annotation !== undefined) {
    const field = `metadata.annotations[${SOURCE_RANGES}]`
    if (!isBalancer) out.push(forbidden(field, BALANCER_ONLY))
    for (const range of splitRanges(annotation)) checkEach(out, field, range, cidrProblems(range, kept))
  }
}

function checkLoadBalancer(out: Problems, spec: ServiceSpec): void {
  const { allocateLoadBalancerNodePorts: allocates, loadBalancerClass: name } = spec
  if (spec.type !== 'LoadBalancer') {
    if (allocates !== undefined) out.push(forbidden('spec.allocateLoadBalancerNodePorts', BALANCER_ONLY))
    if (name !== undefined) out.push(forbidden('spec.loadBalancerClass', BALANCER_ONLY))
    return
  }
  if (allocates === undefined) out.push(required('spec.allocateLoadBalancerNodePorts'))
  if (name !== undefined) checkEach(out, 'spec.loadBalancerClass', name, checkQualifiedName(name))
}

export function checkServiceUpdate(out: Problems, next: Service, previous: Service): void {
  const after = next.spec
  const before = previous.spec
  if (!after || !before) return
  if (after.type !== 'ExternalName' && before.type !== 'ExternalName') {
    checkAddressesKept(out, after, before)
    checkFamiliesKept(out, after, before)
  }
  if (after.type !== 'LoadBalancer' || before.type !== 'LoadBalancer') return
  if (after.loadBalancerClass !== before.loadBalancerClass) {
    out.push(invalid('spec.loadBalancerClass', after.loadBalancerClass, 'may not change once set'))
  }
}

/** Both directions: a second one may come and, with the policy that says so, go. */
function checkAddressesKept(out: Problems, after: ServiceSpec, before: ServiceSpec): void {
  if (isHeadless(after) && isHeadless(before)) return
  const now = after.clusterIPs ?? []
  const old = before.clusterIPs ?? []
  const field = 'spec.clusterIPs'
  if (old.length === now.length) {
    for (const [index, address] of old.entries()) {
      if (address !== now[index]) out.push(invalid(at(field, index), now, 'may not change once set'))
    }
    return
  }
  if (old.length > now.length && now.length === 0) {
    out.push(invalid(at(field, 0), after.clusterIPs, 'primary clusterIP can not be unset'))
  } else if (old.length > 0 && now[0] !== old[0]) {
    out.push(invalid(at(field, 0), now, 'may not change once set'))
  }
  if (old.length > now.length && now.length === 1 && after.ipFamilyPolicy !== 'SingleStack') {
    const detail = "must be set to 'SingleStack' when releasing the secondary clusterIP"
    out.push(invalid('spec.ipFamilyPolicy', after.ipFamilyPolicy, detail))
  }
}

function checkFamiliesKept(out: Problems, after: ServiceSpec, before: ServiceSpec): void {
  if (isHeadless(after) || isHeadless(before)) return
  const now = after.ipFamilies ?? []
  const old = before.ipFamilies ?? []
  const field = at('spec.ipFamilies', 0)
  const isSame = old.length === now.length
  const changed = isSame ? old.filter((family, index) => family !== now[index]).length : 0
  for (let count = 0; count < changed; count++) out.push(invalid(field, now, 'may not change once set'))
  if (isSame || now.length === 0 || old.length === 0) return
  if (now[0] !== old[0]) out.push(invalid(field, after.clusterIPs, 'may not change once set'))
  if (now.length === 1 && after.ipFamilyPolicy !== 'SingleStack') {
    const detail = "must be set to 'SingleStack' when releasing the secondary ipFamily"
    out.push(invalid('spec.ipFamilyPolicy', after.ipFamilyPolicy, detail))
  }
}

export function checkServiceStatus(out: Problems, { spec, status }: Service): void {
  const list = status?.loadBalancer?.ingress ?? []
  const field = 'status.loadBalancer.ingress'
  if (spec?.type !== 'LoadBalancer' && list.length > 0) {
    out.push(forbidden(field, 'may only be used when `spec.type` is "LoadBalancer"'))
    return
  }
  for (const [index, { ip, ipMode, hostname }] of list.entries()) {
    const path = at(field, index)
    if (ip) checkEach(out, `${path}.ip`, ip, ipProblems(ip))
    if (ip && ipMode === undefined) out.push(required(`${path}.ipMode`, 'must be specified when `ip` is set'))
    if (!ip && ipMode !== undefined) {
      out.push(forbidden(`${path}.ipMode`, 'may not be specified when `ip` is not set'))
    } else if (ipMode !== undefined) checkOneOf(out, `${path}.ipMode`, ipMode, ['Proxy', 'VIP'])
    if (!hostname) continue
    checkEach(out, `${path}.hostname`, hostname, checkDns1123Subdomain(hostname))
    if (parseAddress(hostname) === null) continue
    out.push(invalid(`${path}.hostname`, hostname, 'must be a DNS name, not an IP address'))
  }
}
