/** Writes a KubeResponse to an HTTP response, slice by slice as fast as the client reads. */
import type { Http2ServerResponse } from 'node:http2'
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
  const http1 = response as { flushHeaders?: () => void }
  http1.flushHeaders?.()
  for await (const piece of answer.body as AsyncIterable<Uint8Array>) {
    if (options.signal.aborted) return
    if (!response.write(piece)) await drained(response, options.signal)
  }
  response.end()
}

function drained(response: Http2ServerResponse, signal: AbortSignal): Promise<void> {
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
