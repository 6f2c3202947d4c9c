/** The ports: HTTP, and HTTPS by the name that is asked for; in both HTTP/2 too, and the PROXY protocol on request. */
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
import { PROXY_BYTES_MAX, parseProxyHeader } from './proxy-protocol.ts'

export interface ListenersParts {
  /** Empty: every address. */
  readonly address: string
  readonly httpPort: number
  readonly httpsPort: number
  readonly proxyProtocol: boolean
  readonly handle: (
    request: IncomingMessage | Http2ServerRequest,
    response: ServerResponse | Http2ServerResponse,
    scheme: 'http' | 'https',
  ) => void
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer, scheme: 'http' | 'https') => void
  /** By the name of a handshake, which may be missing. */
  readonly contextFor: (name: string) => SecureContext
  readonly clock: Clock
}

export const LIMITS = {
  connections: 16_384,
  headerBytes: 32 * 1024,
  headersMs: 15_000,
  keepAliveMs: 75_000,
  handshakeMs: 10_000,
  /** Until the first byte of a connection. */
  firstByteMs: 30_000,
  streams: 128,
} as const

const PREFACE = Buffer.from('PRI * HTTP/2.0')
const DRAIN_MS = 10_000

export class Listeners {
  readonly #parts: ListenersParts
  readonly #text: Record<'http' | 'https', ReturnType<typeof createServer>>
  readonly #framed: Record<'http' | 'https', ReturnType<typeof createFramedServer>>
  readonly #tls: ReturnType<typeof createTlsServer>
  readonly #ports: Server[] = []
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<{ close(): void }>()
  /** The last request that began on a connection. */
  readonly #latest = new WeakMap<Duplex, IncomingMessage>()
  /** Told by the PROXY protocol, by the address and port of the proxy. */
  readonly #told = new Map<string, string>()

