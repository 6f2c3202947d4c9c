/** The rules for services. */
import { duplicate, forbidden, invalid, required } from '../../../../kube/field-error.ts'
import {
  checkDns1123Label,
  checkDns1123Subdomain,
  checkPortNumber,
  checkQualifiedName,
} from '../../../../kube/names.ts'
import type { Service, ServicePort, ServiceSpec } from '../../../../kube/types.ts'
import { at } from '../support.ts'
import { CIDR_PROBLEM, ipProblems, isCidr } from './addresses.ts'
import { checkEach, checkLabels, checkOneOf, type Problems } from './meta.ts'
import { checkPort } from './probes.ts'

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const AFFINITY_SECONDS_MAX = 86_400

export function checkService(out: Problems, service: Service): void {
  const spec = service.spec
  if (!spec) {
    out.push(required('spec'))
    return
  }
  const isHeadless = spec.clusterIP === 'None'
  const ports = spec.ports ?? []
  if (ports.length === 0 && !isHeadless && spec.type !== 'ExternalName') out.push(required('spec.ports'))
  if (spec.type === 'LoadBalancer' && isHeadless) {
    out.push(
      invalid('spec.clusterIPs', spec.clusterIPs, "may not be set to 'None' for LoadBalancer services"),
    )
  }
  if (spec.type === 'NodePort' && isHeadless) {
    out.push(invalid('spec.clusterIPs', spec.clusterIPs, "may not be set to 'None' for NodePort services"))
  }
  if (spec.type === 'ExternalName') checkExternalName(out, spec)
  checkPorts(out, ports)
  checkLabels(out, 'spec.selector', spec.selector)
  checkAffinity(out, spec)
  if (!spec.type) out.push(required('spec.type'))
  else checkOneOf(out, 'spec.type', spec.type, TYPES)
  checkAddresses(out, spec)
  checkFamilies(out, spec)
  checkNodePorts(out, spec)
  checkTraffic(out, spec)
  checkLoadBalancer(out, spec)
}

function checkExternalName(out: Problems, spec: ServiceSpec): void {
  const refusal = "may not be set when `type` is 'ExternalName'"
  if (spec.clusterIP || (spec.clusterIPs ?? []).length > 0) out.push(forbidden('spec.clusterIPs', refusal))
  if (spec.clusterIP === 'None') out.push(forbidden('spec.clusterIP', refusal))
  const name = (spec.externalName ?? '').replace(/\.$/, '')
  if (name === '') out.push(required('spec.externalName'))
  else checkEach(out, 'spec.externalName', name, checkDns1123Subdomain(name))
}

function checkPorts(out: Problems, ports: readonly ServicePort[]): void {
  const names = new Set<string>()
  const pairs = new Set<string>()
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
    const pair = `${port.protocol}/${port.port}`
    if (pairs.has(pair)) out.push(duplicate(field, shown(port, { Port: port.port })))
    pairs.add(pair)
  }
}

