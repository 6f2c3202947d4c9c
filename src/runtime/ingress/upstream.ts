/** One try of a request at one endpoint, in HTTP/1.1 or HTTP/2, over connections that are kept. */
import { Agent, type ClientRequest, type IncomingMessage, request as plainRequest } from 'node:http'
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { Agent as SecureAgent, request as secureRequest } from 'node:https'
import type { LookupFunction, Socket } from 'node:net'
import type { Duplex, Readable } from 'node:stream'
import { bracketed } from '../../base/bracketed.ts'
import type { Clock } from '../../base/clock.ts'
import type { Cidr } from '../../kube/cidr.ts'
import { grouped, type HeaderList, pairsOf } from './headers.ts'
import type { Endpoint } from './pools.ts'
import { reachableLookup } from './reachable-lookup.ts'
import type { Protocol } from './route.ts'

export interface UpstreamRequest {
  readonly endpoint: Endpoint
  readonly protocol: Protocol
  readonly method: string
  readonly path: string
  readonly headers: HeaderList
  /** For an upgrade: nothing but the head is sent. */
  readonly isUpgrade: boolean
  readonly hasBody: boolean
  readonly connectMs: number
  readonly readMs: number
  /** The connection stands: from now on it is no use trying elsewhere. Whoever has a body writes it into the sink. */
  readonly onConnected: (sink: Sink) => void
}

export interface Sink {
  readonly stream: NodeJS.WritableStream
  /** Of requests; sent after the body. */
  trailers(trailers: HeaderList): void
}

export interface UpstreamAnswer {
  readonly status: number
  readonly headers: HeaderList
  readonly body: Readable
  /** Known at the end of the body. */
  trailers(): HeaderList
  /** Of an upgrade that was taken: the connection, and what has come on it already. */
  readonly upgraded: { readonly socket: Duplex; readonly head: Buffer } | null
}

export interface Attempt {
  readonly answer: Promise<UpstreamAnswer>
  /** The client has gone, or it takes too long. */
  cancel(reason: Error): void
}

/** Why there is no answer. */
export class UpstreamError extends Error {
  /** Nothing of the request was sent, or it may be sent again. */
  readonly isUnsent: boolean
  readonly isTimeout: boolean

  constructor(message: string, { isUnsent = false, isTimeout = false } = {}) {
    super(message)
    this.isUnsent = isUnsent
    this.isTimeout = isTimeout
  }
}

const FREE_SOCKETS_MAX = 64
const IDLE_MS = 30_000
const HEADER_BYTES_MAX = 64 * 1024
const SESSIONS_MAX = 1_024

