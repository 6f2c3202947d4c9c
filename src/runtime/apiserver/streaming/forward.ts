/**
 * Sends a request on to another HTTP server, which is not the client's to choose freely: bodies stream, and so do
 * connections that leave HTTP behind.
 */
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import type { Duplex } from 'node:stream'
import type { KubeRequest, KubeResponse } from '../../../client/transport.ts'

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

/** `path` is without the query; TLS options are for `https:` only. Rejects when there is no answer. */
export interface Destination extends RequestOptions {
  readonly protocol: 'http:' | 'https:'
  readonly path: string
  readonly headers: OutgoingHttpHeaders
}

export function forward(request: KubeRequest, destination: Destination): Promise<KubeResponse> {
  const query = request.query?.toString() ?? ''
  const { promise, resolve, reject } = Promise.withResolvers<KubeResponse>()
  const send = destination.protocol === 'https:' ? httpsRequest : httpRequest
  const outgoing = send({
    ...destination,
    method: request.method,
    path: `${destination.path}${query === '' ? '' : `?${query}`}`,
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  })
  outgoing.once('response', message => {
    outgoing.setTimeout(0)
    resolve(responseOf(message))
  })
  outgoing.once('upgrade', (message: IncomingMessage, socket: Duplex, head: Buffer) => {
    outgoing.setTimeout(0)
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
}

/** The client's headers, without its credentials and what concerns its own connection only. */
export function passedOn({ headers = {}, body }: KubeRequest): OutgoingHttpHeaders {
  const out: OutgoingHttpHeaders = {}
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(':') && !NOT_PASSED_ON.has(name)) out[name] = value
  }
  if (headers['upgrade'] !== undefined)
    Object.assign(out, { connection: 'Upgrade', upgrade: headers['upgrade'] })
  if (body !== undefined) out['content-length'] = body.byteLength
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