/** A port as upstream's message about a duplicate shows it: only what it is a duplicate in. */
function shown(port: ServicePort, what: { Port?: number; NodePort?: number }): unknown {
  const empty = { Name: '', Protocol: port.protocol, AppProtocol: null, Port: 0, TargetPort: 0, NodePort: 0 }
  return { ...empty, ...what }
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

function checkAddresses(out: Problems, spec: ServiceSpec): void {
  const addresses = spec.clusterIPs ?? []
  if (spec.clusterIP && spec.clusterIP !== addresses[0]) {
    out.push(invalid('spec.clusterIPs', addresses, 'first value must match `clusterIP`'))
  }
  if (addresses.length > 1 && addresses.includes('None')) {
    out.push(invalid(at('spec.clusterIPs', 0), 'None', "'None' must be the first and only value"))
  } else if (addresses.length > 1) {
    const detail = 'may only hold one value in a single-stack cluster'
    out.push(invalid('spec.clusterIPs', addresses, detail))
  }
  for (const [index, address] of addresses.entries()) {
    if (address === 'None') continue
    checkEach(out, at('spec.clusterIPs', index), address, ipProblems(address))
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    checkEach(out, at('spec.externalIPs', index), address, ipProblems(address))
  }
}

function checkFamilies(out: Problems, spec: ServiceSpec): void {
  const isFree = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
  if (spec.type === 'ExternalName') {
    for (const name of ['ipFamilyPolicy', 'ipFamilies'] as const) {
      if (spec[name]) out.push(forbidden(`spec.${name}`, "may not be set when `type` is 'ExternalName'"))
    }
    return
  }
  const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack']
  if (spec.ipFamilyPolicy) checkOneOf(out, 'spec.ipFamilyPolicy', spec.ipFamilyPolicy, policies)
  for (const [index, family] of (spec.ipFamilies ?? []).entries()) {
    const field = at('spec.ipFamilies', index)
    checkOneOf(out, field, family, ['IPv4', 'IPv6'])
    if (family === 'IPv6' && !isFree) out.push(invalid(field, family, 'not configured on this cluster'))
    if (spec.ipFamilies?.indexOf(family) !== index) out.push(duplicate(field, family))
  }
  if (spec.ipFamilyPolicy === 'RequireDualStack' && !isFree) {
    const detail = 'this cluster is not configured for dual-stack services'
    out.push(invalid('spec.ipFamilyPolicy', spec.ipFamilyPolicy, detail))
  }
}

function checkNodePorts(out: Problems, spec: ServiceSpec): void {
  const seen = new Set<string>()
  for (const [index, port] of (spec.ports ?? []).entries()) {
    if (!port.nodePort) continue
    const field = `${at('spec.ports', index)}.nodePort`
    if (spec.type === 'ClusterIP' || spec.type === 'ExternalName') {
      out.push(forbidden(field, `may not be used when \`type\` is '${spec.type}'`))
      continue
    }
    const pair = `${port.protocol}/${port.nodePort}`
    if (seen.has(pair)) out.push(duplicate(field, shown(port, { NodePort: port.nodePort })))
    seen.add(pair)
  }
}

function checkTraffic(out: Problems, spec: ServiceSpec): void {
  const isExternal =
    spec.type === 'NodePort' || spec.type === 'LoadBalancer' || (spec.externalIPs ?? []).length > 0
  if (spec.internalTrafficPolicy !== undefined) {
    checkOneOf(out, 'spec.internalTrafficPolicy', spec.internalTrafficPolicy, ['Cluster', 'Local'])
  }
  if (spec.externalTrafficPolicy) {
    const field = 'spec.externalTrafficPolicy'
    if (isExternal) checkOneOf(out, field, spec.externalTrafficPolicy, ['Cluster', 'Local'])
    else {
      const detail = 'may only be set for externally-accessible services'
      out.push(invalid(field, spec.externalTrafficPolicy, detail))
    }
  }
  if (!spec.healthCheckNodePort) return
  if (spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local') return
  const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
  out.push(invalid('spec.healthCheckNodePort', spec.healthCheckNodePort, detail))
}

function checkLoadBalancer(out: Problems, spec: ServiceSpec): void {
  const detail = "may only be used when `type` is 'LoadBalancer'"
  const isBalancer = spec.type === 'LoadBalancer'
  for (const name of ['allocateLoadBalancerNodePorts', 'loadBalancerClass'] as const) {
    if (!isBalancer && spec[name] !== undefined) out.push(forbidden(`spec.${name}`, detail))
  }
  if ((spec.loadBalancerSourceRanges ?? []).length > 0 && !isBalancer) {
    out.push(forbidden('spec.loadBalancerSourceRanges', detail))
  }
  for (const [index, range] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    if (isCidr(range.trim())) continue
    out.push(invalid(at('spec.loadBalancerSourceRanges', index), range, CIDR_PROBLEM))
  }
}

export function checkServiceUpdate(out: Problems, next: Service, previous: Service): void {
  const after = next.spec
  const before = previous.spec
  if (!after || !before || after.type === 'ExternalName' || before.type === 'ExternalName') return
  const field = at('spec.clusterIPs', 0)
  const old = before.clusterIPs?.[0] ?? before.clusterIP
  const now = after.clusterIPs?.[0] ?? after.clusterIP
  if (old && !now) out.push(invalid(field, after.clusterIPs, 'primary clusterIP can not be unset'))
  else if (old && old !== now) out.push(invalid(field, after.clusterIPs, 'may not change once set'))
  const family = before.ipFamilies?.[0]
  if (family && after.ipFamilies?.[0] && family !== after.ipFamilies[0]) {
    out.push(invalid(at('spec.ipFamilies', 0), after.ipFamilies, 'may not change once set'))
  }
  if (
    after.type === 'LoadBalancer' &&
    before.type === 'LoadBalancer' &&
    after.loadBalancerClass !== before.loadBalancerClass
  ) {
    out.push(invalid('spec.loadBalancerClass', after.loadBalancerClass, 'may not change once set'))
  }
}
