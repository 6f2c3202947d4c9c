/**
 * How the pods of the other nodes are reached (pure): through the node itself where it is a neighbour, else through a
 * VXLAN tunnel; and what is to be done about what is there.
 */
import { cidrContains, formatAddress, parseAddress, parseCidr } from '../../kube/cidr.ts'
import { nodeAddress, nodeAddresses } from '../../kube/node-address.ts'
import type { Node } from '../../kube/types.ts'

export const TUNNEL_DEVICE = 'mk8s-vxlan'
/** What a tunnel puts around a packet: Ethernet, IPv4, UDP and VXLAN. */
const TUNNEL_BYTES = 50

export interface NodeRoute {
  /** `10.1.3.0/24`. */
  readonly range: string
  /** Address of the node that has it, or of its end of the tunnel. */
  readonly via: string
  readonly isTunnel: boolean
}

/** An address of this machine with its network. */
export interface LocalLink {
  readonly device: string
  readonly address: string
  readonly prefixLength: number
  readonly mtu: number
}

export interface RoutesInput {
  readonly nodes: readonly Node[]
  readonly nodeName: string
  readonly links: readonly LocalLink[]
}

export interface TunnelPeer {
  readonly range: string
  /** Of its end of the tunnel: the first address of its range. */
  readonly inner: string
  readonly mac: string
  /** Where the packets go, of both families. */
  readonly outer: string
  /** As `inner`, of its range of IPv6, where packets of that family go through the tunnel. */
  readonly inner6?: string
}

export interface Tunnel {
  readonly inner: string
  readonly inner6?: string
  readonly mac: string
  readonly outer: string
  readonly mtu: number
  readonly peers: readonly TunnelPeer[]
}

export interface RoutesPlan {
  /** In the order of their ranges. */
  readonly routes: readonly NodeRoute[]
  /** Null when all nodes are neighbours. */
  readonly tunnel: Tunnel | null
  /** For new pods, so that what they send fits; null when it cannot be known. */
  readonly podMtu: number | null
}

interface Other {
  readonly range: string
  readonly address: string
  /** Where the cluster has two families. */
  readonly range6?: string
  /** Where the node is reached by IPv6. */
  readonly address6?: string
}

export function planRoutes({ nodes, nodeName, links }: RoutesInput): RoutesPlan {
  const own = nodes.find(({ metadata }) => metadata.name === nodeName)
  const outer = own === undefined ? undefined : nodeAddress(own, 'InternalIP')
  const uplinks = links.filter(({ device }) => device !== TUNNEL_DEVICE)
  const others = nodes.flatMap(node => otherOf(node, nodeName, uplinks))
  const isNear = (address: string | undefined) =>
    address !== undefined && uplinks.some(link => isNeighbour(link, address))
  const range = own?.spec?.podCIDR
  const range6 = own === undefined ? undefined : rangeOfIpv6(own)
  // Loopback takes more than any pod's interface could.
  const mtu = uplinks.find(({ address, device }) => address === outer && device !== 'lo')?.mtu
  // Without addresses of its own there is no tunnel to speak of yet.
  const canTunnel = range !== undefined && !range.includes(':') && outer !== undefined && mtu !== undefined
  const isFar = ({ address }: Other) => canTunnel && !isNear(address)
  // Nodes may be neighbours by one family only.
  const isFar6 = ({ range6: their, address6 }: Other) =>
    canTunnel && range6 !== undefined && their !== undefined && !isNear(address6)
  const routes = others.flatMap((other): NodeRoute[] => [
    routeTo(other.range, isFar(other) ? null : other.address),
    ...(other.range6 === undefined || range6 === undefined || (!isFar6(other) && !isNear(other.address6))
      ? []
      : [routeTo(other.range6, isFar6(other) ? null : (other.address6 ?? null))]),
  ])
  const peers = others
    .filter(other => isFar(other) || isFar6(other))
    .map(other => peerOf(other, isFar6(other)))
  const isTunnelled = canTunnel && peers.length > 0
  const inner6 = peers.some(peer => peer.inner6 !== undefined) ? firstOf(range6 ?? '') : undefined
  return {
    routes: routes.sort((a, b) => (a.range < b.range ? -1 : 1)),
    tunnel: isTunnelled
      ? {
          ...endOf(range),
          ...(inner6 !== undefined && { inner6 }),
          ...{ outer, mtu: mtu - TUNNEL_BYTES, peers },
        }
      : null,
    podMtu: mtu === undefined ? null : mtu - (isTunnelled ? TUNNEL_BYTES : 0),
  }
}

/** Through the other end of the tunnel where there is no address to go by. */
const routeTo = (range: string, address: string | null): NodeRoute => ({
  ...{ range, via: address ?? firstOf(range), isTunnel: address === null },
})

const rangeOfIpv6 = ({ spec }: Node): string | undefined => spec?.podCIDRs?.find(range => range.includes(':'))

/** Every node but this one that has a range and an address, both of IPv4, elsewhere than on this machine. */
function otherOf(node: Node, nodeName: string, links: readonly LocalLink[]): Other[] {
  const range = node.spec?.podCIDR
  const address = nodeAddress(node, 'InternalIP')
  if (node.metadata.name === nodeName || !range || address === undefined) return []
  // Another node on this machine, such as one at 127.0.0.2, has its pods here too.
  const isHere = address.startsWith('127.') || links.some(link => link.address === address)
  if (isHere || range.includes(':') || address.includes(':')) return []
  const range6 = rangeOfIpv6(node)
  const address6 = nodeAddresses(node, 'InternalIP').find(each => each.includes(':'))
  return [{ ...{ range, address }, ...(range6 && { range6 }), ...(address6 !== undefined && { address6 }) }]
}

function isNeighbour({ address, prefixLength }: LocalLink, other: string): boolean {
  const network = parseCidr(`${address}/${prefixLength}`)
  const parsed = parseAddress(other)
  return network !== null && parsed !== null && cidrContains(network, parsed)
}

const peerOf = ({ range, address, range6 }: Other, isFar6: boolean): TunnelPeer => ({
  ...{ range, ...endOf(range), outer: address },
  ...(isFar6 && range6 !== undefined && { inner6: firstOf(range6) }),
})

/** The first address of a range. */
function firstOf(range: string): string {
  const cidr = parseCidr(range)
  return cidr === null ? '' : formatAddress({ family: cidr.family, value: cidr.base })
}

/** Everybody finds address and MAC of a node's end of the tunnel from its range. */
function endOf(range: string): { readonly inner: string; readonly mac: string } {
  const inner = firstOf(range)
  const bytes = inner.split('.').map(part => Number(part).toString(16).padStart(2, '0'))
  // Locally administered, and told apart from other tunnels' by its second byte.
  return { inner, mac: `02:8e:${bytes.join(':')}` }
}

export interface RouteChanges {
  readonly add: readonly NodeRoute[]
  readonly remove: readonly NodeRoute[]
}

/** A route whose next hop is another one now is replaced, never removed first. */
export function changesOf(present: readonly NodeRoute[], wanted: readonly NodeRoute[]): RouteChanges {
  const isSame = (one: NodeRoute) => (other: NodeRoute) =>
    other.range === one.range && other.via === one.via && other.isTunnel === one.isTunnel
  return {
    add: wanted.filter(route => !present.some(isSame(route))),
    remove: present.filter(route => !wanted.some(({ range }) => range === route.range)),
  }
}
