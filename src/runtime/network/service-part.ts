/**
 * The rules of one Service (pure). A map leads from address and port to the service's chain, that one at random to
 * an endpoint's chain, and that one rewrites the destination. Chains and affinity sets are named after what they are
 * for, so that clients remain remembered when other endpoints change.
 */

import { bracketed } from '../../base/bracketed.ts'
import { familyOf } from '../../kube/ip-family.ts'
import { type BaseMap, SET_MARK } from './base-part.ts'
import { wordsOf } from './family.ts'
import type { PortPlan } from './port-plan.ts'
import { ruleName } from './rule-names.ts'
import { PartBuilder, type TablePart } from './table-part.ts'
import type { Backend } from './usable-backends.ts'

/** `plans` are all ports of one service, in the family of the pod network. */
export function renderService(plans: readonly PortPlan[], podCidr: string): TablePart {
  const part = new PartBuilder()
  for (const plan of plans) {
    addEndpoints(part, plan, podCidr)
    addInternal(part, plan, podCidr)
    addExternal(part, plan, podCidr)
    addFirewall(part, plan, podCidr)
  }
  return part.build()
}

const planKey = ({ service, protocol }: PortPlan) => `${service} ${protocol}`
const chainName = (kind: string, plan: PortPlan) => ruleName(kind, planKey(plan), plan.service)
const endpointKey = (plan: PortPlan, { address, port }: Backend) => `${planKey(plan)} ${address}:${port}`
const endpointName = (plan: PortPlan, backend: Backend) =>
  ruleName('ep', endpointKey(plan, backend), plan.service)
const isIsolated = ({ isInternalLocal, isExternalLocal }: PortPlan) => isInternalLocal || isExternalLocal
const numberOf = ({ protocol, port }: Pick<PortPlan, 'protocol' | 'port'>) =>
  `${protocol.toLowerCase()} . ${port}`

function affinityOf(plan: PortPlan, backend: Backend): { name: string; seconds: number } | null {
  if (plan.affinityMs === null) return null
  const seconds = Math.round(plan.affinityMs / 1_000)
  return { name: ruleName(`aff${seconds}`, endpointKey(plan, backend), plan.service), seconds }
}

/** The same backend of the same port of a service is one chain, however it is reached. */
function addEndpoints(part: PartBuilder, plan: PortPlan, podCidr: string): void {
  const words = wordsOf(familyOf(podCidr))
  const { ip } = words
  for (const backend of [...plan.everywhere, ...(isIsolated(plan) ? plan.local : [])]) {
    const { address, port } = backend
    const affinity = affinityOf(plan, backend)
    if (affinity !== null) {
      const flags = `flags dynamic, timeout; timeout ${affinity.seconds}s; size 65535;`
      part.set(affinity.name, `set { type ${words.address}; ${flags} }`)
    }
    part.chain(endpointName(plan, backend), [
      // What asks itself has to be answered by the node.
      `${ip} saddr ${address} ${SET_MARK}`,
      ...(affinity === null ? [] : [`update @${affinity.name} { ${ip} saddr }`]),
      `meta l4proto ${plan.protocol.toLowerCase()} dnat to ${bracketed(address)}:${port}`,
    ])
  }
}

function addInternal(part: PartBuilder, plan: PortPlan, podCidr: string): void {
  const choose = (kind: string, backends: readonly Backend[]) => {
    if (backends.length > 0) part.chain(chainName(kind, plan), balance(plan, backends, podCidr))
  }
  choose('svc', plan.everywhere)
  if (isIsolated(plan)) choose('svl', plan.local)
  const isServed = (plan.isInternalLocal ? plan.local : plan.everywhere).length > 0
  for (const address of plan.clusterIps) {
    const key = `${address} . ${numberOf(plan)}`
    part.element('cluster-ips', address)
    if (isServed) add(part, 'services', key, `goto ${chainName(plan.isInternalLocal ? 'svl' : 'svc', plan)}`)
    else add(part, 'no-endpoints', key, plan.everywhere.length > 0 ? 'drop' : 'goto refuse')
  }
}

function balance(plan: PortPlan, backends: readonly Backend[], podCidr: string): string[] {
  const { ip } = wordsOf(familyOf(podCidr))
  const sticky = backends.flatMap(backend => {
    const affinity = affinityOf(plan, backend)
    return affinity === null ? [] : [`${ip} saddr @${affinity.name} goto ${endpointName(plan, backend)}`]
  })
  const choices = backends.map((backend, index) => `${index} : goto ${endpointName(plan, backend)}`)
  return [
    // Callers from outside see answers from whom they asked only if those come back through this node.
    ...plan.clusterIps.map(address => `${ip} daddr ${address} ${ip} saddr != ${podCidr} ${SET_MARK}`),
    ...sticky,
    `numgen random mod ${choices.length} vmap { ${choices.join(', ')} }`,
  ]
}

/** Node ports, external addresses and those of load balancers are one chain. */
function addExternal(part: PartBuilder, plan: PortPlan, podCidr: string): void {
  const { nodePort, isExternalLocal } = plan
  const addresses = [...new Set([...plan.externalIps, ...plan.loadBalancerIps])]
  if (nodePort === null && addresses.length === 0) return
  const isServed = plan.everywhere.length > 0
  const name = chainName('ext', plan)
  const verdict = isServed ? `goto ${name}` : 'goto refuse'
  if (isServed) part.chain(name, externalLines(plan, podCidr))
  const numbered = nodePort === null ? null : numberOf({ protocol: plan.protocol, port: nodePort })
  const place = (ending: { isEnd: boolean; verdict: string }) => {
    for (const address of addresses) {
      add(part, ending.isEnd ? 'no-endpoints' : 'services', `${address} . ${numberOf(plan)}`, ending.verdict)
    }
    if (numbered !== null) {
      add(part, ending.isEnd ? 'no-endpoints-nodeports' : 'nodeports', numbered, ending.verdict)
    }
  }
  place({ isEnd: !isServed, verdict })
  // Other nodes have endpoints, so whoever balances the load must learn it by silence, as upstream does it.
  if (isServed && isExternalLocal && plan.local.length === 0) place({ isEnd: true, verdict: 'drop' })
}

function externalLines(plan: PortPlan, podCidr: string): string[] {
  const toAny = `goto ${chainName('svc', plan)}`
  if (!plan.isExternalLocal) return [SET_MARK, toAny]
  return [
    // Pods and the node itself are inside: any endpoint will do.
    `${wordsOf(familyOf(podCidr)).ip} saddr ${podCidr} ${toAny}`,
    `fib saddr type local ${SET_MARK}`,
    `fib saddr type local ${toAny}`,
    ...(plan.local.length > 0 ? [`goto ${chainName('svl', plan)}`] : []),
  ]
}

function addFirewall(part: PartBuilder, plan: PortPlan, podCidr: string): void {
  if (plan.sourceRanges === null) return
  const { ip, bits } = wordsOf(familyOf(podCidr))
  for (const address of plan.loadBalancerIps) {
    const name = ruleName('fw', `${planKey(plan)} ${address}`, plan.service)
    const allowed = [...new Set([...plan.sourceRanges, `${address}/${bits}`])]
    part.chain(name, [...allowed.map(range => `${ip} saddr ${range} return`), 'drop'])
    add(part, 'firewall', `${address} . ${numberOf(plan)}`, `goto ${name}`)
  }
}

const add = (part: PartBuilder, map: BaseMap, key: string, verdict: string) => part.element(map, key, verdict)
