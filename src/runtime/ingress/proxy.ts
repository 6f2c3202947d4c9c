/** Serves requests out of the routing table: finds the route, tries its endpoints, passes body and answer through. */
import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { type Cidr, cidrContains, parseAddress } from '../../kube/cidr.ts'
import { networksOf } from './annotations.ts'
import type { StreamListener } from './compile-gateway.ts'
import { type DoorPlan, HTTP_DOOR, HTTPS_DOOR } from './doors.ts'
import { Endpoints } from './endpoints.ts'
import { Exchange, Refusal, type Response } from './exchange.ts'
import { type Client, changeHeaders, framingProblem, requestHeaders, valuesOf } from './headers.ts'
import { locationOf, rewritePath } from './path-changes.ts'
import { hostOf, normalizeTarget, type Target } from './request-path.ts'
import type { Backend, Route } from './route.ts'
import {
  type Asked,
  backendsFor,
  matchRoute,
  mayAsk,
  pickBackend,
  type RoutingTable,
} from './routing-table.ts'
import { passStream } from './streams.ts'
import { passUpgrade, refuseUpgrade } from './upgrade.ts'
import { type UpstreamAnswer, UpstreamError, Upstreams } from './upstream.ts'
import type { IngressSettings } from './world.ts'

export interface ProxyParts {
  readonly settings: IngressSettings
  readonly table: () => RoutingTable
  /** Who is at the other end, which the PROXY protocol may have told. */
  readonly addressOf: (socket: Duplex) => string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export type Request = IncomingMessage | Http2ServerRequest

const TRIES_MAX = 3
const UNSUPPORTED = new Set(['CONNECT', 'TRACE', 'TRACK'])

/** A request that has been understood. */
interface Understood {
  readonly asked: Asked
  readonly target: Target
  readonly client: Client
}

export class RequestProxy {
  readonly #parts: ProxyParts
  readonly #endpoints: Endpoints
  readonly #upstreams: Upstreams
  readonly #trusted: readonly Cidr[]
  #known: RoutingTable | null = null

  constructor(parts: ProxyParts) {
    this.#parts = parts
    this.#endpoints = new Endpoints(parts.clock)
    this.#upstreams = new Upstreams(parts.clock, networksOf(parts.settings.loopbackPods) ?? [])
    this.#trusted = networksOf(parts.settings.trustedProxies) ?? []
  }

  close(): void {
    this.#upstreams.close()
  }

