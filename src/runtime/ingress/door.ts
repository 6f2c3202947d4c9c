/** One port: HTTP, or HTTPS and other TLS by the name that is asked for; HTTP/2 too, and the PROXY protocol on request. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import {
  createServer as createFramedServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type SecureContext, type TLSSocket } from 'node:tls'
import type { Clock } from '../../base/clock.ts'
import type { StreamListener } from './compile-gateway.ts'
import type { DoorPlan } from './doors.ts'
import { peek } from './peek.ts'
import { PROXY_BYTES_MAX, parseProxyHeader } from './proxy-protocol.ts'
import { parseServerName } from './server-name.ts'

/** What every door passes on. */
export interface DoorHandlers {
  readonly handle: (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    door: DoorPlan,
  ) => void
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, door: DoorPlan) => void
  /** A connection that is no HTTP, for this name. */
  readonly stream: (socket: Duplex, listener: StreamListener, name: string) => void
  /** Who takes connections for this name; null: HTTPS. */
  readonly streamFor: (door: string, name: string) => StreamListener | null
  /** Whether there may be any; if not, nobody looks. */
  readonly hasStreams: (door: string) => boolean
  /** By the name of a handshake, which may be missing. */
  readonly contextFor: (door: string, name: string) => SecureContext
}

export interface DoorParts extends DoorHandlers {
  readonly plan: DoorPlan
  readonly proxyProtocol: boolean
  /** Told by the PROXY protocol, by the address and port of the proxy. */
  readonly told: Map<string, string>
  readonly clock: Clock
}

export const LIMITS = {
  connections: 16_384,
  headerBytes: 32 * 1024,
  headersMs: 15_000,
  keepAliveMs: 75_000,
  handshakeMs: 10_000,
  streams: 128,
} as const

const PREFACE = Buffer.from('PRI * HTTP/2.0')
const DRAIN_MS = 10_000

export class Door {
  readonly plan: DoorPlan
  readonly #parts: DoorParts
  readonly #text: ReturnType<typeof createServer>
  readonly #framed: ReturnType<typeof createFramedServer>
  readonly #tls: ReturnType<typeof createTlsServer> | null
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<{ close(): void }>()
  /** The last request that began on a connection. */
  readonly #latest = new WeakMap<Duplex, IncomingMessage>()
  #port: Server | null = null

  constructor(parts: DoorParts) {
    this.#parts = parts
    this.plan = parts.plan
    this.#text = this.#textServer()
    this.#framed = this.#framedServer()
    this.#tls = parts.plan.isSecure ? this.#tlsServer() : null
  }

  /** Of those who say no name. */
  useDefault(certificate: string, key: string): void {
    this.#tls?.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
  }

  /** Returns the port. Throws when it is taken. */
  async open(address: string): Promise<number> {
    const server = createTcpServer({ noDelay: true }, socket => this.#accept(socket))
    server.maxConnections = LIMITS.connections
    await listening(server, this.plan.port, address)
    this.#port = server
    return (server.address() as AddressInfo).port
  }

  /** What is under way may end. */
  async close(): Promise<void> {
    this.#port?.close()
    this.#text.closeIdleConnections()
    for (const session of this.#sessions) session.close()
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = this.#parts.clock.after(DRAIN_MS, resolve)
    const check = () => this.#sockets.size === 0 && resolve()
    for (const socket of this.#sockets) socket.once('close', check)
    check()
    await promise
    timer.cancel()
    for (const socket of this.#sockets) socket.destroy()
  }

  #textServer() {
    const { handle, upgrade, plan } = this.#parts
    const server = createServer(
      {
        ...{ maxHeaderSize: LIMITS.headerBytes, headersTimeout: LIMITS.headersMs, requestTimeout: 0 },
        ...{ keepAliveTimeout: LIMITS.keepAliveMs, insecureHTTPParser: false, noDelay: true },
        shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
      },
      (request, response) => {
        this.#latest.set(request.socket, request)
        handle(request, response, plan)
      },
    )
    server.maxHeadersCount = 0
    server.on('checkContinue', (request, response) => handle(request, response, plan))
    server.on('upgrade', (request, socket, head) => upgrade(request, socket, head, plan))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // What is wrong is in the body of a request which is being answered: two answers would be one too many.
      const isAnswered =
        this.#latest.get(socket)?.complete === false || error.code === 'HPE_CLOSED_CONNECTION'
      if (isAnswered) socket.end()
      else refuseClient(error, socket)
    })
    return server
  }

  #framedServer() {
    const { handle, plan } = this.#parts
    const server = createFramedServer({
      settings: { maxConcurrentStreams: LIMITS.streams, maxHeaderListSize: LIMITS.headerBytes },
      maxSessionMemory: 16,
    })
    server.on('request', (request, response) => handle(request, response, plan))
    server.on('checkContinue', (request, response) => handle(request, response, plan))
    server.on('session', session => {
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
      session.setTimeout(LIMITS.keepAliveMs, () => session.close())
      session.on('error', () => session.destroy())
    })
    server.on('sessionError', () => {})
    return server
  }

