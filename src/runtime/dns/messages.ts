/** What the main thread and the DNS thread tell each other: plain values, in batches. */
import type { LogLine } from '../../base/thread-log.ts'

export interface DnsPort {
  /** Empty for an unnamed port, which has no SRV record. */
  readonly name: string
  /** `tcp`, `udp`, `sctp`. */
  readonly protocol: string
  readonly port: number
}

export interface DnsService {
  readonly kind: 'cluster-ip' | 'headless' | 'external-name'
  /** As pods of this node reach them. */
  readonly addresses: readonly string[]
  readonly ports: readonly DnsPort[]
  /** Of an `external-name`, without a dot at its end. */
  readonly target: string
}

export interface DnsEndpoint {
  /** Null: one is made of the address. */
  readonly hostname: string | null
  readonly addresses: readonly string[]
}

/** The ready endpoints of one slice. */
export interface DnsSlice {
  /** `namespace/name`. */
  readonly service: string
  readonly endpoints: readonly DnsEndpoint[]
  readonly ports: readonly DnsPort[]
}

/** Null: it is gone. */
export interface DnsChanges {
  readonly services: readonly (readonly [key: string, value: DnsService | null])[]
  readonly slices: readonly (readonly [key: string, value: DnsSlice | null])[]
}

export interface DnsServer {
  readonly address: string
  readonly port: number
}

export interface ForwardingConfig {
  readonly upstreams: readonly DnsServer[]
  /** Which servers are asked for a domain and all below it. */
  readonly stubDomains: Readonly<Record<string, readonly DnsServer[]>>
}

export interface ZoneConfig {
  /** `cluster.local`. */
  readonly domain: string
  /** Where pods ask. */
  readonly dnsAddress: string
  /** Reverse names in these networks are never asked for elsewhere. */
  readonly networks: readonly string[]
}

export type ToDns =
  | { readonly type: 'open'; readonly listen: DnsServer; readonly zone: ZoneConfig }
  | { readonly type: 'changes'; readonly changes: DnsChanges }
  /** The changes so far are everything that there is. */
  | { readonly type: 'synced' }
  | { readonly type: 'forwarding'; readonly config: ForwardingConfig }
  | { readonly type: 'close' }

export interface DnsCounters {
  readonly queries: { readonly udp: number; readonly tcp: number }
  /** By the name of the response code. */
  readonly responses: Readonly<Record<string, number>>
  readonly cacheHits: number
  readonly cacheMisses: number
  readonly cacheEntries: number
  readonly dropped: number
  readonly upstreamQueries: number
  readonly upstreamFailures: number
  /** Answers by seconds; the last has no upper bound. */
  readonly latencyCounts: readonly number[]
  readonly latencySum: number
}

export type FromDns =
  | { readonly type: 'listening' }
  /** Empty: all is well again. */
  | { readonly type: 'problem'; readonly about: 'listen' | 'upstream' | 'loop'; readonly text: string }
  | { readonly type: 'counters'; readonly counters: DnsCounters }
  | LogLine
  | { readonly type: 'closed' }
