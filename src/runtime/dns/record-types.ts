/** The numbers of DNS that are used here (RFC 1035, 2782, 6891, 8482). */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const

export const CLASS_IN = 1

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const

export const FLAG = { response: 0x8000, authoritative: 0x0400, truncated: 0x0200 } as const
export const FLAG_RECURSION_DESIRED = 0x0100
export const FLAG_RECURSION_AVAILABLE = 0x0080
export const FLAG_AUTHENTIC = 0x0020
export const FLAG_CHECKING_DISABLED = 0x0010

export const HEADER_BYTES = 12

/** `NOERROR`, `NXDOMAIN`, …; the number where it has no name here. */
export function rcodeName(rcode: number): string {
  return Object.entries(RCODE).find(([, number]) => number === rcode)?.[0] ?? String(rcode)
}

/** A record before it is written. Names have no dot at their end. */
export type DnsRecord =
  | { readonly type: 'A' | 'AAAA'; readonly name: string; readonly ttl: number; readonly address: string }
  | {
      readonly type: 'CNAME' | 'PTR' | 'NS'
      readonly name: string
      readonly ttl: number
      readonly target: string
    }
  | { readonly type: 'TXT'; readonly name: string; readonly ttl: number; readonly text: string }
  | {
      readonly type: 'SRV'
      readonly name: string
      readonly ttl: number
      readonly weight: number
      readonly port: number
      readonly target: string
    }
  | { readonly type: 'SOA'; readonly name: string; readonly ttl: number; readonly serial: number }
  /** As another server gave it, without compressed names. */
  | {
      readonly type: 'raw'
      readonly name: string
      readonly ttl: number
      readonly code: number
      readonly data: Uint8Array
    }
