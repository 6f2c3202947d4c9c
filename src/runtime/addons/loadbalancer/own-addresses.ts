/** What is said to `ip` so that this node's kernel answers for an address. Pure. */
import { cidrContains, parseAddress, parseCidr } from '../../../kube/cidr.ts'

export interface Interface {
  readonly index: number
  readonly name: string
  /** `02:42:…`; empty where there is none. */
  readonly hardware: string
  /** `192.0.2.1/24` each. */
  readonly networks: readonly string[]
}

/** An address of ours on an interface. */
export interface Placed {
  readonly address: string
  readonly device: string
}

interface IpLink {
  readonly ifindex?: number
  readonly ifname?: string
  readonly link_type?: string
  readonly address?: string
  readonly flags?: readonly string[]
  readonly addr_info?: readonly { readonly local?: string; readonly prefixlen?: number }[]
}

/** From `ip -json address show`; only those that are up, and not loopback. */
export function readInterfaces(output: string): Interface[] {
  const links = JSON.parse(output || '[]') as readonly IpLink[]
  return links
    .filter(({ flags = [] }) => flags.includes('UP') && !flags.includes('LOOPBACK'))
    .map(({ ifindex = 0, ifname = '', address = '', link_type = '', addr_info = [] }) => ({
      ...{ index: ifindex, name: ifname, hardware: link_type === 'ether' ? address : '' },
      networks: addr_info.flatMap(({ local, prefixlen }) =>
        local === undefined ? [] : [`${local}/${prefixlen}`],
      ),
    }))
}

/** The interface in whose network the address is; else the one of the node's own address. */
export function interfaceFor(
  address: string,
  interfaces: readonly Interface[],
  { nodeAddress, allowed }: { readonly nodeAddress: string; readonly allowed: readonly string[] },
): Interface | undefined {
  const usable = interfaces.filter(({ name }) => allowed.length === 0 || allowed.includes(name))
  const parsed = parseAddress(address)
  const holds = ({ networks }: Interface) =>
    networks.some(network => {
      const cidr = parseCidr(network)
      const isWhole = cidr?.prefixLength === (cidr?.family === 4 ? 32 : 128)
      return cidr !== null && parsed !== null && !isWhole && cidrContains(cidr, parsed)
    })
  const has = ({ networks }: Interface) =>
    networks.some(network => network.slice(0, network.lastIndexOf('/')) === nodeAddress)
  return usable.find(holds) ?? usable.find(has) ?? (allowed.length > 0 ? usable[0] : undefined)
}

const whole = (address: string) => `${address}/${address.includes(':') ? 128 : 32}`

/** Lines for `ip -batch`. With a lifetime the kernel itself takes the address off when nobody renews it. */
export function addLine({ address, device }: Placed, lifetimeSeconds: number | null): string {
  const isIpv6 = address.includes(':')
  const life = lifetimeSeconds ?? 'forever'
  // Nothing that this node itself begins is to come from the address.
  const preferred = isIpv6 ? 0 : life
  const options = `valid_lft ${life} preferred_lft ${preferred} noprefixroute${isIpv6 ? ' nodad' : ''}`
  return `address replace ${whole(address)} dev ${device} ${options}`
}

export const removeLine = ({ address, device }: Placed): string =>
  `address del ${whole(address)} dev ${device}`
