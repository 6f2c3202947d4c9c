/**
 * How the pods of the other nodes are reached (pure): through the node itself where it is a neighbour, else through a
 * VXLAN tunnel; and what is to be done about what is there.
 */
import { cidrContains, formatAddress, parseAddress, parseCidr } from '../../kube/cidr.ts'
import { familyOf } from '../../kube/ip-family.ts'
import { nodeAddress, nodeAddresses } from '../../kube/node-address.ts'
import type { Node } from '../../kube/types.ts'

export const TUNNEL_DEVICE = 'mk8s-vxlan'
/** What a tunnel puts around a packet: Ethernet, IP, UDP and VXLAN. */
const TUNNEL_BYTES = { IPv4: 50, IPv6: 70 } as const

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
  /** Of its end of the tunnel: the first address of its range of IPv4, where it has one. */
  readonly inner?: string
  readonly mac: string
  /** Where the packets go, of both families. */
  readonly outer: string
  /** As `inner`, of its range of IPv6, where packets of that family go through the tunnel. */
  readonly inner6?: string
}

export interface Tunnel {
  readonly inner?: string
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

/** Another node, by one family. */
interface OtherRange {
  readonly range: string
  /** Undefined where the node is not reached by this family. */
  readonly address: string | undefined
}

interface Other {
  /** One of each family that the cluster has, the first one first. */
  readonly ranges: readonly OtherRange[]
  /** Where its end of a tunnel would be. */
  readonly outer: string
}

export function planRoutes({ nodes, nodeName, links }: RoutesInput): RoutesPlan {
  const own = nodes.find(({ metadata }) => metadata.name === nodeName)
  const outer = own === undefined ? undefined : nodeAddress(own, 'InternalIP')
  const uplinks = links.filter(({ device }) => device !== TUNNEL_DEVICE)
  const others = nodes.flatMap(node => otherOf(node, nodeName, uplinks))
  const ranges = own === undefined ? [] : rangesOf(own)
  // Loopback takes more than any pod's interface could.
  const mtu = uplinks.find(({ address, device }) => address === outer && device !== 'lo')?.mtu
  // Without addresses of its own there is no tunnel to speak of yet.
  const tunnelEnd = ranges.length > 0 && mtu !== undefined ? outer : undefined
  const isNear = ({ address }: OtherRange) =>
    address !== undefined && uplinks.some(link => isNeighbour(link, address))
  // Nodes may be neighbours by one family only.
  const isFar = (other: Other) => (each: OtherRange) =>
    tunnelEnd !== undefined && familyOf(tunnelEnd) === familyOf(other.outer) && !isNear(each)
  const routes = others.flatMap(other =>
    other.ranges.flatMap((each, index): NodeRoute[] => {
      const isKnown = ranges.some(range => familyOf(range) === familyOf(each.range))
      if (index > 0 && !isKnown) return []
      if (isFar(other)(each)) return [routeTo(each.range, null)]
      return each.address === undefined || (index > 0 && !isNear(each))
        ? []
        : [routeTo(each.range, each.address)]
    }),
  )
  const peers = others.flatMap(other => {
    const far = other.ranges.filter(isFar(other))
    return far.length === 0 ? [] : [peerOf(other, far)]
  })
  const isTunnelled = peers.length > 0 && mtu !== undefined && outer !== undefined
  const bytes = outer !== undefined && familyOf(outer) === 'IPv6' ? TUNNEL_BYTES.IPv6 : TUNNEL_BYTES.IPv4
  const hasSix = peers.some(peer => peer.inner6 !== undefined)
  return {
    routes: routes.sort((a, b) => (a.range < b.range ? -1 : 1)),
    tunnel: isTunnelled ? { ...endOf(ranges, hasSix), outer, mtu: mtu - bytes, peers } : null,
    podMtu: mtu === undefined ? null : mtu - (isTunnelled ? bytes : 0),
  }
}

/** Through the other end of the tunnel where there is no address to go by. */
const routeTo = (range: string, address: string | null): NodeRoute => ({
  ...{ range, via: address ?? firstOf(range), isTunnel: address === null },
})

/** Empty until the cluster has given some. */
function rangesOf({ spec }: Node): readonly string[] {
  const given = spec?.podCIDRs ?? []
  if (given.length > 0) return given
  return spec?.podCIDR ? [spec.podCIDR] : []
}

/** Every node but this one that has a range and an address elsewhere than on this machine. */
function otherOf(node: Node, nodeName: string, links: readonly LocalLink[]): Other[] {
  const addresses = nodeAddresses(node, 'InternalIP')
  const [outer] = addresses
  const ranges = rangesOf(node)
  if (node.metadata.name === nodeName || ranges.length === 0 || outer === undefined) return []
  // Another node on this machine, such as one at 127.0.0.2, has its pods here too.
  const isHere = outer.startsWith('127.') || outer === '::1' || links.some(link => link.address === outer)
  if (isHere) return []
  const addressFor = (range: string) => addresses.find(each => familyOf(each) === familyOf(range))
  return [{ outer, ranges: ranges.map(range => ({ range, address: addressFor(range) })) }]
}

function isNeighbour({ address, prefixLength }: LocalLink, other: string): boolean {
  const network = parseCidr(`${address}/${prefixLength}`)
  const parsed = parseAddress(other)
  return network !== null && parsed !== null && cidrContains(network, parsed)
}

function peerOf({ ranges, outer }: Other, far: readonly OtherRange[]): TunnelPeer {
  const all = ranges.map(({ range }) => range)
  const hasSix = far.some(({ range }) => familyOf(range) === 'IPv6')
  return { range: all[0] ?? '', ...endOf(all, hasSix), outer }
}

/** The first address of a range. */
function firstOf(range: string): string {
  const cidr = parseCidr(range)
  return cidr === null ? '' : formatAddress({ family: cidr.family, value: cidr.base })
}

/** Everybody finds addresses and MAC of a node's end of the tunnel from its ranges. */
function endOf(ranges: readonly string[], hasSix: boolean): Pick<TunnelPeer, 'inner' | 'inner6' | 'mac'> {
  const four = ranges.find(range => familyOf(range) === 'IPv4')
  const six = ranges.find(range => familyOf(range) === 'IPv6')
  return {
    ...(four !== undefined && { inner: firstOf(four) }),
    ...(six !== undefined && hasSix && { inner6: firstOf(six) }),
    mac: macOf(four ?? six ?? ''),
  }
}

/** Out of what tells a range from others: an address of IPv4, or the second half of a /64. */
function macOf(range: string): string {
  const { family, base } = parseCidr(range) ?? { family: 4, base: 0n }
  const hex = (family === 4 ? base : (base >> 64n) & 0xffffffffn).toString(16).padStart(8, '0')
  // Locally administered, and told apart from other tunnels' by its second byte.
  return `02:8e:${hex.match(/../g)?.join(':')}`
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