export class Upstreams {
  readonly #clock: Clock
  readonly #plain = new Agent({ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, timeout: IDLE_MS })
  // Certificates of backends are not checked, as nginx's default is: a pod's address is in none of them.
  readonly #secure = new SecureAgent({
    ...{ keepAlive: true, maxFreeSockets: FREE_SOCKETS_MAX, timeout: IDLE_MS, rejectUnauthorized: false },
  })
  readonly #sessions = new Map<string, ClientHttp2Session>()
  readonly #lookup: LookupFunction

  constructor(clock: Clock, loopbackPods: readonly Cidr[]) {
    this.#clock = clock
    this.#lookup = reachableLookup(loopbackPods)
  }

  send(request: UpstreamRequest): Attempt {
    return request.protocol === 'h2c' || request.protocol === 'h2'
      ? this.#sendFramed(request)
      : this.#sendText(request)
  }

  close(): void {
    this.#plain.destroy()
    this.#secure.destroy()
    for (const session of this.#sessions.values()) session.destroy()
    this.#sessions.clear()
  }

  #sendText(asked: UpstreamRequest): Attempt {
    const { endpoint, method, path, headers, readMs } = asked
    const isSecure = asked.protocol === 'https'
    const common = {
      host: endpoint.address,
      port: endpoint.port,
      method,
      path,
      setHost: false,
      lookup: this.#lookup,
    }
    const limits = { maxHeaderSize: HEADER_BYTES_MAX, agent: isSecure ? this.#secure : this.#plain }
    const send = isSecure ? secureRequest : plainRequest
    const request = send({ ...common, ...limits, headers: headers.flat() })
    const answer = Promise.withResolvers<UpstreamAnswer>()
    const state = { isConnected: false, isTimeout: false }
    const connecting = this.#clock.after(asked.connectMs, () => {
      if (!state.isConnected)
        request.destroy(new UpstreamError('connecting takes too long', { isUnsent: true }))
    })
    const connected = () => {
      if (state.isConnected) return
      state.isConnected = true
      connecting.cancel()
      asked.onConnected({
        stream: request,
        trailers: trailers => trailers.length > 0 && request.addTrailers(trailers),
      })
      if (!asked.hasBody) request.end()
    }
    request.once('socket', (socket: Socket) => {
      if (socket.connecting) socket.once(isSecure ? 'secureConnect' : 'connect', connected)
      else connected()
    })
    request.setTimeout(readMs, () => {
      state.isTimeout = true
      request.destroy(new UpstreamError('the backend does not answer in time', { isTimeout: true }))
    })
    request.once('response', response => answer.resolve(textAnswer(response, null)))
    request.once('upgrade', (response, socket, head) =>
      answer.resolve(textAnswer(response, { socket, head })),
    )
    request.on('error', error => {
      connecting.cancel()
      if (error instanceof UpstreamError) return answer.reject(error)
      const isStale = isAgain(request, asked)
      answer.reject(new UpstreamError(error.message, { isUnsent: !state.isConnected || isStale }))
    })
    request.once('close', () => {
      connecting.cancel()
      answer.reject(new UpstreamError('the connection was closed without an answer'))
    })
    return { answer: answer.promise, cancel: reason => request.destroy(reason) }
  }

  #sendFramed(asked: UpstreamRequest): Attempt {
    const answer = Promise.withResolvers<UpstreamAnswer>()
    const cancelled = new AbortController()
    void this.#session(asked)
      .then(session => {
        if (cancelled.signal.aborted) throw cancelled.signal.reason
        this.#ask(session, asked, answer, cancelled.signal)
      })
      .catch(error => answer.reject(error))
    return { answer: answer.promise, cancel: reason => cancelled.abort(reason) }
  }

  #session({ endpoint, protocol, connectMs }: UpstreamRequest): Promise<ClientHttp2Session> {
    const origin = `${protocol === 'h2' ? 'https' : 'http'}://${bracketed(endpoint.address)}:${endpoint.port}`
    const known = this.#sessions.get(origin)
    if (known !== undefined && !known.closed && !known.destroyed) return Promise.resolve(known)
    if (this.#sessions.size >= SESSIONS_MAX) this.#sessions.values().next().value?.close()
    const session = connect(origin, { rejectUnauthorized: false, lookup: this.#lookup })
    const opened = Promise.withResolvers<ClientHttp2Session>()
    const fail = (message: string) => opened.reject(new UpstreamError(message, { isUnsent: true }))
    const connecting = this.#clock.after(connectMs, () => {
      fail('connecting takes too long')
      session.destroy()
    })
    session.once('connect', () => {
      connecting.cancel()
      this.#sessions.set(origin, session)
      opened.resolve(session)
    })
    session.on('error', error => fail(error.message))
    session.once('goaway', () => this.#forget(origin, session))
    session.once('close', () => {
      connecting.cancel()
      fail('the connection was closed')
      this.#forget(origin, session)
    })
    session.setTimeout(IDLE_MS, () => session.close())
    return opened.promise
  }

  #forget(origin: string, session: ClientHttp2Session): void {
    if (this.#sessions.get(origin) === session) this.#sessions.delete(origin)
  }

  #ask(
    session: ClientHttp2Session,
    asked: UpstreamRequest,
    answer: PromiseWithResolvers<UpstreamAnswer>,
    signal: AbortSignal,
  ): void {
    const { method, path, headers, protocol, readMs } = asked
    const [host, rest] = [
      headers.find(isHost)?.[1] ?? '',
      headers.filter(pair => !isHost(pair) && !isLength(pair)),
    ]
    const pseudo = {
      ...{ ':method': method, ':path': path, ':authority': host },
      ':scheme': protocol === 'h2' ? 'https' : 'http',
    }
    const lower = Object.entries(grouped(rest)).map(([name, value]) => [name.toLowerCase(), value])
    const all = { ...pseudo, te: 'trailers', ...Object.fromEntries(lower) }
    const stream = session.request(all, { endStream: !asked.hasBody, waitForTrailers: asked.hasBody })
    let own: HeaderList = []
    let theirs: HeaderList = []
    stream.on('wantTrailers', () => stream.sendTrailers(grouped(own)))
    stream.on('trailers', (trailers: IncomingHttpHeaders) => {
      theirs = listOf(trailers)
    })
    stream.setTimeout(readMs, () => {
      answer.reject(new UpstreamError('the backend does not answer in time', { isTimeout: true }))
      stream.close(constants.NGHTTP2_CANCEL)
    })
    stream.once('response', response => {
      const status = Number(response[':status'] ?? 502)
      const known = listOf(response)
      answer.resolve({ status, headers: known, body: stream, trailers: () => theirs, upgraded: null })
    })
    stream.on('error', error => answer.reject(new UpstreamError(error.message)))
    stream.once('close', () => answer.reject(new UpstreamError('the stream was closed without an answer')))
    signal.addEventListener('abort', () => stream.close(constants.NGHTTP2_CANCEL), { once: true })
    const trailers = (given: HeaderList) => {
      own = given
    }
    asked.onConnected({ stream, trailers })
  }
}

const isHost = ([name]: [string, string]): boolean => name.toLowerCase() === 'host'
/** A transfer coding means nothing there; the length is kept. */
const isLength = ([name]: [string, string]): boolean => name.toLowerCase() === 'transfer-encoding'

const listOf = (headers: IncomingHttpHeaders): HeaderList =>
  Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') || value === undefined
      ? []
      : [value].flat().map(one => [name, String(one)] as [string, string]),
  )

/** The kept connection had been closed by the other side before this request came to it. */
function isAgain(request: ClientRequest, { method, hasBody }: UpstreamRequest): boolean {
  const isIdempotent = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'].includes(method)
  return request.reusedSocket && isIdempotent && !hasBody
}

function textAnswer(response: IncomingMessage, upgraded: UpstreamAnswer['upgraded']): UpstreamAnswer {
  return {
    status: response.statusCode ?? 502,
    headers: pairsOf(response.rawHeaders),
    body: response,
    trailers: () => pairsOf(response.rawTrailers),
    upgraded,
  }
}
