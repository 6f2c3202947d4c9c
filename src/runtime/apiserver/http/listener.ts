/**
 * The HTTPS port: HTTP/1.1 and HTTP/2 over one TLS listener, client certificates, body limits, backpressure.
 * It knows no Kubernetes beyond "turn an HTTP exchange into a KubeRequest and back".
 */
import type { IncomingMessage } from 'node:http'
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { Socket } from 'node:net'
import type { Clock } from '../../../base/clock.ts'
import type { Health } from '../../../base/component.ts'
import { Mk8sError, systemCodeOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { statusErrorFrom } from '../../../kube/status.ts'
import type { ApiServer } from '../apiserver.ts'
import type { Authenticator } from '../ports.ts'
import { errorResponse } from '../requests/respond.ts'
import { type ConnectionIdentity, createConnectionIdentity } from './connection-identity.ts'
import { AUDIT_ID, auditId, flatHeaders, identifyRequest } from './incoming-request.ts'
import { readBody } from './read-body.ts'
import { createUpgrades, wantsStream } from './upgrade.ts'
import { writeResponse } from './write-response.ts'

/** How long `stop` waits for requests that are under way. */
const STOP_GRACE_MS = 5_000
const STOP_POLL_MS = 20
const HEADER_BYTES_MAX = 64 * 1024
const HEADER_PAIRS_MAX = 256
const STREAMS_PER_CONNECTION_MAX = 250
const CONNECTIONS_MAX = 10_000
/** How long an idle HTTP/1.1 connection, or one in the middle of its headers, is kept. */
const KEEP_ALIVE_MS = 90_000
/** A stalled TLS handshake is cut. */
const HANDSHAKE_TIMEOUT_MS = 10_000
const TLS_VERSION_MIN = 'TLSv1.2'

/** As `abort()` makes one: made once, because its stack costs more than much of a request. */
const GONE = new DOMException('This operation was aborted', 'AbortError')

export interface HttpsListenerParts {
  readonly apiServer: ApiServer
  readonly authenticator: Authenticator
  readonly host: string
  readonly port: number
  readonly tls: {
    readonly cert: string | Buffer
    readonly key: string | Buffer
    /** Authorities whose client certificates are believed. */
    readonly clientCa: string | Buffer
  }
  readonly clock: Clock
  readonly random: Pick<Random, 'uuid'>
  readonly log: Log
}

export interface HttpsListener {
  start(): Promise<void>
  /** Refuses new connections, lets requests end for a moment, then closes everything. */
  stop(): Promise<void>
  health(): Health
  /** New connections get these from now on. */
  useCertificates(tls: HttpsListenerParts['tls']): void
  /** The port in use: the one asked for, or the one the system chose for 0. */
  readonly port: number
}

export function createHttpsListener(parts: HttpsListenerParts): HttpsListener {
  const state = new ListenerState()
  const identity = createConnectionIdentity(parts.authenticator, parts.clock)
  const server = createSecureServer({
    key: parts.tls.key,
    cert: parts.tls.cert,
    ca: parts.tls.clientCa,
    requestCert: true,
    rejectUnauthorized: false,
    allowHTTP1: true,
    minVersion: TLS_VERSION_MIN,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    maxHeaderListPairs: HEADER_PAIRS_MAX,
    settings: {
      maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
      initialWindowSize: 1024 * 1024,
      maxHeaderListSize: HEADER_BYTES_MAX,
    },
  })
  server.maxConnections = CONNECTIONS_MAX
  configureHttp1(server, parts.apiServer)
  state.follow(server)
  server.on('request', (request, response) => {
    state.active += 1
    response.once('close', () => {
      state.active -= 1
    })
    void serve(parts, identity, state, request, response)
  })
  server.on('upgrade', createUpgrades({ apiServer: parts.apiServer, identity, clock: parts.clock }))
  return {
    start: () => listen(server, parts),
    stop: () => stopServer(server, state, parts.clock),
    health: () =>
      server.listening ? { ok: true, reason: '' } : { ok: false, reason: 'the API port is not open' },
    useCertificates: ({ cert, key, clientCa: ca }) =>
      server.setSecureContext({ cert, key, ca, minVersion: TLS_VERSION_MIN }),
    get port() {
      const address = server.address()
      return typeof address === 'object' && address !== null ? address.port : parts.port
    },
  }
}

interface Http1Settings {
  keepAliveTimeout: number
  headersTimeout: number
  maxHeaderSize: number
  shouldUpgradeCallback: (request: IncomingMessage) => boolean
}

/** Of the HTTP/1.1 side; its types do not show them on an HTTP/2 server. */
function configureHttp1(server: Http2SecureServer, apiServer: ApiServer): void {
  const http1 = server as unknown as Http1Settings
  http1.shouldUpgradeCallback = request => wantsStream(request, apiServer)
  http1.keepAliveTimeout = KEEP_ALIVE_MS
  http1.headersTimeout = KEEP_ALIVE_MS
  http1.maxHeaderSize = HEADER_BYTES_MAX
}

class ListenerState {
  readonly sockets = new Set<Socket>()
  readonly sessions = new Set<ServerHttp2Session>()
  active = 0
  stopping = false

  follow(server: Http2SecureServer): void {
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true)
      this.#keep(this.sockets, socket)
    })
    server.on('session', session => this.#keep(this.sessions, session))
    // Broken handshakes, resets and malformed frames are the client's affair.
    server.on('tlsClientError', () => {})
    server.on('sessionError', () => {})
    server.on('clientError', (_error: Error, socket: Socket) => socket.destroy())
  }

  #keep<T extends Socket | ServerHttp2Session>(set: Set<T>, one: T): void {
    set.add(one)
    one.once('close', () => set.delete(one))
    one.on('error', () => {})
  }
}