  #tlsServer() {
    const { contextFor, streamFor, stream, plan } = this.#parts
    const server = createTlsServer({
      ...{ ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', handshakeTimeout: LIMITS.handshakeMs },
      SNICallback: (name, done) => done(null, contextFor(plan.key, name)),
    })
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => socket.destroy())
      const name = (socket.servername || '').toLowerCase()
      const listener = streamFor(plan.key, name)
      if (listener !== null) return stream(socket, listener, name)
      const inner = socket.alpnProtocol === 'h2' ? this.#framed : this.#text
      inner.emit('connection', socket)
    })
    server.on('tlsClientError', (_error, socket) => socket.destroy())
    return server
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
    const take = () => (this.#tls === null ? this.#sniff(socket) : this.#takeSecure(socket, this.#tls))
    if (this.#parts.proxyProtocol) this.#readProxyHeader(socket, take)
    else take()
  }

  /** A connection that is passed on without being decrypted is known by what its first message asks for. */
  #takeSecure(socket: Socket, tls: Server): void {
    const { hasStreams, streamFor, stream, clock, plan } = this.#parts
    if (!hasStreams(plan.key)) return void tls.emit('connection', socket)
    peek(socket, clock, chunk => {
      const found = parseServerName(chunk)
      if (found === 'more') return null
      if (found === 'bad') return { rest: chunk, next: () => tls.emit('connection', socket) }
      const listener = streamFor(plan.key, found.name)
      if (listener === null || listener.terminates)
        return { rest: chunk, next: () => tls.emit('connection', socket) }
      return { rest: chunk, next: () => stream(socket, listener, found.name) }
    })
  }

  /** HTTP/2 without TLS begins with words that no other request has. */
  #sniff(socket: Socket): void {
    peek(socket, this.#parts.clock, chunk => {
      const length = Math.min(chunk.length, PREFACE.length)
      if (chunk.length < PREFACE.length && chunk.equals(PREFACE.subarray(0, length))) return null
      const isFramed = chunk.subarray(0, PREFACE.length).equals(PREFACE)
      return {
        rest: chunk,
        next: () => {
          if (isFramed) return void this.#framed.emit('connection', socket)
          this.#text.emit('connection', socket)
          socket.resume()
        },
      }
    })
  }

  #readProxyHeader(socket: Socket, take: () => void): void {
    const { told, clock } = this.#parts
    peek(socket, clock, chunk => {
      const header = parseProxyHeader(chunk)
      if (header === 'more' && chunk.length <= PROXY_BYTES_MAX) return null
      if (header === 'more' || header === 'bad') {
        socket.destroy()
        return { rest: Buffer.alloc(0), next: () => {} }
      }
      const key = `${socket.remoteAddress} ${socket.remotePort}`
      if (header.address !== '') {
        told.set(key, header.address)
        socket.once('close', () => told.delete(key))
      }
      return { rest: chunk.subarray(header.bytes), next: take }
    })
  }
}

function refuseClient(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : status
  socket.end(`HTTP/1.1 ${late}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

function listening(server: Server, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    const done = () => {
      server.off('error', reject)
      resolve()
    }
    if (address === '') server.listen(port, done)
    else server.listen(port, address, done)
  })
}
