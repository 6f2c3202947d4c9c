/**
 * Which node announces which address. Pure: every node comes to the same answer from the same Services, endpoints and
 * living nodes, and a node that joins or goes moves as few addresses as can be.
 */

import { fnv32a } from '../../../kube/hash.ts'
import type { EndpointSlice, Node, Service } from '../../../kube/types.ts'
import { FROM_POOL, ingressOf, isOurs, keyOfService } from './address-pool.ts'

const EXCLUDED = 'node.kubernetes.io/exclude-from-external-load-balancers'

export interface AnnouncementInput {
  readonly services: readonly Service[]
  readonly slicesOf: (serviceKey: string) => readonly EndpointSlice[]
  /** Nodes whose daemons live. */
  readonly alive: ReadonlySet<string>
  readonly node: (name: string) => Node | undefined
}

export interface Announcement {
  readonly node: string
  /** Of which Services it is. */
  readonly services: readonly Service[]
}

export const isAnnounced = (service: Service): boolean =>
  isOurs(service) && service.metadata.annotations?.[FROM_POOL] !== undefined && ingressOf(service).length > 0

/** By address; one that no node may announce is left out. */
export function planAnnouncements(input: AnnouncementInput): ReadonlyMap<string, Announcement> {
  const byAddress = new Map<string, Service[]>()
  for (const service of input.services.filter(isAnnounced)) {
    for (const address of ingressOf(service))
      byAddress.set(address, [...(byAddress.get(address) ?? []), service])
  }
  const able = [...input.alive].filter(name => isAble(input.node(name)))
  const found = new Map<string, Announcement>()
  for (const [address, services] of byAddress) {
    const nodes = services.map(service => nodesFor(service, able, input))
    const candidates = able.filter(name => nodes.every(each => each.has(name)))
    const node = winnerOf(address, candidates)
    if (node !== undefined) found.set(address, { node, services })
  }
  return found
}

/** One that is known to be unable to run pods, or is not to be one of them. */
function isAble(node: Node | undefined): boolean {
  const ready = node?.status?.conditions?.find(({ type }) => type === 'Ready')
  return node !== undefined && node.metadata.labels?.[EXCLUDED] === undefined && ready?.status !== 'False'
}

/** Those whose traffic stays where it arrives need a ready endpoint there. */
function nodesFor(
  service: Service,
  able: readonly string[],
  { slicesOf }: AnnouncementInput,
): ReadonlySet<string> {
  if (service.spec?.externalTrafficPolicy !== 'Local') return new Set(able)
  const endpoints = slicesOf(keyOfService(service)).flatMap(slice => slice.endpoints ?? [])
  const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false)
  return new Set(ready.flatMap(({ nodeName }) => (nodeName === undefined ? [] : [nodeName])))
}

/** The highest of hashes, each of node and address alone. */
function winnerOf(address: string, nodes: readonly string[]): string | undefined {
  const ranked = nodes.map(name => ({ name, weight: fnv32a(`${name}#${address}`) }))
  const sorted = ranked.toSorted((a, b) => b.weight - a.weight || (a.name < b.name ? -1 : 1))
  return sorted[0]?.name
}