function listen(server: Http2SecureServer, parts: HttpsListenerParts): Promise<void> {
  return new Promise((resolve, reject) => {
    const onError = (error: Error) => reject(listenError(error, parts))
    server.once('error', onError)
    server.listen({ host: parts.host, port: parts.port, backlog: 511 }, () => {
      server.off('error', onError)
      server.on('error', error => parts.log.error('the API listener failed', { error }))
      resolve()
    })
  })
}

function listenError(error: Error, parts: HttpsListenerParts): Error {
  const where = `${parts.host}:${parts.port}`
  if (systemCodeOf(error) === 'EADDRINUSE') {
    return new Mk8sError('host/port-taken', `the API port ${where} is in use`, {
      hint: 'Stop the program that uses it, or install with another --bind-address or port.',
      fields: { host: parts.host, port: parts.port },
      cause: error,
    })
  }
  return new Mk8sError('host/unsupported', `the API port ${where} cannot be opened`, {
    why: error.message,
    cause: error,
  })
}

async function stopServer(server: Http2SecureServer, state: ListenerState, clock: Clock): Promise<void> {
  if (state.stopping) return
  state.stopping = true
  const closed = server.listening ? new Promise<void>(resolve => server.close(() => resolve())) : null
  for (const session of state.sessions) session.close()
  const deadline = clock.monotonic() + STOP_GRACE_MS
  while (state.active > 0 && clock.monotonic() < deadline) {
    await new Promise<void>(resolve => setTimeout(resolve, STOP_POLL_MS))
  }
  for (const session of state.sessions) session.destroy()
  for (const socket of state.sockets) socket.destroy()
  await closed
}

async function serve(
  parts: HttpsListenerParts,
  identity: ConnectionIdentity,
  state: ListenerState,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
): Promise<void> {
  const abort = new AbortController()
  response.once('close', () => abort.abort(GONE))
  response.on('error', () => abort.abort(GONE))
  request.on('error', () => abort.abort(GONE))
  const isHead = request.method === 'HEAD'
  const headers = flatHeaders(request)
  headers[AUDIT_ID] = auditId(headers[AUDIT_ID], parts.random)
  let answer: KubeResponse
  try {
    answer = await answerTo(parts, identity, request, headers, abort.signal)
  } catch (error) {
    if (abort.signal.aborted) return
    answer = errorResponse(statusErrorFrom(error))
  }
  const extra: Record<string, string> = { [AUDIT_ID]: headers[AUDIT_ID] }
  if (state.stopping && request.httpVersionMajor === 1) extra['connection'] = 'close'
  try {
    await writeResponse(response, answer, { isHead, extra, signal: abort.signal })
  } catch (error) {
    if (!abort.signal.aborted) parts.log.debug('a response broke off', { path: request.url, error })
    response.stream ? response.stream.close() : request.socket.destroy()
  }
}

async function answerTo(
  parts: HttpsListenerParts,
  identity: ConnectionIdentity,
  request: Http2ServerRequest,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<KubeResponse> {
  const incoming = await identifyRequest(identity, request, headers, signal, parts.apiServer.refused)
  const body = await readBody(request, parts.clock)
  return parts.apiServer.handle({ ...incoming, ...(body === null ? {} : { body }) })
}
