/** Writes a KubeResponse to an HTTP response, slice by slice as fast as the client reads. */
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { KubeResponse } from '../../../client/transport.ts'

export interface WriteOptions {
  /** HEAD: headers only. */
  readonly isHead: boolean
  readonly extra: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

const HTTP_2_FORBIDDEN = new Set(['connection', 'keep-alive', 'transfer-encoding'])

/** Resolves when everything is handed over; throws what the body throws. */
export async function writeResponse(
  response: Http2ServerResponse,
  answer: KubeResponse,
  options: WriteOptions,
): Promise<void> {
  const whole = answer.body instanceof Uint8Array ? answer.body : null
  const headers: Record<string, string | number> = { ...answer.headers, ...options.extra }
  if (whole !== null) headers['content-length'] = whole.length
  if ((response.stream as unknown) !== undefined) {
    for (const name of HTTP_2_FORBIDDEN) delete headers[name]
  }
  response.writeHead(answer.status, headers)
  if (whole !== null || options.isHead) {
    if (options.isHead || whole === null) response.end()
    else response.end(whole)
    return
  }
  // HTTP/2 sends headers with writeHead; HTTP/1.1 would wait for the first piece.
  const http1 = response as unknown as Http1Response
  http1.flushHeaders?.()
  if (http1.chunkedEncoding === true && http1.socket !== null) {
    await writeChunks(http1.socket, answer.body as AsyncIterable<Uint8Array>, options.signal)
    if (!options.signal.aborted) response.end()
    return
  }
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
    if (options.signal.aborted) return
    if (!response.write(piece)) await drained(response as unknown as Drainable, options.signal)
  }
  response.end()
}

/** Of the HTTP/1.1 side. */
interface Http1Response {
  flushHeaders?(): void
  readonly chunkedEncoding?: boolean
  readonly socket: Socket | null
}

const CHUNK_END = Buffer.from('\r\n')

/**
 * Each piece is one chunk and one write: one TLS record and one system call. The response's own `write` would make
 * four writes of it, which cost an event that goes to a hundred watchers more than all the rest of its way.
 */
async function writeChunks(
  socket: Socket,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  for await (const piece of body) {
    if (signal.aborted) return
    if (piece.length === 0) continue
    const chunk = Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`, 'latin1'), piece, CHUNK_END])
    if (!socket.write(chunk)) await drained(socket, signal)
  }
}

type Drainable = Pick<Socket, 'on' | 'off'>

function drained(response: Drainable, signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      response.off('drain', done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    if (signal.aborted) return resolve()
    response.on('drain', done)
    signal.addEventListener('abort', done, { once: true })
  })
}
