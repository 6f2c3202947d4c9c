/**
 * The listener on port 25000: TLS 1.3, JSON, small bodies, few connections, short waits. Servers, by a certificate of
 * the cluster authority, get the routes that it is given; everybody `GET /healthz`; the rest is for `others`.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Health } from '../../base/component.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { readBounded } from '../../base/read-bounded.ts'
import type { MemberAddress } from '../members/member-record.ts'

export interface ServerCredentials {
  /** PEM of the `apiserver` leaf. */
  readonly certificate: string
  readonly key: string
  /** PEM of the cluster authority: joiners compare its key with the fingerprint that they were given. */
  readonly authority: string
}

/** Something that servers ask each other, by a client certificate of the cluster authority for system:masters. */
export interface PeerRoute {
  readonly method: 'GET' | 'POST'
  readonly path: string
  /** Only for who is called so; others are as good as unknown. */
  readonly clientName?: string
  /** Resolves to what is answered, as JSON. Thrown `Mk8sError`s reach the other side as such. */
  handle(request: { readonly query: URLSearchParams; readonly body: unknown }): Promise<object>
}

export interface PeerListenerParts {
  readonly listen: MemberAddress
  readonly credentials: ServerCredentials
  readonly peerRoutes: readonly PeerRoute[]
  readonly log: Log
  /** Who is no server. Absent: nobody else is answered. */
  readonly others?: (request: IncomingMessage, url: URL) => Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly body: object
}

const HEADERS_BYTES_MAX = 8_192
const BODY_BYTES_MAX = 64 * 1024
const CONNECTIONS_MAX = 256
const CONNECTIONS_PER_ADDRESS_MAX = 64
const HANDSHAKE_MS_MAX = 3_000
const REQUEST_MS_MAX = 10_000
const KEEP_ALIVE_MS = 5_000
/** How often requests that take too long are looked for. */
const CHECK_MS = 1_000
const MASTERS = 'system:masters'

export class PeerListener {
  readonly #parts: PeerListenerParts
  readonly #connections = new Map<string, number>()
  #server: Server | undefined
  #health: Health = { ok: false, reason: 'the join listener is not open yet' }

  constructor(parts: PeerListenerParts) {
    this.#parts = parts
  }

  get port(): number {
    const address = this.#server?.address()
    return typeof address === 'object' && address !== null ? address.port : this.#parts.listen.port
  }

  async start(): Promise<void> {
    const server = createServer(
      {
        ...tlsOptions(this.#parts.credentials),
        requestCert: true,
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
        handshakeTimeout: HANDSHAKE_MS_MAX,
        maxHeaderSize: HEADERS_BYTES_MAX,
        headersTimeout: REQUEST_MS_MAX / 2,
        requestTimeout: REQUEST_MS_MAX,
        keepAliveTimeout: KEEP_ALIVE_MS,
        connectionsCheckingInterval: CHECK_MS,
      },
      (request, response) => void this.#answer(request, response),
    )
    server.maxConnections = CONNECTIONS_MAX
    server.on('connection', (socket: Socket) => this.#count(socket))
    server.on('tlsClientError', (error, socket) => {
      this.#parts.log.debug('a connection to the join port failed', { why: error.message })
      socket.destroy()
    })
    this.#server = server
    await listen(server, this.#parts.listen)
    this.#health = { ok: true, reason: '' }
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#health = { ok: false, reason: 'the join listener is closed' }
    if (server === undefined) return
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    server.closeAllConnections()
    await closed
  }

  health(): Health {
    return this.#health
  }

  useCredentials(credentials: ServerCredentials): void {
    this.#server?.setSecureContext({ ...tlsOptions(credentials), minVersion: 'TLSv1.3' })
  }

  /** One machine must not keep all others out. */
  #count(socket: Socket): void {
    const from = socket.remoteAddress ?? ''
    const open = (this.#connections.get(from) ?? 0) + 1
    if (open > CONNECTIONS_PER_ADDRESS_MAX) {
      socket.destroy()
      return
    }
    this.#connections.set(from, open)
    socket.once('close', () => {
      const left = (this.#connections.get(from) ?? 1) - 1
      if (left > 0) this.#connections.set(from, left)
      else this.#connections.delete(from)
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'https://mk8s')
      const answer = await this.#route(request, url)
      reply(response, answer.status, answer.body)
    } catch (error) {
      if (response.destroyed) return
      const known = error instanceof Mk8sError
      if (!known) this.#parts.log.warn('a request on the join port failed', { why: messageOf(error) })
      reply(response, known ? statusOf(error) : 500, { error: describe(error) })
    }
  }

  async #route(request: IncomingMessage, url: URL): Promise<Answer> {
    const path = url.pathname
    if (request.method === 'GET' && (path === '/healthz' || path === '/health'))
      return { status: 200, body: { status: 'OK' } }
    if (isServer(request.socket as TLSSocket)) {
      const route = this.#parts.peerRoutes.find(each => each.method === request.method && each.path === path)
      if (route === undefined) return { status: 404, body: { error: { message: 'no such path' } } }
      const { clientName } = route
      if (clientName !== undefined && nameOf(request.socket as TLSSocket) !== clientName) return unauthorized
      const body = request.method === 'POST' ? await readJson(request) : null
      return { status: 200, body: await route.handle({ query: url.searchParams, body }) }
    }
    return (await this.#parts.others?.(request, url)) ?? unauthorized
  }
}

export const refusal = (status: number, message: string, why = '', hint = ''): Answer => ({
  status,
  body: { error: { code: 'refused', message, why, hint } },
})

export const unauthorized = refusal(401, 'unauthorized')

function tlsOptions({ certificate, key, authority }: ServerCredentials) {
  const separator = certificate.endsWith('\n') ? '' : '\n'
  return { cert: `${certificate}${separator}${authority}`, key, ca: authority }
}

/** Another server of the cluster, or its administrator. */
function isServer(socket: TLSSocket): boolean {
  if (!socket.authorized) return false
  const organization: unknown = socket.getPeerCertificate().subject?.O
  return Array.isArray(organization) ? organization.includes(MASTERS) : organization === MASTERS
}

const nameOf = (socket: TLSSocket): unknown => socket.getPeerCertificate().subject?.CN

export async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLarge = () => new Mk8sError('store/too-large', 'the request is too large')
  const bytes = await readBounded(request, BODY_BYTES_MAX, tooLarge)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new Mk8sError('usage', 'the request is not JSON', { cause: error })
  }
}

/** A refusal is the joiner's affair, not a failure of the server. */
const statusOf = ({ code, info }: Mk8sError): number => (code === 'refused' ? 409 : info.status)

function describe(error: unknown): Record<string, unknown> {
  if (!(error instanceof Mk8sError)) return { message: 'the server failed; its log says more' }
  return { code: error.code, message: error.message, why: error.why, hint: error.hint }
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    // What is left of a request that was not read to its end must not be taken for the next one.
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(text)
}

function listen(server: Server, { host, port }: MemberAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', error =>
      reject(
        new Mk8sError('host/port-taken', `port ${port} (join) on ${host} cannot be opened`, {
          why: messageOf(error),
          cause: error,
        }),
      ),
    )
    server.listen(port, host, resolve)
  })
}
