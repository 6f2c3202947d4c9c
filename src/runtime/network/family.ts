/** How nftables and the API call the families of addresses (pure). */
import type { IPFamily } from '../../kube/ip-family.ts'

export type Family = IPFamily

export interface FamilyWords {
  readonly family: Family
  /** Of tables, and of the addresses in rules. */
  readonly ip: 'ip' | 'ip6'
  /** The type of addresses in sets. */
  readonly address: 'ipv4_addr' | 'ipv6_addr'
  /** A network of one address. */
  readonly bits: 32 | 128
}

const WORDS: Readonly<Record<Family, FamilyWords>> = {
  IPv4: { family: 'IPv4', ip: 'ip', address: 'ipv4_addr', bits: 32 },
  IPv6: { family: 'IPv6', ip: 'ip6', address: 'ipv6_addr', bits: 128 },
}

export const wordsOf = (family: Family): FamilyWords => WORDS[family]
