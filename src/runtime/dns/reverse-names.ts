/** Names of addresses, `7.0.1.10.in-addr.arpa` and its like for IPv6. Pure. */
import { canonicalAddress, cidrContains, parseAddress, parseCidr } from '../../kube/cidr.ts'

const IPV4 = '.in-addr.arpa'
const IPV6 = '.ip6.arpa'

/** Null for any other name. */
export function addressOfReverseName(name: string): string | null {
  if (name.endsWith(IPV4)) {
    return canonicalAddress(name.slice(0, -IPV4.length).split('.').reverse().join('.'))
  }
  if (!name.endsWith(IPV6)) return null
  const digits = name.slice(0, -IPV6.length).split('.').reverse()
  if (digits.length !== 32 || !digits.every(digit => /^[0-9a-f]$/.test(digit))) return null
  return canonicalAddress(digits.join('').replace(/(.{4})(?=.)/g, '$1:'))
}

export function isInNetworks(text: string, networks: readonly string[]): boolean {
  const address = parseAddress(text)
  if (address === null) return false
  return networks.some(network => {
    const cidr = parseCidr(network)
    return cidr !== null && cidrContains(cidr, address)
  })
}
