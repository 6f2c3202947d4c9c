/** Large bodies as a stream of slices, so that a long answer is sent with backpressure. */
import { Buffer } from 'node:buffer'
import { Readable } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { BodySink } from '../../../client/transport.ts'

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

/** So much memory of slices is kept for later ones. */
const KEPT_SLICES_MAX = 16

/**
 * Slices that were sent are filled again: memory that is made anew for each of them has V8 search all of its memory
 * for garbage twice a second while lists are sent, which everybody else waits for.
 */
export class SliceMemory {
  readonly #free: Buffer[] = []

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(SLICE_BYTES)
  }

  give(slice: Buffer): void {
    if (this.#free.length < KEPT_SLICES_MAX) this.#free.push(slice)
  }
}

export interface PushParts {
  readonly memory: SliceMemory
  readonly turn: () => Promise<void>
  readonly sink: BodySink
  /** Nobody wants the rest. */
  readonly signal: AbortSignal | undefined
}

/** As `slices`, to a sink. */
export async function pushSlices(pieces: Iterable<Buffer>, parts: PushParts): Promise<void> {
  const { memory, turn, sink, signal } = parts
  let slice = memory.take()
  let bytes = 0
  const send = async (piece: Buffer, sent?: () => void) => {
    if (!sink.write(piece, sent)) await sink.drained()
    await turn()
  }
  const sendSlice = () => {
    const full = slice
    return send(full.subarray(0, bytes), () => memory.give(full))
  }
  await turn()
  for (const piece of pieces) {
    if (signal?.aborted) return
    if (piece.length === 0) await turn()
    if (bytes > 0 && bytes + piece.length > slice.length) {
      await sendSlice()
      slice = memory.take()
      bytes = 0
    }
    if (piece.length > slice.length) await send(piece)
    else bytes += piece.copy(slice, bytes)
  }
  if (bytes > 0) await sendSlice()
  else memory.give(slice)
}

/** The same bytes compressed with gzip on libuv's threads; level 1, because lists are large and alike. */
export function gzipped(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  return Readable.from(body, { objectMode: false }).pipe(createGzip({ level: 1 }))
}
