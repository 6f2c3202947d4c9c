/** Passes a request of the page on to the API server with the user's own token, and the answer back as it comes. */
import { once } from 'node:events'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Clock } from '../../../base/clock.ts'
import type { Transport } from '../../../client/transport.ts'
import { refuse, SECURITY_HEADERS } from './answers.ts'
import type { RelayRequest } from './plan-relay.ts'
import { readRequest } from './read-request.ts'
import type { Session } from './sessions.ts'

/** Of one session, streams among them. */
const REQUESTS_OF_ONE_MAX = 40
/** Of all, below what the connection to the API server has. */
const REQUESTS_MAX = 200
const BODY_BYTES_MAX = 64 * 1024
/** A reader that takes nothing for so long is gone. */
const STALL_MS_MAX = 60_000

export class Relay {
  readonly #transport: Transport
  readonly #clock: Clock
  #requests = 0

  constructor(transport: Transport, clock: Clock) {
    this.#transport = transport
    this.#clock = clock
  }

  /** `signal` fires when the session or the dashboard ends. Resolves with the status that was answered. */
  async pass(
    asked: RelayRequest,
    session: Session,
    { request, response }: { request: Http2ServerRequest; response: Http2ServerResponse },
  ): Promise<number> {
    if (session.requests >= REQUESTS_OF_ONE_MAX || this.#requests >= REQUESTS_MAX) {
      const message = 'too many requests are under way; close other tabs of the dashboard and try again'
      refuse(response, 429, message, { 'retry-after': '2' })
      return 429
    }
    session.requests += 1
    this.#requests += 1
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    try {
      return await this.#pass(asked, session, { request, response, gone })
    } finally {
      session.requests -= 1
      this.#requests -= 1
      gone.abort()
    }
  }

  async #pass(asked: RelayRequest, session: Session, exchange: Exchange): Promise<number> {
    const { request, response, gone } = exchange
    const hasBody = asked.method !== 'GET'
    const body = hasBody ? await readRequest(request, BODY_BYTES_MAX, this.#clock) : undefined
    const { accept, 'content-type': type } = request.headers
    const answered = await this.#transport.request({
      ...asked,
      headers: {
        authorization: `Bearer ${session.token}`,
        'user-agent': 'mk8s/dashboard',
        accept: accept ?? 'application/json',
        ...(type === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.any([gone.signal, session.ended.signal]),
    })
    const { 'content-type': answeredType = 'application/json', warning } = answered.headers
    response.writeHead(answered.status, {
      ...SECURITY_HEADERS,
      'content-type': answeredType,
      'cache-control': 'no-store',
      ...(warning === undefined ? {} : { warning }),
    })
    const chunks = answered.body instanceof Uint8Array ? [answered.body] : answered.body
    for await (const chunk of chunks) {
      if (response.write(chunk)) continue
      const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(STALL_MS_MAX)])
      await once(response, 'drain', { signal })
    }
    response.end()
    return answered.status
  }
}

interface Exchange {
  readonly request: Http2ServerRequest
  readonly response: Http2ServerResponse
  readonly gone: AbortController
}
