/**
 * Each proposer's last results, so that a write sent again over a leader change applies once. Bounded by rules that
 * depend on the log alone: what one member forgets, all forget with the same entry, restarted or not.
 */
import type { RememberedResult } from './command.ts'
import { ResultWindow } from './result-window.ts'

/** How far a request may lie behind its proposer's newest one; a proposer never has more in flight. */
export const REQUESTS_REMEMBERED_MAX = 4096
/** Each life of each member is a proposer: nine that restart in a loop do not push a living one out. */
export const PROPOSERS_REMEMBERED_MAX = 256
/** Results of all proposers together; whoever was not heard of longest goes first. */
const RESULTS_REMEMBERED_MAX = 64 * REQUESTS_REMEMBERED_MAX

interface Proposer {
  newest: number
  readonly results: ResultWindow
}

export class RememberedRequests {
  /** In the order of their last results: the first is forgotten first. */
  readonly #proposers = new Map<number, Proposer>()
  #size = 0
  /** Whose result came last. */
  #latest = 0

  find(proposer: number, request: number): RememberedResult | 'forgotten' | null {
    const known = this.#proposers.get(proposer)
    if (known === undefined) return null
    const result = known.results.get(proposer, request)
    if (result !== null) return result
    return request <= known.newest - REQUESTS_REMEMBERED_MAX ? 'forgotten' : null
  }

  /** Returns the proposers that are forgotten for it. */
  remember(result: RememberedResult): number[] {
    const { proposer, request } = result
    const known = this.#proposers.get(proposer) ?? { newest: 0, results: new ResultWindow() }
    if (proposer !== this.#latest) {
      this.#proposers.delete(proposer)
      this.#proposers.set(proposer, known)
      this.#latest = proposer
    }
    if (request > known.newest) this.#moveWindow(known, request)
    if (request > known.newest - REQUESTS_REMEMBERED_MAX) {
      known.results.add(result)
      this.#size++
    }
    return this.#forgetProposers()
  }

  /** The number decides which results go, not the order in which they came. */
  #moveWindow(known: Proposer, newest: number): void {
    const before = Math.max(0, known.newest - REQUESTS_REMEMBERED_MAX)
    const after = newest - REQUESTS_REMEMBERED_MAX
    known.newest = newest
    if (after - before > known.results.size) {
      for (const request of known.results.requests()) if (request <= after) this.#forget(known, request)
    } else {
      for (let request = before + 1; request <= after; request++) this.#forget(known, request)
    }
  }

  #forget(known: Proposer, request: number): void {
    if (known.results.delete(request)) this.#size--
  }

  #forgetProposers(): number[] {
    const forgotten: number[] = []
    if (this.#proposers.size <= PROPOSERS_REMEMBERED_MAX && this.#size <= RESULTS_REMEMBERED_MAX)
      return forgotten
    for (const [proposer, { results }] of this.#proposers) {
      if (this.#proposers.size <= PROPOSERS_REMEMBERED_MAX && this.#size <= RESULTS_REMEMBERED_MAX) break
      this.#proposers.delete(proposer)
      if (proposer === this.#latest) this.#latest = 0
      this.#size -= results.size
      forgotten.push(proposer)
    }
    return forgotten
  }

  proposers(): number[] {
    return [...this.#proposers.keys()]
  }
}
