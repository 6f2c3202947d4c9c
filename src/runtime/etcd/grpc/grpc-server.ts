/** gRPC over HTTP/2, on a unix socket without TLS or on TCP with client certificates: listening, routing, closing. */
import { createServer, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type TLSSocket, Server as TlsServer } from 'node:tls'
import type { Clock } from '../../../base/clock.ts'
import { Connection } from '../http2/connection.ts'
import { encodeHeaders } from '../http2/hpack.ts'
import type { ServerStream } from '../http2/stream.ts'
import { Call, type Method } from './call.ts'
import { GrpcError, grpcCodes } from './status.ts'

const CONNECTIONS_MAX = 512
const HANDSHAKE_TIMEOUT_MS = 10_000
/** Clients whose host is gone are noticed some time after so much silence. */
const KEEP_ALIVE_MS = 60_000
/** How long `close` lets calls end by themselves. */
const CLOSE_GRACE_MS = 500

const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }

export interface ServerTls {
  readonly cert: string
  readonly key: string
  /** Clients need a certificate of this authority. */
  readonly clientCa: string
  /** Whether the client with this certificate may do anything. */
  readonly admits: (subject: TlsSubject) => boolean
}

/** Of a client certificate; a part that occurs several times is a list. */
export type TlsSubject = Readonly<Record<string, string | readonly string[] | undefined>>

export type Page = () => { readonly type: string; readonly body: string }

export interface GrpcServerParts {
  /** By path: `/package.Service/Method`. */
  readonly methods: ReadonlyMap<string, Method>
  /** Pages of text for GET, by path. */
  readonly pages: ReadonlyMap<string, Page>
  readonly messageBytesMax: number
  readonly clock: Clock
  readonly toGrpcError: (error: unknown) => GrpcError
  readonly tls?: ServerTls
}

export class GrpcServer {
  readonly #parts: GrpcServerParts
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  readonly #sockets = new Set<Socket>()
  readonly #services: ReadonlySet<string>

  constructor(parts: GrpcServerParts) {
    this.#parts = parts
    this.#services = new Set([...parts.methods.keys()].map(path => path.split('/')[1] ?? ''))
    const { tls } = parts
    if (tls === undefined) {
      this.#server = createServer(socketOptions, socket => this.#keepConnection(socket, true))
    } else {
      this.#server = secureServer(tls, socket => {
        const { subject } = socket.getPeerCertificate()
        this.#keepConnection(socket, subject !== undefined && tls.admits(subject as unknown as TlsSubject))
      })
    }
    this.#server.on('connection', (socket: Socket) => this.#keepSocket(socket))
    // Broken handshakes are the client's affair.
    this.#server.on('tlsClientError', () => {})
    this.#server.maxConnections = CONNECTIONS_MAX
  }

  /** Rejects with the system's error. */
  listen(where: { readonly path: string } | { readonly host: string; readonly port: number }): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(where, () => {
        this.#server.off('error', reject)
        resolve()
      })
    })
  }

  /** The TCP port in use. */
  get port(): number {
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  get connections(): number {
    return this.#connections.size
  }

  /** New connections get these from now on; without TLS there is nothing to renew. */
  useCertificates({ cert, key, clientCa: ca }: Pick<ServerTls, 'cert' | 'key' | 'clientCa'>): void {
    if (this.#server instanceof TlsServer)
      this.#server.setSecureContext({ cert, key, ca, minVersion: 'TLSv1.2' })
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const connection of this.#connections) connection.close()
    const grace = this.#parts.clock.after(CLOSE_GRACE_MS, () => {
      for (const socket of this.#sockets) socket.destroy()
    })
    await closed
    grace.cancel()
  }

  #keepSocket(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
  }

  #keepConnection(socket: Duplex, admitted: boolean): void {
    const connection = new Connection({
      socket,
      clock: this.#parts.clock,
      onStream: stream => this.#serve(stream, admitted),
    })
    this.#connections.add(connection)
    socket.once('close', () => this.#connections.delete(connection))
    socket.on('error', () => {})
  }

  #serve(stream: ServerStream, admitted: boolean): void {
    const { headers } = stream
    const path = headers.get(':path') ?? ''
    const page = headers.get(':method') === 'GET' ? this.#parts.pages.get(path) : undefined
    if (page !== undefined) {
      servePage(stream, admitted ? page : null)
      return
    }
    const type = headers.get('content-type') ?? ''
    if (headers.get(':method') !== 'POST' || !/^application\/grpc($|[+;])/.test(type)) {
      stream.respond(encodeHeaders({ ':status': '415' }), { end: true })
      return
    }
    const { messageBytesMax, clock, toGrpcError } = this.#parts
    const call = new Call({ stream, messageBytesMax, clock, toGrpcError })
    const method = this.#parts.methods.get(path)
    if (!admitted) call.end(notAdmittedError())
    else if (method === undefined) call.end(this.#unknownError(path))
    else call.run(method)
  }

  #unknownError(path: string): GrpcError {
    const [, service = '', method] = path.split('/')
    if (method === undefined) {
      return new GrpcError(grpcCodes.unimplemented, `malformed method name: ${JSON.stringify(path)}`)
    }
    const why = this.#services.has(service)
      ? `unknown method ${method} for service ${service}`
      : `unknown service ${service}`
    return new GrpcError(grpcCodes.unimplemented, why)
  }
}

function notAdmittedError(): GrpcError {
  return new GrpcError(grpcCodes.permissionDenied, 'etcdserver: permission denied')
}

function servePage(stream: ServerStream, page: Page | null): void {
  if (page === null) {
    stream.respond(encodeHeaders({ ':status': '403' }), { end: true })
    return
  }
  const { type, body } = page()
  stream.respond(encodeHeaders({ ':status': '200', 'content-type': type }), { end: false })
  stream.end(Buffer.from(body))
}

function secureServer({ cert, key, clientCa }: ServerTls, onSocket: (socket: TLSSocket) => void): Server {
  const options = {
    cert,
    key,
    ca: clientCa,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['h2'],
    ...socketOptions,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  } as const
  return createTlsServer(options, onSocket)
}
