/**
 * Answers that go as messages of a websocket, for clients that cannot read a body while it comes: logs of pods, and
 * watches, one message per event.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { KubeResponse } from '../../../client/transport.ts'

const LOG_PATH = /^\/api\/v1\/namespaces\/[^/]+\/pods\/[^/]+\/log(\?|$)/
const WATCH_PATH = /^\/apis?\/[^?]*\?(.*&)?watch=(1|true)(&|$)/
const LINE_END = 0x0a
/** Clients have nothing to say here. */
const MESSAGE_BYTES_MAX = 4 * 1024
const BASE64 = 'base64.binary.k8s.io'
/** As logs may be called for; the first one offered counts. Watches take any name. */
const LOG_PROTOCOLS: readonly string[] = ['', 'binary.k8s.io', BASE64]

/** An event of a watch has no longer line than the largest object. */
const EVENT_BYTES_MAX = 16 * 1024 * 1024

export function wantsMessages({ url = '', method, headers }: IncomingMessage): boolean {
  if (method !== 'GET' || headers.upgrade?.toLowerCase() !== 'websocket') return false
  return LOG_PATH.test(url) || WATCH_PATH.test(url)
}

const chosen = new WeakMap<IncomingMessage, string>()
const server = new WebSocketServer({
  ...{ noServer: true, clientTracking: false, perMessageDeflate: false },
  maxPayload: MESSAGE_BYTES_MAX,
})
server.on('headers', (headers, request) => {
  const protocol = chosen.get(request) ?? ''
  if (protocol !== '') headers.push(`Sec-WebSocket-Protocol: ${protocol}`)
})

export interface MessageClient {
  readonly request: IncomingMessage
  readonly socket: Duplex
  readonly head: Buffer
  /** What it offers; without the one that carries its token. */
  readonly offered: string
}

/** False when it offers no protocol that this answer has; nothing is said then. */
export async function answerByMessages(client: MessageClient, response: KubeResponse): Promise<boolean> {
  const { request, socket, head } = client
  const isLog = LOG_PATH.test(request.url ?? '')
  const names = client.offered.split(',').map(name => name.trim())
  const protocol = isLog ? names.find(name => LOG_PROTOCOLS.includes(name)) : names[0]
  if (protocol === undefined) return false
  chosen.set(request, protocol)
  // Names of Kubernetes' protocols hold characters that the library would refuse.
  delete request.headers['sec-websocket-protocol']
  server.handleUpgrade(request, socket, head, websocket => {
    websocket.on('error', () => websocket.terminate())
    const pieces = piecesOf(response)
    void send(websocket, isLog ? logMessages(pieces, protocol) : eventMessages(pieces))
  })
  return true
}

function piecesOf({ body }: KubeResponse): AsyncIterable<Uint8Array> | Iterable<Uint8Array> {
  return body instanceof Uint8Array ? [body] : body
}

async function* logMessages(pieces: ReturnType<typeof piecesOf>, protocol: string) {
  // As upstream: a message without content says that the answer begins.
  yield protocol === BASE64 ? '' : Buffer.alloc(0)
  for await (const piece of pieces) {
    if (piece.length > 0) yield protocol === BASE64 ? Buffer.from(piece).toString('base64') : piece
  }
}

async function* eventMessages(pieces: ReturnType<typeof piecesOf>) {
  let rest: Uint8Array = new Uint8Array()
  for await (const piece of pieces) {
    rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
    for (let end = rest.indexOf(LINE_END); end >= 0; end = rest.indexOf(LINE_END)) {
      yield Buffer.from(rest.subarray(0, end)).toString('utf8')
      rest = rest.subarray(end + 1)
    }
    if (rest.length > EVENT_BYTES_MAX) return
  }
}

/** One after the other, none before the client has taken the one before. */
async function send(websocket: WebSocket, messages: AsyncIterable<string | Uint8Array>): Promise<void> {
  try {
    for await (const message of messages) {
      if (websocket.readyState !== websocket.OPEN) return
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      websocket.send(message, error => (error ? reject(error) : resolve()))
      await promise
    }
    websocket.close(1000)
  } catch {
    // The client is gone, or the answer broke off: both end here.
    websocket.close(1011)
  }
}
