/** What lies between a client and its API server, and loses requests, answers and watches as often as it is told. */
import { Mk8sError } from '../../../src/base/errors.ts'
import type { Random } from '../../../src/base/random.ts'
import type { KubeRequest, KubeResponse, Transport } from '../../../src/client/transport.ts'

export interface Faults {
  /** Of 1: requests that never arrive. */
  lostRequests: number
  /** Of 1: answers that never arrive, although the request was carried out. */
  lostAnswers: number
  /** Of 1: pieces of a watch after which it breaks. */
  brokenWatches: number
}

export class FaultyTransport implements Transport {
  readonly #inner: Transport
  readonly #faults: Faults
  readonly #random: Random

  constructor(inner: Transport, faults: Faults, random: Random) {
    this.#inner = inner
    this.#faults = faults
    this.#random = random
  }

  async request(request: KubeRequest): Promise<KubeResponse> {
    if (this.#happens(this.#faults.lostRequests)) throw unreachable('the request was lost')
    const response = await this.#inner.request(request)
    if (response.upgraded !== undefined) return response
    if (response.body instanceof Uint8Array) {
      if (this.#happens(this.#faults.lostAnswers)) throw unreachable('the answer was lost')
      return response
    }
    return { ...response, body: this.#breaking(response.body) }
  }

  /** Without a way to be pushed, so that whoever reads it reads it here. */
  async *#breaking(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of body) {
      if (this.#happens(this.#faults.brokenWatches)) throw unreachable('the connection broke')
      yield piece
    }
  }

  #happens(share: number): boolean {
    return this.#random.float() < share
  }
}

function unreachable(why: string): Mk8sError {
  return new Mk8sError('api/unreachable', 'the API server does not answer', { why })
}
