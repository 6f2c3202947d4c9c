/** Requests that leave HTTP behind: the API server answers, and then the bytes pass through to the kubelet. */
import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../base/clock.ts'
import type { KubeResponse } from '../../../client/transport.ts'
import { badRequest, statusErrorFrom, tooManyRequests } from '../../../kube/status.ts'
import type { ApiServer } from '../apiserver.ts'
import { errorResponse } from '../requests/respond.ts'
import { answerByMessages, wantsMessages } from '../streaming/websocket-answer.ts'
import type { ConnectionIdentity } from './connection-identity.ts'
import { flatHeaders, identifyRequest } from './incoming-request.ts'
import { tunnel } from './tunnel.ts'

/** Streams of all clients together. */
const TUNNELS_MAX = 1_000
const ANSWER_BYTES_MAX = 1024 * 1024
/** Browsers cannot send headers with a websocket: the token comes as the name of a protocol. */
const BEARER_PROTOCOL = 'base64url.bearer.authorization.k8s.io.'
const STREAMING_PATH = /^\/api\/v1\/namespaces\/[^/]+\/pods\/[^/]+\/(exec|attach|portforward)(\?|$)/
const PROXY_PATH = /^\/api\/v1\/(nodes|namespaces\/[^/]+\/(pods|services))\/[^/]+\/proxy([/?]|$)/

export interface UpgradeParts {
  readonly apiServer: ApiServer
  readonly identity: ConnectionIdentity
  readonly clock: Clock
}

/** Other requests that ask for an upgrade are answered as if they had not asked. */
export function wantsStream(request: IncomingMessage, apiServer: Pick<ApiServer, 'isRemote'>): boolean {
  const { url = '' } = request
  if (STREAMING_PATH.test(url) || PROXY_PATH.test(url) || wantsMessages(request)) return true
  return apiServer.isRemote(url.split('?')[0] ?? '')
}

/** The listener of a server's `upgrade` events. */
export function createUpgrades({ apiServer, identity, clock }: UpgradeParts) {
  let tunnels = 0
  const answer = async (request: IncomingMessage, signal: AbortSignal): Promise<KubeResponse> => {
    try {
      if (tunnels > TUNNELS_MAX) throw tooManyRequests('too many streams at a time')
      const headers = withBearer(flatHeaders(request))
      return await apiServer.handle(
        await identifyRequest(identity, request, headers, signal, apiServer.refused),
      )
    } catch (error) {
      return errorResponse(statusErrorFrom(error))
    }
  }
  return async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    tunnels += 1
    const gone = new AbortController()
    socket.on('error', () => {})
    socket.once('close', () => {
      tunnels -= 1
      gone.abort()
    })
    const response = await answer(request, gone.signal)
    if (socket.destroyed) {
      response.upgraded?.destroy()
      return
    }
    if (response.upgraded === undefined) {
      if (response.status !== 200 || !wantsMessages(request)) return refuse(socket, response)
      const offered = withBearer(flatHeaders(request))['sec-websocket-protocol'] ?? ''
      if (await answerByMessages({ request, socket, head, offered }, response)) return
      gone.abort()
      return refuse(socket, errorResponse(badRequest('no known protocol is offered')))
    }
    if (head.length > 0) socket.unshift(head)
    socket.write(headOf(response.status, response.headers))
    tunnel(socket, response.upgraded, (delayMs, callback) => clock.after(delayMs, callback))
  }
}

function headOf(status: number, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  return [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines, '', ''].join('\r\n')
}

async function refuse(socket: Duplex, response: KubeResponse): Promise<void> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  try {
    for await (const piece of response.body instanceof Uint8Array ? [response.body] : response.body) {
      bytes += piece.length
      if (bytes > ANSWER_BYTES_MAX) break
      pieces.push(piece)
    }
  } catch {
    // The kubelet broke off: what it said so far has to do.
  }
  const body = Buffer.concat(pieces)
  const { 'transfer-encoding': _chunked, ...headers } = response.headers
  const own = { ...headers, 'content-length': String(body.length), connection: 'close' }
  socket.write(headOf(response.status, own))
  socket.end(body)
}

function withBearer(headers: Record<string, string>): Record<string, string> {
  const names = (headers['sec-websocket-protocol'] ?? '').split(',').map(name => name.trim())
  const token = names.find(name => name.startsWith(BEARER_PROTOCOL))
  if (token === undefined) return headers
  const bearer = Buffer.from(token.slice(BEARER_PROTOCOL.length), 'base64url').toString('utf8')
  const rest = names.filter(name => name !== token).join(', ')
  return { authorization: `Bearer ${bearer}`, ...headers, 'sec-websocket-protocol': rest }
}
