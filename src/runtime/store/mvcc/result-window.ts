/**
 * One proposer's last results, in columns of numbers: there are thousands of them, each one lives for a while, and as
 * objects they would keep the garbage collector busy. A request has its place by its number, so those in it at a time
 * must not differ by a multiple of its capacity; it grows until they do not.
 */
import type { RememberedResult } from './command.ts'

const CAPACITY_MIN = 64
const NOBODY = -1

export class ResultWindow {
  #requests = new Float64Array(CAPACITY_MIN).fill(NOBODY)
  #revisions = new Float64Array(CAPACITY_MIN)
  #indexes = new Float64Array(CAPACITY_MIN)
  #succeeded = new Uint8Array(CAPACITY_MIN)
  #size = 0

  get size(): number {
    return this.#size
  }

  get(proposer: number, request: number): RememberedResult | null {
    const at = this.#placeOf(request)
    if (this.#requests[at] !== request) return null
    return {
      index: this.#indexes[at] as number,
      proposer,
      request,
      revision: this.#revisions[at] as number,
      succeeded: this.#succeeded[at] === 1,
    }
  }

  /** A request that is not there. */
  add({ request, revision, index, succeeded }: Omit<RememberedResult, 'proposer'>): void {
    let at = this.#placeOf(request)
    while (this.#requests[at] !== NOBODY) {
      this.#grow()
      at = this.#placeOf(request)
    }
    this.#requests[at] = request
    this.#revisions[at] = revision
    this.#indexes[at] = index
    this.#succeeded[at] = succeeded ? 1 : 0
    this.#size++
  }

  /** Whether it was there. */
  delete(request: number): boolean {
    const at = this.#placeOf(request)
    if (this.#requests[at] !== request) return false
    this.#requests[at] = NOBODY
    this.#size--
    return true
  }

  requests(): number[] {
    return [...this.#requests].filter(request => request !== NOBODY)
  }

  #placeOf(request: number): number {
    return request % this.#requests.length
  }

  #grow(): void {
    const [requests, revisions, indexes, succeeded] = [
      this.#requests,
      this.#revisions,
      this.#indexes,
      this.#succeeded,
    ]
    const capacity = 2 * requests.length
    this.#requests = new Float64Array(capacity).fill(NOBODY)
    this.#revisions = new Float64Array(capacity)
    this.#indexes = new Float64Array(capacity)
    this.#succeeded = new Uint8Array(capacity)
    for (const [from, request] of requests.entries()) {
      if (request === NOBODY) continue
      const to = this.#placeOf(request)
      this.#requests[to] = request
      this.#revisions[to] = revisions[from] as number
      this.#indexes[to] = indexes[from] as number
      this.#succeeded[to] = succeeded[from] as number
    }
  }
}
