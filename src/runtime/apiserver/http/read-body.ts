/** Reads a request's body whole, within a size and a time. */
import type { Http2ServerRequest } from 'node:http2'
import type { Clock } from '../../../base/clock.ts'
import { requestEntityTooLarge, timeout } from '../../../kube/status.ts'

const BODY_BYTES_MAX = 3 * 1024 * 1024
const BODY_TIMEOUT_MS = 60_000
/**
 * A body that is too large is read on and thrown away up to this size: a client that is still sending would see a
 * broken connection rather than the answer.
 */
const DISCARDED_BYTES_MAX = 64 * 1024 * 1024

const tooLarge = () => requestEntityTooLarge(`limit is ${BODY_BYTES_MAX}`)

/** The body, null when there is none. Throws StatusError 413, or 504 when it does not come in time. */
export async function readBody(request: Http2ServerRequest, clock: Clock): Promise<Buffer | null> {
  if (request.method === 'GET' || request.method === 'HEAD') return null
  const announced = Number(request.headers['content-length'] ?? Number.NaN)
  if (announced > DISCARDED_BYTES_MAX) throw tooLarge()
  const body = await collect(request, clock)
  return body.length === 0 ? null : body
}

function collect(request: Http2ServerRequest, clock: Clock): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = []
    let bytes = 0
    const finish = (settle: () => void) => {
      timer.cancel()
      request.off('data', onData)
      request.off('end', onEnd)
      request.off('close', onClose)
      settle()
    }
    const onData = (piece: Buffer) => {
      bytes += piece.length
      if (bytes <= BODY_BYTES_MAX) pieces.push(piece)
      else pieces.length = 0
      if (bytes > DISCARDED_BYTES_MAX) finish(() => reject(tooLarge()))
    }
    const onEnd = () =>
      finish(() => (bytes > BODY_BYTES_MAX ? reject(tooLarge()) : resolve(Buffer.concat(pieces, bytes))))
    const onClose = () => finish(() => reject(timeout('the request ended before its body was read')))
    const timer = clock.after(BODY_TIMEOUT_MS, () =>
      finish(() => reject(timeout('the body of the request did not come in time'))),
    )
    request.on('data', onData)
    request.on('end', onEnd)
    request.on('close', onClose)
  })
}
