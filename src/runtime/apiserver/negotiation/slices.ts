/** Large bodies as a stream of slices, so that a long answer is sent with backpressure. */
import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'

/** Bodies above this size are streamed; slices are about so long. */
const SLICE_BYTES = 128 * 1024

/** Joins small pieces into slices. Waits for its turn before each slice and at pieces that are empty. */
export async function* slices(
  pieces: Iterable<Buffer>,
  turn: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  let waiting: Buffer[] = []
  let bytes = 0
  await turn()
  for (const piece of pieces) {
    if (piece.length === 0) await turn()
    waiting.push(piece)
    bytes += piece.length
    if (bytes < SLICE_BYTES) continue
    yield Buffer.concat(waiting, bytes)
    waiting = []
    bytes = 0
    await turn()
  }
  if (bytes > 0) yield Buffer.concat(waiting, bytes)
}

/** The same bytes compressed with gzip on libuv's threads; level 1, because lists are large and alike. */
export function gzipped(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return Readable.from(body, { objectMode: false }).pipe(createGzip({ level: 1 }))
}
