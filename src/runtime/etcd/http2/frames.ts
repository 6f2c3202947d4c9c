/** HTTP/2's frames: `length u24 · type u8 · flags u8 · stream u32 · payload`. Source: RFC 9113, sections 4 and 6. */
import { Http2Error, http2Errors } from './errors.ts'

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const FRAME_HEADER_BYTES = 9
/** Of a payload, in both directions: what everybody has to accept. */
export const FRAME_BYTES_MAX = 16_384
export const WINDOW_BYTES_MAX = 2 ** 31 - 1
export const WINDOW_BYTES_DEFAULT = 65_535

export const frameTypes = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export const flags = { ack: 1, endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const

export const settings = { streamsMax: 3, streamWindow: 4, frameBytes: 5, headerBytes: 6 } as const

export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  /** A view of what came over the wire. */
  readonly payload: Buffer
}

export function writeFrameHeader(
  bytes: Buffer,
  offset: number,
  {
    type,
    flags: set = 0,
    stream = 0,
    length,
  }: { type: number; flags?: number; stream?: number; length: number },
): void {
  bytes.writeUIntBE(length, offset, 3)
  bytes[offset + 3] = type
  bytes[offset + 4] = set
  bytes.writeUInt32BE(stream, offset + 5)
}

/** Cuts what comes over the wire into frames; the client's preface comes first. */
export class FrameReader {
  #rest: Buffer | null = null
  #begun = false

  /** Calls `onFrame` for each frame that is whole, for as long as that returns true. Throws an Http2Error. */
  push(chunk: Buffer, onFrame: (frame: Frame) => boolean): void {
    const bytes = this.#rest === null ? chunk : Buffer.concat([this.#rest, chunk])
    let at = this.#begun ? 0 : this.#skipPreface(bytes)
    while (this.#begun && bytes.length - at >= FRAME_HEADER_BYTES) {
      const length = bytes.readUIntBE(at, 3)
      if (length > FRAME_BYTES_MAX) throw new Http2Error(http2Errors.frameSize, `a frame has ${length} bytes`)
      const start = at + FRAME_HEADER_BYTES
      if (bytes.length < start + length) break
      const frame = {
        type: bytes[at + 3] ?? 0,
        flags: bytes[at + 4] ?? 0,
        stream: bytes.readUInt32BE(at + 5) & 0x7fffffff,
        payload: bytes.subarray(start, start + length),
      }
      at = start + length
      if (!onFrame(frame)) return
    }
    this.#rest = at < bytes.length ? bytes.subarray(at) : null
  }

  #skipPreface(bytes: Buffer): number {
    const length = Math.min(bytes.length, PREFACE.length)
    if (PREFACE.compare(bytes, 0, length, 0, length) !== 0) {
      throw new Http2Error(http2Errors.protocol, 'the client does not speak HTTP/2')
    }
    this.#begun = length === PREFACE.length
    return this.#begun ? length : 0
  }
}

/** What a DATA or HEADERS frame carries, without padding and priority. */
export function contentOf({ type, flags: set, payload }: Frame): Buffer {
  let [start, end] = [0, payload.length]
  if (set & flags.padded) {
    end -= payload[0] ?? 0
    start = 1
  }
  if (type === frameTypes.headers && set & flags.priority) start += 5
  if (start > end) throw new Http2Error(http2Errors.protocol, 'a frame has more padding than content')
  return start === 0 && end === payload.length ? payload : payload.subarray(start, end)
}
