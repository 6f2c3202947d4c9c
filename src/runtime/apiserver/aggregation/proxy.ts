/**
 * Sends requests on to extension API servers over HTTPS: with the front proxy's certificate and, as headers, who the
 * user is. Bodies stream, and so do connections that leave HTTP behind.
 */
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { getCACertificates, rootCertificates } from 'node:tls'
import type { KubeRequest, KubeResponse } from '../../../client/transport.ts'
import type { UserInfo } from '../user.ts'
import type { ServiceEndpoint } from '../webhooks/service-endpoint.ts'
import type { RemoteService } from './api-services.ts'

export interface ProxyCredentials {
  readonly certificate: string
  readonly key: string
}

export interface Proxy {
  /** Rejects when there is no answer. */
  send(
    service: RemoteService,
    endpoint: ServiceEndpoint,
    user: UserInfo,
    request: KubeRequest,
  ): Promise<KubeResponse>
  useCredentials(credentials: ProxyCredentials): void
  close(): void
}

const SOCKETS_PER_HOST_MAX = 256
const IDLE_SOCKETS_MAX = 4
const KEEP_ALIVE_MS = 30_000
const HEADERS_TIMEOUT_MS = 60_000

/** Between two machines only, or told anew here. */
const NOT_PASSED_ON = new Set([
  'authorization',
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const NOT_PASSED_BACK = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade'])

export function createProxy(initial: ProxyCredentials): Proxy {
  let credentials = initial
  const agent = new Agent({
    keepAlive: true,
    keepAliveMsecs: KEEP_ALIVE_MS,
    maxSockets: SOCKETS_PER_HOST_MAX,
    maxFreeSockets: IDLE_SOCKETS_MAX,
  })
  return {
    send(service, endpoint, user, request) {
      const serverName = `${service.name}.${service.namespace}.svc`
      const query = request.query?.toString() ?? ''
      const { promise, resolve, reject } = Promise.withResolvers<KubeResponse>()
      const outgoing = httpsRequest({
        agent,
        ...endpoint,
        servername: serverName,
        ca: service.ca ?? [...systemRoots()],
        rejectUnauthorized: !service.isInsecure,
        cert: credentials.certificate,
        key: credentials.key,
        method: request.method,
        path: `${request.path}${query === '' ? '' : `?${query}`}`,
        headers: { ...headersFor(request, user), host: `${serverName}:${service.port}` },
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      })
      outgoing.once('response', message => {
        outgoing.setTimeout(0)
        resolve(responseOf(message))
      })
      outgoing.once('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (head.length > 0) socket.unshift(head)
        const { connection, upgrade } = message.headers
        const switched = { ...(connection ? { connection } : {}), ...(upgrade ? { upgrade } : {}) }
        resolve({
          ...responseOf(message),
          headers: { ...flat(message.headers), ...switched },
          upgraded: socket,
        })
      })
      outgoing.once('error', reject)
      outgoing.setTimeout(HEADERS_TIMEOUT_MS, () => outgoing.destroy(new Error('i/o timeout')))
      outgoing.end(request.body)
      return promise
    },
    useCredentials(next) {
      credentials = next
    },
    close: () => agent.destroy(),
  }
}

let roots: readonly string[] | undefined

function systemRoots(): readonly string[] {
  if (roots === undefined) {
    const own = getCACertificates('system')
    roots = own.length > 0 ? own : rootCertificates
  }
  return roots
}

/** What the client sent, without who it says it is, and with who it is. */
export function headersFor(request: KubeRequest, user: UserInfo): OutgoingHttpHeaders {
  const out: OutgoingHttpHeaders = {}
  const sent = request.headers ?? {}
  for (const [name, value] of Object.entries(sent)) {
    const isClaim = name.startsWith('x-remote-') || name.startsWith('impersonate-') || name.startsWith(':')
    if (!isClaim && !NOT_PASSED_ON.has(name)) out[name] = value
  }
  if (sent['upgrade'] !== undefined) Object.assign(out, { connection: 'Upgrade', upgrade: sent['upgrade'] })
  if (request.body !== undefined) out['content-length'] = request.body.byteLength
  out['x-remote-user'] = user.username
  if (user.uid) out['x-remote-uid'] = user.uid
  if (user.groups.length > 0) out['x-remote-group'] = [...user.groups]
  for (const [key, values] of Object.entries(user.extra ?? {})) {
    out[`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`] = [...values]
  }
  return out
}

function responseOf(message: IncomingMessage): KubeResponse {
  return { status: message.statusCode ?? 0, headers: flat(message.headers), body: piecesOf(message) }
}

async function* piecesOf(message: IncomingMessage): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of message) yield piece as Uint8Array
  } finally {
    message.destroy()
  }
}

function flat(headers: IncomingHttpHeaders): Record<string, string> {
  const out: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_PASSED_BACK.has(name)) continue
    out[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return out
}
