/** What the DNS thread counts, and how Prometheus is told of it. Pure. */
import type { DnsCounters } from './messages.ts'
import { rcodeName } from './record-types.ts'

/** Seconds. */
const LATENCY_BOUNDS = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1, 5] as const

export class DnsFigures {
  #udp = 0
  #tcp = 0
  #dropped = 0
  #hits = 0
  #misses = 0
  #latencySum = 0
  readonly #responses = new Map<number, number>()
  readonly #latency = new Array<number>(LATENCY_BOUNDS.length + 1).fill(0)

  answered(answer: { readonly isTcp: boolean; readonly rcode: number; readonly ms: number }): void {
    if (answer.isTcp) this.#tcp++
    else this.#udp++
    this.#responses.set(answer.rcode, (this.#responses.get(answer.rcode) ?? 0) + 1)
    const seconds = answer.ms / 1_000
    const found = LATENCY_BOUNDS.findIndex(bound => seconds <= bound)
    const bucket = found < 0 ? LATENCY_BOUNDS.length : found
    this.#latency[bucket] = (this.#latency[bucket] ?? 0) + 1
    this.#latencySum += seconds
  }

  hit(): void {
    this.#hits++
  }

  miss(): void {
    this.#misses++
  }

  drop(): void {
    this.#dropped++
  }

  counters(others: Pick<DnsCounters, 'cacheEntries' | 'upstreamQueries' | 'upstreamFailures'>): DnsCounters {
    return {
      ...others,
      queries: { udp: this.#udp, tcp: this.#tcp },
      responses: Object.fromEntries(
        Array.from(this.#responses, ([rcode, count]) => [rcodeName(rcode), count]),
      ),
      cacheHits: this.#hits,
      cacheMisses: this.#misses,
      dropped: this.#dropped,
      latencyCounts: [...this.#latency],
      latencySum: this.#latencySum,
    }
  }
}

export type DnsMetric = {
  readonly name: string
  readonly help: string
  readonly labels?: Readonly<Record<string, string>>
} & (
  | { readonly type: 'counter' | 'gauge'; readonly value: number }
  | {
      readonly type: 'histogram'
      readonly histogram: { bounds: readonly number[]; counts: readonly number[]; sum: number }
    }
)

/** For Prometheus; as `runtime/metrics` renders them. */
export function dnsMetrics(counters: DnsCounters): DnsMetric[] {
  const counter = (name: string, help: string, value: number, labels?: Record<string, string>) => ({
    ...{ name: `mk8s_dns_${name}`, help, type: 'counter' as const, value },
    ...(labels === undefined ? {} : { labels }),
  })
  const { queries, responses, latencyCounts, latencySum } = counters
  return [
    ...Object.entries(queries).map(([protocol, count]) =>
      counter('requests_total', 'Queries that were answered.', count, { protocol }),
    ),
    ...Object.entries(responses).map(([rcode, count]) =>
      counter('responses_total', 'Answers by response code.', count, { rcode }),
    ),
    counter('dropped_total', 'Datagrams that deserved no answer.', counters.dropped),
    counter('cache_hits_total', 'Queries answered from the cache.', counters.cacheHits),
    counter('cache_misses_total', 'Queries that the cache could not answer.', counters.cacheMisses),
    {
      ...{ name: 'mk8s_dns_cache_entries', help: 'Answers in the cache.', type: 'gauge' as const },
      value: counters.cacheEntries,
    },
    counter('forward_requests_total', 'Queries to other servers.', counters.upstreamQueries),
    counter(
      'forward_failures_total',
      'Queries that other servers did not answer.',
      counters.upstreamFailures,
    ),
    {
      ...{
        name: 'mk8s_dns_request_duration_seconds',
        help: 'Time until an answer.',
        type: 'histogram' as const,
      },
      histogram: { bounds: LATENCY_BOUNDS, counts: latencyCounts, sum: latencySum },
    },
  ]
}
