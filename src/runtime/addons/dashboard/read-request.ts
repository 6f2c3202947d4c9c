/** Reads the body of a request: so large, and so late, at most. */
import type { Http2ServerRequest } from 'node:http2'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import { readBounded } from '../../../base/read-bounded.ts'

const BODY_MS_MAX = 10_000

export async function readRequest(
  request: Http2ServerRequest,
  bytesMax: number,
  clock: Clock,
): Promise<Buffer> {
  const timer = clock.after(BODY_MS_MAX, () => request.destroy())
  try {
    return await readBounded(
      request,
      bytesMax,
      () => new Mk8sError('store/too-large', 'the request is too large'),
    )
  } finally {
    timer.cancel()
  }
}
