/** gRPC over HTTP/2, on a unix socket without TLS or on TCP with client certificates: listening, routing, closing. */
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { SecureContextOptions, TLSSocket } from 'node:tls'
import type { Clock } from '../../../base/clock.ts'
import { Call, type Method } from './call.ts'
import { GrpcError, grpcCodes } from './status.ts'

const STREAMS_PER_CONNECTION_MAX = 4_096
const CONNECTIONS_MAX = 512
const HEADER_BYTES_MAX = 64 * 1024
/** How much a client may send ahead, on one stream and on all of a connection. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024
/** Of HTTP/2's own bookkeeping per connection, in MiB; beyond it new streams are refused. */
const SESSION_MEMORY_MIB = 64
const HANDSHAKE_TIMEOUT_MS = 10_000
/** How long `close` lets calls end by themselves. */
const CLOSE_GRACE_MS = 500

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
  readonly #server: Http2Server
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #sockets = new Set<Socket>()
  /** Found out once per connection. */
  readonly #admitted = new WeakMap<object, boolean>()
  readonly #services: ReadonlySet<string>

  constructor(parts: GrpcServerParts) {
    this.#parts = parts
    this.#services = new Set([...parts.methods.keys()].map(path => path.split('/')[1] ?? ''))
    const settings = {
      maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: HEADER_BYTES_MAX,
    }
    const options = { settings, maxSessionMemory: SESSION_MEMORY_MIB }
    this.#server = parts.tls === undefined ? createServer(options) : secureServer(options, parts.tls)
    this.#server.on('connection', (socket: Socket) => this.#keepSocket(socket))
    this.#server.on('session', session => this.#keepSession(session))
    this.#server.on('stream', (stream, headers) => this.#serve(stream as ServerHttp2Stream, headers))
    // Broken handshakes, resets and malformed frames are the client's affair.
    this.#server.on('sessionError', () => {})
    this.#server.on('tlsClientError', () => {})
    const bounded = this.#server as unknown as { maxConnections: number }
    bounded.maxConnections = CONNECTIONS_MAX
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
    return this.#sessions.size
  }

  /** New connections get these from now on; without TLS there is nothing to renew. */
  useCertificates({ cert, key, clientCa: ca }: Pick<ServerTls, 'cert' | 'key' | 'clientCa'>): void {
    const secure = this.#server as unknown as { setSecureContext?(options: SecureContextOptions): void }
    secure.setSecureContext?.({ cert, key, ca, minVersion: 'TLSv1.2' })
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return
    const closed = new Promise<void>(resolve => this.#server.close(() => resolve()))
    for (const session of this.#sessions) session.close()
    const grace = this.#parts.clock.after(CLOSE_GRACE_MS, () => {
      for (const session of this.#sessions) session.destroy()
      for (const socket of this.#sockets) socket.destroy()
    })
    await closed
    grace.cancel()
  }

  #keepSocket(socket: Socket): void {
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    socket.on('error', () => {})
    socket.setNoDelay(true)
  }

  #keepSession(session: ServerHttp2Session): void {
    this.#sessions.add(session)
    session.once('close', () => this.#sessions.delete(session))
    session.on('error', () => {})
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES)
  }

  #serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const page = headers[':method'] === 'GET' ? this.#parts.pages.get(headers[':path'] ?? '') : undefined
    if (page !== undefined) {
      this.#servePage(stream, page)
      return
    }
    const type = headers['content-type'] ?? ''
    if (headers[':method'] !== 'POST' || !/^application\/grpc($|[+;])/.test(type)) {
      stream.on('error', () => {})
      stream.respond({ ':status': 415 }, { endStream: true })
      return
    }
    const { messageBytesMax, clock, toGrpcError } = this.#parts
    const call = new Call({ stream, headers, messageBytesMax, clock, toGrpcError })
    const path = headers[':path'] ?? ''
    const method = this.#parts.methods.get(path)
    if (!this.#admits(stream)) call.refuse(notAdmittedError())
    else if (method === undefined) call.refuse(this.#unknownError(path))
    else call.run(method)
  }

  #servePage(stream: ServerHttp2Stream, page: Page): void {
    stream.on('error', () => {})
    stream.resume()
    if (!this.#admits(stream)) {
      stream.respond({ ':status': 403 }, { endStream: true })
      return
    }
    const { type, body } = page()
    stream.respond({ ':status': 200, 'content-type': type })
    stream.end(body)
  }

  #admits(stream: ServerHttp2Stream): boolean {
    const { tls } = this.#parts
    if (tls === undefined) return true
    const { session } = stream
    if (session === undefined) return false
    const known = this.#admitted.get(session)
    if (known !== undefined) return known
    const { subject } = (session.socket as TLSSocket).getPeerCertificate()
    const admitted = subject !== undefined && tls.admits(subject as unknown as TlsSubject)
    this.#admitted.set(session, admitted)
    return admitted
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

function secureServer(options: object, { cert, key, clientCa }: ServerTls): Http2Server {
  return createSecureServer({
    ...options,
    cert,
    key,
    ca: clientCa,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
  }) as unknown as Http2Server
}
