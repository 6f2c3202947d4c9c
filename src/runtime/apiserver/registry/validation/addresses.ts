/** IPv4 arithmetic for networks of services, and the problems of addresses. */
import { isIP, isIPv4 } from 'node:net'
import { must } from '../../../../base/assert.ts'
import { IP_PROBLEM } from './names.ts'

export interface Network {
  /** How many addresses it has, the first and last included. */
  readonly size: number
  /** The address `offset` above the first. */
  address(offset: number): string
}

export function numberOf(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0)
}

export function textOf(value: number): string {
  return [24, 16, 8, 0].map(shift => Math.floor(value / 2 ** shift) % 256).join('.')
}

/** The network of a CIDR that configuration has checked. */
export function networkOf(cidr: string): Network {
  const [base = '', bits = ''] = cidr.split('/')
  const size = 2 ** (32 - Number(bits))
  const first = Math.floor(numberOf(must(base, 'an IPv4 network')) / size) * size
  return { size, address: offset => textOf(first + offset) }
}

/** True for usable addresses of the network: neither its own nor its broadcast address. */
export function addressInNetwork(address: string, cidr: string): boolean {
  if (!isIPv4(address)) return false
  const network = networkOf(cidr)
  const offset = numberOf(address) - numberOf(network.address(0))
  return offset > 0 && offset < network.size - 1
}

export const ipProblems = (value: string): string[] => (isIP(value) === 0 ? [IP_PROBLEM] : [])

export function isCidr(value: string): boolean {
  const slash = value.indexOf('/')
  const family = slash < 0 ? 0 : isIP(value.slice(0, slash))
  const bits = value.slice(slash + 1)
  return family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)
}

export const CIDR_PROBLEM = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'

/**
 * Why an address cannot be an endpoint. Upstream refuses all of 127.0.0.0/8; here only 127.0.0.0/24, because
 * the process runtime's pods have the mirrors of their addresses in the rest (ARCHITECTURE, "The process
 * runtime's network").
 */
export function specialIpProblems(address: string): string[] {
  const isOld = isIPv4(address)
  const starts = (prefix: string) => address.toLowerCase().startsWith(prefix)
  if (address === '0.0.0.0' || address === '::') return [`may not be unspecified (${address})`]
  if (isOld ? starts('127.0.0.') : address === '::1') {
    return ['may not be in the loopback range (127.0.0.0/8, ::1/128)']
  }
  if (isOld ? starts('169.254.') : /^fe[89ab]/i.test(address)) {
    return ['may not be in the link-local range (169.254.0.0/16, fe80::/10)']
  }
  if (isOld ? starts('224.0.0.') : starts('ff02:')) {
    return ['may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)']
  }
  return []
}
