/** Addresses and networks as the validators need them. */
import { must } from '../../../../base/assert.ts'
import { isLinkLocal } from '../../../../base/link-local.ts'
import {
  type Cidr,
  cidrAddress,
  cidrIndexOf,
  cidrSize,
  parseAddress,
  parseCidr,
} from '../../../../kube/cidr.ts'

export const IP_PROBLEM = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'

export interface Network {
  /** How many addresses it has, the first and last included. */
  readonly size: number
  /** The address `offset` above the first. */
  address(offset: number): string
}

const cidrOf = (cidr: string): Cidr => must(parseCidr(cidr), 'a network that the configuration has checked')

export function networkOf(text: string): Network {
  const cidr = cidrOf(text)
  return {
    size: Number(cidrSize(cidr)),
    address: offset => must(cidrAddress(cidr, offset), 'an address within the network'),
  }
}

/** True for usable addresses of the network: neither its own nor its broadcast address. */
export function addressInNetwork(address: string, network: string): boolean {
  const cidr = cidrOf(network)
  const index = cidrIndexOf(cidr, address)
  return index !== null && index > 0n && index < cidrSize(cidr) - 1n
}

/** Without what upstream once let pass: zeros in front of an address's parts and of a prefix's length. */
const withoutZeros = (value: string): string => value.replace(/(^|[.:/])0+(?=[0-9a-f])/gi, '$1')

/** An IPv4 address in IPv6 clothes, which some programs take for the one and some for the other. */
const isMapped = (address: string): boolean => address.includes(':') && parseAddress(address)?.family === 4

/** `kept`: what the object had before; it may stay, whatever it is. */
export function ipProblems(value: string, kept: readonly string[] = []): string[] {
  if (kept.includes(value)) return []
  if (parseAddress(value) === null) {
    return [parseAddress(withoutZeros(value)) === null ? IP_PROBLEM : 'must not have leading 0s']
  }
  return isMapped(value) ? ['must not be an IPv4-mapped IPv6 address'] : []
}

/** As `ipProblems`, for networks. */
export function cidrProblems(value: string, kept: readonly string[] = []): string[] {
  if (kept.includes(value)) return []
  const [address = '', length = ''] = value.split('/')
  const plain = withoutZeros(value)
  if (isMapped(address) && parseCidr(plain.replace(address, '::')) !== null) {
    const isPlain = /^(0|[1-9]\d*)$/.test(length)
    return [isPlain ? 'must not have an IPv4-mapped IPv6 address' : LEADING_ZEROS]
  }
  const cidr = parseCidr(value)
  if (cidr === null) return [parseCidr(plain) === null ? CIDR_PROBLEM : LEADING_ZEROS]
  if (parseAddress(address)?.value === cidr.base) return []
  return ['must not have bits set beyond the prefix length']
}

const LEADING_ZEROS = 'must not have leading 0s in IP or prefix length'

export const CIDR_PROBLEM = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'

/**
 * Why an address cannot be an endpoint. Upstream refuses 127.0.0.0/8 too; here the process runtime's pods have
 * the mirrors of their addresses in it, and so does a node that is bound to a loopback address (ARCHITECTURE,
 * "The process runtime's network").
 */
export function specialIpProblems(address: string): string[] {
  const isOld = parseAddress(address)?.family === 4
  const starts = (prefix: string) => address.toLowerCase().startsWith(prefix)
  if (address === '0.0.0.0' || address === '::') return [`may not be unspecified (${address})`]
  if (address === '::1') return ['may not be in the loopback range (127.0.0.0/8, ::1/128)']
  if (isLinkLocal(address)) {
    return ['may not be in the link-local range (169.254.0.0/16, fe80::/10)']
  }
  if (isOld ? starts('224.0.0.') : starts('ff02:')) {
    return ['may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)']
  }
  return []
}
