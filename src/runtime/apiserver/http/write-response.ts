/** Writes a KubeResponse to an HTTP response, slice by slice as fast as the client reads. */
import type { Http2ServerResponse } from 'node:http2'
import type { Socket } from 'node:net'
import type { BodySink, KubeResponse, PushedBody } from '../../../client/transport.ts'

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
  const { signal } = options
  const isChunked = http1.chunkedEncoding === true && http1.socket !== null
  const sink = isChunked ? chunkSink(http1.socket, signal) : plainSink(response, signal)
  await writeBody(answer.body as AsyncIterable<Uint8Array>, sink, signal)
  if (!signal.aborted) response.end()
}

async function writeBody(
  body: AsyncIterable<Uint8Array> | PushedBody,
  sink: BodySink,
  signal: AbortSignal,
): Promise<void> {
  if ('pushTo' in body) return body.pushTo(sink)
  for await (const piece of body) {
    if (signal.aborted) return
    if (!sink.write(piece)) await sink.drained()
  }
}

/** Of the HTTP/1.1 side. */
interface Http1Response {
  flushHeaders?(): void
  readonly chunkedEncoding?: boolean
  readonly socket: Socket | null
}

const plainSink = (response: Http2ServerResponse, signal: AbortSignal): BodySink => ({
  write: (piece, sent) => signal.aborted || response.write(piece, whenWritten(sent)),
  drained: () => drained(response as unknown as Drainable, signal),
})

/** Of a piece that could not be written nobody knows who still has it. */
const whenWritten = (sent: (() => void) | undefined) => (error?: Error | null) => {
  if (!error) sent?.()
}

/** A longer piece is not worth a copy in one chunk. */
const COPIED_BYTES_MAX = 16 * 1024

/**
 * Each piece is one chunk and one write: one TLS record and one system call. The response's own `write` would make
 * four writes of it, which cost an event that goes to a hundred watchers more than all the rest of its way.
 */
const chunkSink = (socket: Socket, signal: AbortSignal): BodySink => ({
  write(piece, sent) {
    if (signal.aborted || piece.length === 0) return true
    if (piece.length > COPIED_BYTES_MAX) return writeChunk(socket, piece, sent)
    const more = socket.write(chunkOf(piece))
    sent?.()
    return more
  },
  drained: () => drained(socket, signal),
})

function writeChunk(socket: Socket, piece: Uint8Array, sent: (() => void) | undefined): boolean {
  socket.cork()
  socket.write(chunkHead(piece))
  socket.write(piece, whenWritten(sent))
  const more = socket.write(CHUNK_END)
  socket.uncork()
  return more
}

const chunkHead = (piece: Uint8Array) => Buffer.from(`${piece.length.toString(16)}\r\n`, 'latin1')

const CHUNK_END = Buffer.from('\r\n')

/** Many watchers get the same piece, one after the other. */
let latest: { readonly piece: Uint8Array; readonly chunk: Buffer } | null = null

function chunkOf(piece: Uint8Array): Buffer {
  if (latest?.piece === piece) return latest.chunk
  const chunk = Buffer.concat([chunkHead(piece), piece, CHUNK_END])
  latest = { piece, chunk }
  return chunk
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
