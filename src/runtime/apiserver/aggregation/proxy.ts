/**
 * Sends requests on to extension API servers over HTTPS: with the front proxy's certificate and, as headers, who the
 * user is. Bodies stream, and so do connections that leave HTTP behind.
 */
import type { OutgoingHttpHeaders } from 'node:http'
import { Agent } from 'node:https'
import { getCACertificates, rootCertificates } from 'node:tls'
import type { KubeRequest, KubeResponse } from '../../../client/transport.ts'
import { forward, passedOn } from '../streaming/forward.ts'
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
      return forward(request, {
        agent,
        ...endpoint,
        protocol: 'https:',
        servername: serverName,
        ca: service.ca ?? [...systemRoots()],
        rejectUnauthorized: !service.isInsecure,
        cert: credentials.certificate,
        key: credentials.key,
        path: request.path,
        headers: { ...headersFor(request, user), host: `${serverName}:${service.port}` },
      })
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
  const out: OutgoingHttpHeaders = passedOn(request)
  for (const name of Object.keys(out)) {
    if (name.startsWith('x-remote-') || name.startsWith('impersonate-')) delete out[name]
  }
  out['x-remote-user'] = user.username
  if (user.uid) out['x-remote-uid'] = user.uid
  if (user.groups.length > 0) out['x-remote-group'] = [...user.groups]
  for (const [key, values] of Object.entries(user.extra ?? {})) {
    out[`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`] = [...values]
  }
  return out
}