  constructor(parts: ListenersParts) {
    this.#parts = parts
    this.#text = { http: this.#textServer('http'), https: this.#textServer('https') }
    this.#framed = { http: this.#framedServer('http'), https: this.#framedServer('https') }
    this.#tls = createTlsServer({
      ...{ ALPNProtocols: ['h2', 'http/1.1'], minVersion: 'TLSv1.2', handshakeTimeout: LIMITS.handshakeMs },
      SNICallback: (name, done) => done(null, parts.contextFor(name)),
    })
    this.#tls.on('secureConnection', (socket: TLSSocket) => {
      socket.on('error', () => socket.destroy())
      const server = socket.alpnProtocol === 'h2' ? this.#framed.https : this.#text.https
      server.emit('connection', socket)
    })
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy())
  }

  /** Of those who say no name. */
  useDefault(certificate: string, key: string): void {
    this.#tls.setSecureContext({ cert: certificate, key, minVersion: 'TLSv1.2' })
  }

  /** Returns the ports. Throws when one is taken. */
  async open(): Promise<{ readonly http: number; readonly https: number }> {
    const { httpPort, httpsPort, address } = this.#parts
    const open = async (port: number, take: (socket: Socket) => void) => {
      const server = createTcpServer({ noDelay: true }, socket => this.#accept(socket, take))
      server.maxConnections = LIMITS.connections
      this.#ports.push(server)
      await listening(server, port, address)
      return (server.address() as AddressInfo).port
    }
    try {
      const http = await open(httpPort, socket => this.#sniff(socket))
      const https = await open(httpsPort, socket => this.#tls.emit('connection', socket))
      return { http, https }
    } catch (error) {
      for (const server of this.#ports.splice(0)) server.close()
      throw error
    }
  }

  addressOf(socket: Duplex): string {
    const { remoteAddress = '', remotePort = 0 } = socket as Socket
    return this.#told.get(`${remoteAddress} ${remotePort}`) ?? plainAddress(remoteAddress)
  }

  /** What is under way may end. */
  async close(): Promise<void> {
    for (const server of this.#ports) server.close()
    for (const server of Object.values(this.#text)) server.closeIdleConnections()
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

  #textServer(scheme: 'http' | 'https') {
    const { handle, upgrade } = this.#parts
    const server = createServer(
      {
        ...{ maxHeaderSize: LIMITS.headerBytes, headersTimeout: LIMITS.headersMs, requestTimeout: 0 },
        ...{ keepAliveTimeout: LIMITS.keepAliveMs, insecureHTTPParser: false, noDelay: true },
        shouldUpgradeCallback: ({ headers }) => headers.upgrade?.toLowerCase() === 'websocket',
      },
      (request, response) => {
        this.#latest.set(request.socket, request)
        handle(request, response, scheme)
      },
    )
    server.maxHeadersCount = 0
    server.on('checkContinue', (request, response) => handle(request, response, scheme))
    server.on('upgrade', (request, socket, head) => upgrade(request, socket, head, scheme))
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
      // What is wrong is in the body of a request which is being answered: two answers would be one too many.
      const isAnswered =
        this.#latest.get(socket)?.complete === false || error.code === 'HPE_CLOSED_CONNECTION'
      if (isAnswered) socket.end()
      else refuseClient(error, socket)
    })
    return server
  }

  #framedServer(scheme: 'http' | 'https') {
    const server = createFramedServer({
      settings: { maxConcurrentStreams: LIMITS.streams, maxHeaderListSize: LIMITS.headerBytes },
      maxSessionMemory: 16,
    })
    server.on('request', (request, response) => this.#parts.handle(request, response, scheme))
    server.on('checkContinue', (request, response) => this.#parts.handle(request, response, scheme))
    server.on('session', session => {
      this.#sessions.add(session)
      session.once('close', () => this.#sessions.delete(session))
      session.setTimeout(LIMITS.keepAliveMs, () => session.close())
      session.on('error', () => session.destroy())
    })
    server.on('sessionError', () => {})
    return server
  }

  #accept(socket: Socket, take: (socket: Socket) => void): void {
    this.#sockets.add(socket)
    socket.on('error', () => socket.destroy())
    socket.once('close', () => this.#sockets.delete(socket))
    if (this.#parts.proxyProtocol) this.#readProxyHeader(socket, take)
    else take(socket)
  }

  /** HTTP/2 without TLS begins with words that no other request has. */
  #sniff(socket: Socket): void {
    this.#peek(socket, chunk => {
      const length = Math.min(chunk.length, PREFACE.length)
      if (chunk.length < PREFACE.length && chunk.equals(PREFACE.subarray(0, length))) return null
      const isFramed = chunk.subarray(0, PREFACE.length).equals(PREFACE)
      return {
        rest: chunk,
        next: () => {
          if (isFramed) return void this.#framed.http.emit('connection', socket)
          this.#text.http.emit('connection', socket)
          socket.resume()
        },
      }
    })
  }

  #readProxyHeader(socket: Socket, take: (socket: Socket) => void): void {
    this.#peek(socket, chunk => {
      const header = parseProxyHeader(chunk)
      if (header === 'more' && chunk.length <= PROXY_BYTES_MAX) return null
      if (header === 'more' || header === 'bad') {
        socket.destroy()
        return { rest: Buffer.alloc(0), next: () => {} }
      }
      const key = `${socket.remoteAddress} ${socket.remotePort}`
      if (header.address !== '') {
        this.#told.set(key, header.address)
        socket.once('close', () => this.#told.delete(key))
      }
      return { rest: chunk.subarray(header.bytes), next: () => take(socket) }
    })
  }

  /** Looks at the first bytes until `look` knows what they are, and puts back what it leaves. */
  #peek(socket: Socket, look: (chunk: Buffer) => { rest: Buffer; next: () => void } | null): void {
    let gathered = Buffer.alloc(0)
    const timer = this.#parts.clock.after(LIMITS.firstByteMs, () => socket.destroy())
    const end = () => {
      timer.cancel()
      socket.off('data', take)
      socket.off('close', end)
      socket.off('end', ended)
    }
    const ended = () => socket.destroy()
    const take = (chunk: Buffer) => {
      gathered = Buffer.concat([gathered, chunk])
      const found = look(gathered)
      if (found === null) return
      end()
      socket.pause()
      if (found.rest.length > 0) socket.unshift(found.rest)
      found.next()
    }
    socket.on('data', take)
    socket.on('close', end)
    socket.on('end', ended)
    socket.resume()
  }
}

function refuseClient(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const status =
    error.code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : status
  socket.end(`HTTP/1.1 ${late}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

const plainAddress = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '')

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
