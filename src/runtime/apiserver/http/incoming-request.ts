/** A request as the HTTP library gives it, in the API server's words. */

import type { IncomingMessage } from 'node:http'
import type { Http2ServerRequest } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Random } from '../../../base/random.ts'
import { unauthorized } from '../../../kube/status.ts'
import type { ApiServer } from '../apiserver.ts'
import type { AuthenticatedRequest } from '../authenticated-request.ts'
import type { ConnectionIdentity } from './connection-identity.ts'

/** Throws 401 when the credentials are not valid. The body is not read. */
export async function identifyRequest(
  identity: ConnectionIdentity,
  request: Http2ServerRequest | IncomingMessage,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
  refused: ApiServer['refused'],
): Promise<AuthenticatedRequest> {
  const url = request.url ?? '/'
  const mark = url.indexOf('?')
  const path = mark < 0 ? url : url.slice(0, mark)
  const user = await identity.userOf(socketOf(request), headers['authorization'], path)
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1))
  const sourceAddress = () => socketOf(request).remoteAddress
  const incoming = { method: request.method ?? 'GET', path, query, headers, signal, sourceAddress }
  if (user !== null) return { ...incoming, user }
  refused(incoming)
  throw unauthorized()
}

function socketOf(request: Http2ServerRequest | IncomingMessage): TLSSocket {
  const stream =
    'stream' in request ? (request.stream as Http2ServerRequest['stream'] | undefined) : undefined
  return (stream?.session?.socket ?? request.socket) as TLSSocket
}

/** The name under which a request is in the audit log, and is answered. */
export const AUDIT_ID = 'audit-id'
const AUDIT_ID_MAX = 64

/** That of the client, or one of our own. */
export const auditId = (given: string | undefined, random: Pick<Random, 'uuid'>): string =>
  given ? given.slice(0, AUDIT_ID_MAX) : random.uuid()

export function flatHeaders(request: Http2ServerRequest | IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(':')) continue
    if (name.startsWith('impersonate-')) headers[name] = linesOf(request, name)
    else headers[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return headers
}

/** Names of users and groups may have commas in them: each header of the name is a line. */
function linesOf({ rawHeaders }: Http2ServerRequest | IncomingMessage, name: string): string {
  const isOfName = (at: number) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name
  return rawHeaders.filter((_, at) => isOfName(at)).join('\n')
}
