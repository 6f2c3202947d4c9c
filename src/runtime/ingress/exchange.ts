/** One request of a client and its answer, in HTTP/1.1 or HTTP/2: body up, answer down, limits, and plain refusals. */
import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Clock, Timer } from '../../base/clock.ts'
import { changeHeaders, endToEnd, grouped, type HeaderList, pairsOf } from './headers.ts'
import type { HeaderChanges, Route } from './route.ts'
import { type Attempt, type Sink, type UpstreamAnswer, UpstreamError } from './upstream.ts'

export type Response = ServerResponse | Http2ServerResponse

/** The proxy's own answer. */
export class Refusal extends Error {
  readonly status: number
  /** What follows on this connection cannot be trusted to be a request. */
  readonly endsConnection: boolean

  constructor(status: number, endsConnection = false) {
    super(STATUS_CODES[status] ?? 'Error')
    this.status = status
    this.endsConnection = endsConnection
  }
}

/** A client that neither sends what it announced nor reads what it asked for is given up after this time. */
const STALL_MS = 60_000
/** The backend's own limit comes first. */
const GRACE_MS = 5_000

export class Exchange {
  readonly request: IncomingMessage | Http2ServerRequest
  readonly response: Response
  readonly #clock: Clock
  #bodyBytesMax = 0
  #attempt: Attempt | null = null
  #stall: Timer | null = null
  isOver = false

  constructor(request: IncomingMessage | Http2ServerRequest, response: Response, clock: Clock) {
    this.request = request
    this.response = response
    this.#clock = clock
    request.on('error', () => {})
    response.on('error', () => {})
    response.once('close', () => {
      this.isOver = true
      this.#stall?.cancel()
      if (!response.writableFinished) this.#attempt?.cancel(new UpstreamError('the client has gone'))
    })
  }

  get hasBody(): boolean {
    const { headers } = this.request
    if ('stream' in this.request)
      return !this.request.stream.endAfterHeaders && headers['content-length'] !== '0'
    const length = headers['content-length']
    return headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) > 0)
  }

  limit({ bodyBytesMax }: Route, contentLength: string | undefined): void {
    this.#bodyBytesMax = bodyBytesMax
    if (bodyBytesMax > 0 && Number(contentLength ?? 0) > bodyBytesMax) throw new Refusal(413, true)
  }

  expectFrom(attempt: Attempt): void {
    this.#attempt = attempt
    attempt.answer.catch(() => {})
    if (this.isOver) attempt.cancel(new UpstreamError('the client has gone'))
  }

  late(): void {
    if (this.response.headersSent) this.#destroy()
    else this.#attempt?.cancel(new UpstreamError('it takes too long', { isTimeout: true }))
  }

  /** The connection to the backend stands: the client may send its body, if it has one. */
  send(sink: Sink, cancel: (reason: Error) => void): void {
    if (!this.hasBody) return
    const { request, response } = this
    if (/100-continue/i.test(request.headers.expect ?? '') && !response.headersSent) {
      if (response instanceof ServerResponse) response.writeContinue()
      else response.writeContinue()
    }
    let bytes = 0
    this.#watchStall()
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      this.#watchStall()
      if (this.#bodyBytesMax === 0 || bytes <= this.#bodyBytesMax) return
      request.unpipe(sink.stream)
      this.refuse(new Refusal(413, true))
      cancel(new UpstreamError('the body is too large'))
    })
    request.once('end', () => {
      this.#stall?.cancel()
      sink.trailers(pairsOf(request.rawTrailers))
      sink.stream.end()
    })
    request.once('aborted', () => cancel(new UpstreamError('the client has gone')))
    request.pipe(sink.stream, { end: false })
  }

  #watchStall(): void {
    this.#stall?.cancel()
    this.#stall = this.#clock.after(STALL_MS, () => {
      if (this.request.complete) return
      if (this.response.headersSent) this.#destroy()
      else this.refuse(new Refusal(408, true))
    })
  }

  /** Resolves once all of it has been handed over, or the client has gone. */
  answer(answer: UpstreamAnswer, changes: HeaderChanges | null, readMs: number): Promise<void> {
    const { response, request } = this
    const { body } = answer
    if (response.headersSent || this.isOver) {
      body.on('error', () => {}).destroy()
      return Promise.resolve()
    }
    const headers = changeHeaders(endToEnd(answer.headers.flat()), changes)
    this.#head(answer.status, headers)
    if (response instanceof ServerResponse) response.socket?.setTimeout(Math.max(readMs, STALL_MS) + GRACE_MS)
    const done = Promise.withResolvers<void>()
    response.once('close', () => {
      body.destroy()
      done.resolve()
    })
    response.once('finish', () => {
      done.resolve()
      // The rest of a body that nobody wants is not read.
      if (!request.complete && response instanceof ServerResponse) response.socket?.destroySoon()
    })
    body.on('error', () => this.#destroy())
    body.once('aborted', () => this.#destroy())
    body.once('end', () => {
      const trailers = answer.trailers()
      if (trailers.length > 0) response.addTrailers(grouped(trailers) as Record<string, string>)
      response.end()
    })
    body.pipe(response as NodeJS.WritableStream, { end: false })
    return done.promise
  }

  redirect(status: number, location: string, changes: HeaderChanges | null = null): void {
    this.#plain(status, changeHeaders([['Location', location]], changes), false)
  }

  refuse({ status, endsConnection }: Refusal): void {
    if (this.response.headersSent) this.#destroy()
    else this.#plain(status, [], endsConnection)
  }

  #plain(status: number, headers: HeaderList, endsConnection: boolean): void {
    const { request, response } = this
    if (response.destroyed || this.isOver) return
    const text = `${status} ${STATUS_CODES[status] ?? ''}\n`
    const closes = endsConnection || (this.hasBody && !request.complete)
    this.#head(status, [
      ...headers,
      ['Content-Type', 'text/plain; charset=utf-8'],
      ['Content-Length', String(Buffer.byteLength(text))],
      ['X-Content-Type-Options', 'nosniff'],
      ...(closes && response instanceof ServerResponse ? [['Connection', 'close'] as [string, string]] : []),
    ])
    response.end(request.method === 'HEAD' ? '' : text)
  }

  #head(status: number, headers: HeaderList): void {
    if (this.response instanceof ServerResponse) this.response.writeHead(status, grouped(headers))
    else this.response.writeHead(status, grouped(headers))
  }

  #destroy(): void {
    if (this.response instanceof ServerResponse) this.response.destroy()
    else this.response.stream?.destroy()
  }
}
