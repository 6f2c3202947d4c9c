/** What the DNS thread counts, and how Prometheus is told of it. Pure. */
import type { DnsCounters } from './messages.ts'
import { rcodeName } from './record-types.ts'

/** Seconds. */
export const LATENCY_BOUNDS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1, 5,
] as const

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
