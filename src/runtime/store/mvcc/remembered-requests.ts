/**
 * Each proposer's last results, so that a write sent again over a leader change applies once.
 * Bounded in both directions, by rules that depend on the log alone.
 */
import type { RememberedResult } from './command.ts'

/** How far a request may lie behind its proposer's newest one; a proposer never has more in flight. */
export const REQUESTS_REMEMBERED_MAX = 4096
const PROPOSERS_REMEMBERED_MAX = 64

interface Proposer {
  newest: number
  readonly results: Map<number, RememberedResult>
}

export class RememberedRequests {
  /** In the order of last use: the first is forgotten first. */
  readonly #proposers = new Map<number, Proposer>()

  find(proposer: number, request: number): RememberedResult | 'forgotten' | null {
    const known = this.#proposers.get(proposer)
    if (known === undefined) return null
    const result = known.results.get(request)
    if (result !== undefined) return result
    return request <= known.newest - REQUESTS_REMEMBERED_MAX ? 'forgotten' : null
  }

  remember(result: RememberedResult): void {
    const known = this.#proposers.get(result.proposer) ?? { newest: 0, results: new Map() }
    this.#proposers.delete(result.proposer)
    this.#proposers.set(result.proposer, known)
    known.results.set(result.request, result)
    known.newest = Math.max(known.newest, result.request)
    for (const request of known.results.keys()) {
      if (known.results.size <= REQUESTS_REMEMBERED_MAX) break
      known.results.delete(request)
    }
    for (const proposer of this.#proposers.keys()) {
      if (this.#proposers.size <= PROPOSERS_REMEMBERED_MAX) break
      this.#proposers.delete(proposer)
    }
  }

  /** The proposers still remembered; persistence drops the others. */
  proposers(): number[] {
    return [...this.#proposers.keys()]
  }
}