  /** Never rejects. */
  async handle(request: Request, response: Response, door: DoorPlan): Promise<void> {
    const begunMs = this.#parts.clock.monotonic()
    const exchange = new Exchange(request, response, this.#parts.clock)
    let owner = ''
    try {
      const understood = this.#understand(request, door)
      const route = this.#routeOf(understood)
      owner = route.owner
      if (this.#answerItself(exchange, understood, route)) return
      exchange.limit(route, valuesOf(request.rawHeaders, 'content-length')[0])
      await this.#pass(exchange, understood, route)
    } catch (error) {
      exchange.refuse(this.#refusalOf(error, request))
    } finally {
      if (this.#parts.settings.accessLog) {
        const ms = Math.round(this.#parts.clock.monotonic() - begunMs)
        const path = (request.url ?? '').split('?')[0]
        this.#parts.log.info('request', {
          method: request.method,
          path,
          status: response.statusCode,
          owner,
          ms,
        })
      }
    }
  }

  /** A WebSocket. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, door: DoorPlan): Promise<void> {
    socket.on('error', () => socket.destroy())
    try {
      const understood = this.#understand(request, door)
      const route = this.#routeOf(understood)
      if (route.redirect !== null || (!door.isSecure && route.redirectsToHttps)) throw new Refusal(426)
      if (valuesOf(request.rawHeaders, 'transfer-encoding').length > 0) throw new Refusal(400)
      const { answer, cancel } = await this.#try(understood, route, request, {
        isUpgrade: true,
        hasBody: false,
      })
      if (socket.destroyed) return cancel(new Error('the client has gone'))
      passUpgrade(socket, head, answer, route.readMs)
    } catch (error) {
      refuseUpgrade(socket, this.#refusalOf(error, request))
    }
  }

  /** A connection that is no HTTP. */
  async stream(socket: Duplex, listener: StreamListener, name: string): Promise<void> {
    const { clock, random } = this.#parts
    this.#table()
    await passStream(socket, listener, name, { endpoints: this.#endpoints, clock, random })
  }

  #understand(request: Request, door: DoorPlan): Understood {
    const { rawHeaders } = request
    const isFramed = request.httpVersionMajor === 2
    if (!isFramed && framingProblem(rawHeaders, request.httpVersion) !== '') throw new Refusal(400, true)
    const method = request.method ?? 'GET'
    if (UNSUPPORTED.has(method)) throw new Refusal(405)
    const absolute = /^https?:\/\/([^/?#]*)(.*)$/i.exec(request.url ?? '')
    const target = normalizeTarget(absolute === null ? (request.url ?? '') : absolute[2] || '/')
    const authority = absolute?.[1] ?? valuesOf(rawHeaders, isFramed ? ':authority' : 'host')[0]
    const given = authority ?? valuesOf(rawHeaders, 'host')[0] ?? ''
    const host = hostOf(given)
    if (target === null || host === null) throw new Refusal(400)
    const client = this.#clientOf(request, door, given)
    const header = (name: string) => {
      const values = valuesOf(rawHeaders, name)
      return values.length === 0 ? undefined : values.join(name === 'cookie' ? '; ' : ',')
    }
    return {
      asked: { door: door.key, scheme: client.scheme, host, ...target, method, header },
      target,
      client,
    }
  }

  #clientOf(request: Request, door: DoorPlan, host: string): Client {
    const peer = this.#parts.addressOf(request.socket)
    const parsed = parseAddress(peer)
    const isTrusted = parsed !== null && this.#trusted.some(cidr => cidrContains(cidr, parsed))
    const said = isTrusted ? valuesOf(request.rawHeaders, 'x-forwarded-proto')[0] : undefined
    const scheme = door.isSecure ? 'https' : 'http'
    const seen = said === 'https' || said === 'http' ? said : scheme
    return { address: peer, isTrusted, scheme: seen, port: this.#portOf(door), host }
  }

  /** As clients know it. */
  #portOf({ key, port }: DoorPlan): number {
    const { httpPort, httpsPort } = this.#parts.settings
    if (key === HTTP_DOOR) return httpPort
    return key === HTTPS_DOOR ? httpsPort : port
  }

  #routeOf({ asked, client }: Understood): Route {
    const route = matchRoute(this.#table(), asked)
    if (route === null) throw new Refusal(404)
    const real = client.isTrusted ? asked.header('x-forwarded-for')?.split(',').at(-1)?.trim() : undefined
    if (!mayAsk(route, real ?? client.address)) throw new Refusal(403)
    return route
  }

  #table(): RoutingTable {
    const table = this.#parts.table()
    if (table !== this.#known) {
      this.#known = table
      this.#endpoints.set(table.pools)
    }
    return table
  }

  #answerItself(exchange: Exchange, { asked, target, client }: Understood, route: Route): boolean {
    const { httpsPort } = this.#parts.settings
    const own = { scheme: asked.scheme, host: asked.host, port: client.port }
    if (route.redirectsToHttps && asked.scheme === 'http') {
      const toHttps = { scheme: 'https', host: '', port: httpsPort, path: null, status: 308 }
      exchange.redirect(308, locationOf(toHttps, own, target))
      return true
    }
    if (route.redirect === null) return false
    exchange.redirect(route.redirect.status, locationOf(route.redirect, own, target), route.responseHeaders)
    return true
  }

  async #pass(exchange: Exchange, understood: Understood, route: Route): Promise<void> {
    const { request } = exchange
    const late =
      route.requestMs === 0 ? null : this.#parts.clock.after(route.requestMs, () => exchange.late())
    try {
      const options = { isUpgrade: false, hasBody: exchange.hasBody, exchange }
      const { answer } = await this.#try(understood, route, request, options)
      await exchange.answer(answer, route.responseHeaders, route.readMs)
    } finally {
      late?.cancel()
    }
  }

  /** At one endpoint after the other, as long as nothing of the request has been used up. */
  async #try(
    { asked, target, client }: Understood,
    route: Route,
    request: Request,
    { isUpgrade, hasBody, exchange }: { isUpgrade: boolean; hasBody: boolean; exchange?: Exchange },
  ): Promise<{ answer: UpstreamAnswer; cancel: (reason: Error) => void }> {
    const { random, clock } = this.#parts
    const backend = pickBackend(backendsFor(route, asked, random.float()), random.float())
    if (backend === null) throw new Refusal(route.backends.length === 0 ? 500 : 503)
    const candidates = backend.pool === '' ? [] : this.#endpoints.inOrder(backend.pool)
    if (candidates.length === 0) throw new Refusal(backend.pool === '' ? backend.status : 503)
    const headers = this.#headersFor(request, route, backend, client, { isUpgrade, hasBody })
    const path = rewritePath(route.rewrite, target)
    if (!isUpgrade) this.#mirror(route, asked.method, path, headers, hasBody)
    for (let tries = 1; ; tries++) {
      const endpoint = candidates[(tries - 1) % candidates.length]
      if (endpoint === undefined) throw new Refusal(503)
      const attempt = this.#upstreams.send({
        ...{ endpoint, protocol: backend.protocol, method: asked.method, path, headers, isUpgrade, hasBody },
        ...{ connectMs: route.connectMs, readMs: route.readMs },
        onConnected: sink => exchange?.send(sink, reason => attempt.cancel(reason)),
      })
      exchange?.expectFrom(attempt)
      const tooLong = new UpstreamError('the backend does not answer in time', { isTimeout: true })
      const limitMs = route.backendRequestMs
      const timer = limitMs === 0 ? null : clock.after(limitMs, () => attempt.cancel(tooLong))
      try {
        const answer = await attempt.answer
        this.#endpoints.answered(endpoint)
        return { answer, cancel: attempt.cancel }
      } catch (error) {
        const isUnsent = error instanceof UpstreamError && error.isUnsent
        if (isUnsent) this.#endpoints.refused(endpoint)
        if (!isUnsent || tries >= TRIES_MAX || exchange?.isOver) throw error
      } finally {
        timer?.cancel()
      }
    }
  }

  #headersFor(
    request: Request,
    route: Route,
    backend: Backend,
    client: Client,
    { isUpgrade, hasBody }: { isUpgrade: boolean; hasBody: boolean },
  ) {
    const common = requestHeaders(request.rawHeaders, client, this.#parts.random.uuid().replaceAll('-', ''))
    const changed = changeHeaders(changeHeaders(common, route.requestHeaders), backend.requestHeaders)
    const headers = route.host === '' ? changed : changeHeaders(changed, hostChange(route.host))
    const hasLength = headers.some(([name]) => name.toLowerCase() === 'content-length')
    if (isUpgrade) headers.push(['Connection', 'Upgrade'], ['Upgrade', 'websocket'])
    else if (hasBody && !hasLength) headers.push(['Transfer-Encoding', 'chunked'])
    else if (!hasBody && !hasLength && BODIED.has(request.method ?? '')) headers.push(['Content-Length', '0'])
    return headers
  }

  /** What a mirror answers is nobody's concern. Bodies are not mirrored. */
  #mirror(route: Route, method: string, path: string, headers: [string, string][], hasBody: boolean): void {
    if (hasBody) return
    for (const { pool, protocol } of route.mirrors) {
      const endpoint = this.#endpoints.inOrder(pool)[0]
      if (endpoint === undefined) continue
      const limits = { connectMs: route.connectMs, readMs: route.readMs, onConnected: () => {} }
      const request = { endpoint, protocol, method, path, headers, isUpgrade: false, hasBody: false }
      this.#upstreams.send({ ...request, ...limits }).answer.then(
        ({ body }) => body.on('error', () => {}).resume(),
        () => {},
      )
    }
  }

  #refusalOf(error: unknown, request: Request): Refusal {
    if (error instanceof Refusal) return error
    if (error instanceof UpstreamError) {
      this.#parts.log.debug('a backend did not answer', { problem: error.message, path: request.url })
      return new Refusal(error.isTimeout ? 504 : 502)
    }
    this.#parts.log.error('a request failed', { method: request.method, error })
    return new Refusal(500)
  }
}

const BODIED = new Set(['POST', 'PUT', 'PATCH'])
const hostChange = (host: string) => ({ set: [['Host', host] as const], add: [], remove: [] })
