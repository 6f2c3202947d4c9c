/** The part `dashboard`: on every server an HTTPS port with the page, which asks the API with its user's own token. */
import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { Mk8sError, systemCodeOf } from '../../../base/errors.ts'
import { HttpsTransport } from '../../../client/https-transport.ts'
import type { ParameterValues } from '../addon-object.ts'
import type { Part, PartContext, RunningPart } from '../part.ts'
import { takeLink } from './one-time-link.ts'
import { readPageFiles } from './page-files.ts'
import { Site } from './site.ts'

/** The API server of this node, and how it shows itself. */
export interface OwnApi {
  readonly url: string
  readonly tls: () => { readonly certificate: string; readonly key: string; readonly authority: string }
  /** Calls with other certificates in use; returns an unsubscribe. */
  readonly onChange: (listener: () => void) => () => void
}

const CONNECTIONS_MAX = 500
const HEADER_BYTES_MAX = 16 * 1024
const HEADER_PAIRS_MAX = 100
const STREAMS_PER_CONNECTION_MAX = 100
const HANDSHAKE_MS_MAX = 10_000
const IDLE_CONNECTION_MS = 120_000
/** For a whole request, with its body. */
const REQUEST_MS_MAX = 15_000

/** Workers have no API server to ask, so they have no page. */
export function dashboardPart(api: OwnApi | undefined): Part {
  return {
    name: 'dashboard',
    heeds: ['port'],
    async start(context, parameters) {
      if (api === undefined) return { health: () => ({ ok: true, reason: '' }), stop: async () => {} }
      return await serve(context, parameters, api)
    },
  }
}

async function serve(context: PartContext, { port }: ParameterValues, api: OwnApi): Promise<RunningPart> {
  const { client, clock, random, log } = context
  const transport = new HttpsTransport({ server: api.url, caPem: api.tls().authority })
  const site = new Site({
    ...{ files: readPageFiles(), transport, clock, random, log },
    takeLink: code => takeLink({ client, clock }, code),
  })
  const server = createListener(api)
  const sockets = new Set<Socket>()
  const connections = new Set<ServerHttp2Session>()
  server.on('session', connection => {
    connections.add(connection)
    // Its streams go on to their end.
    connection.setTimeout(IDLE_CONNECTION_MS, () => connection.close())
    connection.once('close', () => connections.delete(connection))
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('request', (request, response) => {
    void site.handle(request, response)
  })
  const unsubscribe = api.onChange(() => {
    server.setSecureContext(tlsOf(api))
    transport.useCertificates({ caPem: api.tls().authority })
  })
  const stop = async () => {
    unsubscribe()
    site.close()
    const { promise, resolve } = Promise.withResolvers<void>()
    server.close(() => resolve())
    for (const connection of connections) connection.destroy()
    for (const socket of sockets) socket.destroy()
    await promise
    transport.close()
  }
  try {
    await listen(server, context.nodeAddress, Number(port))
  } catch (error) {
    unsubscribe()
    transport.close()
    throw error
  }
  log.info('the dashboard is served', { port: (server.address() as AddressInfo).port })
  return { health: () => ({ ok: true, reason: '' }), stop }
}

function createListener(api: OwnApi): Http2SecureServer {
  const server = createSecureServer({
    ...tlsOf(api),
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: HANDSHAKE_MS_MAX,
    maxHeaderListPairs: HEADER_PAIRS_MAX,
    settings: {
      maxConcurrentStreams: STREAMS_PER_CONNECTION_MAX,
      maxHeaderListSize: HEADER_BYTES_MAX,
      enableConnectProtocol: false,
    },
    maxHeaderSize: HEADER_BYTES_MAX,
    requestTimeout: REQUEST_MS_MAX,
    headersTimeout: REQUEST_MS_MAX,
  } as Parameters<typeof createSecureServer>[0])
  server.maxConnections = CONNECTIONS_MAX
  // A connection that breaks is its client's affair.
  server.on('tlsClientError', () => {})
  server.on('sessionError', () => {})
  return server
}

function tlsOf(api: OwnApi): { cert: string; key: string } {
  const { certificate, key, authority } = api.tls()
  const separator = certificate.endsWith('\n') ? '' : '\n'
  return { cert: `${certificate}${separator}${authority}`, key }
}

function listen(server: Http2SecureServer, host: string, port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', error => {
    const isTaken = systemCodeOf(error) === 'EADDRINUSE'
    const more = { hint: 'mk8s enable dashboard --set port=PORT', cause: error }
    if (isTaken) reject(new Mk8sError('host/port-taken', `port ${port} of ${host} is in use`, more))
    else reject(error)
  })
  server.listen(port, host, () => {
    server.on('error', () => {})
    resolve()
  })
  return promise
}
