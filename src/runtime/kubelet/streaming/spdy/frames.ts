/** Frames of SPDY/3.1 as bytes: pure, whatever the pieces they come in. */

export const FRAME = {
  synStream: 1,
  synReply: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const

export const RESET = { protocolError: 1, invalidStream: 2, refusedStream: 3, cancel: 5 } as const

export const FLAG_FIN = 1

const VERSION = 3
const HEAD_BYTES = 8
/** Data is passed on in pieces, but a control frame is kept whole. */
const CONTROL_BYTES_MAX = 64 * 1024
export const DATA_BYTES_MAX = 0xff_ffff

export interface ControlFrame {
  readonly kind: 'control'
  readonly type: number
  readonly flags: number
  readonly body: Buffer
}

/** A piece of a data frame; `isFin` belongs to its last piece. */
export interface DataPiece {
  readonly kind: 'data'
  readonly streamId: number
  readonly data: Buffer
  readonly isFin: boolean
}

export type Frame = ControlFrame | DataPiece

export function encodeControl(type: number, flags: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt16BE(0x8000 | VERSION, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt32BE(((flags << 24) | body.length) >>> 0, 4)
  return Buffer.concat([head, body])
}

/** The head of a data frame, which the data follows. */
export function encodeDataHead(streamId: number, length: number, isFin: boolean): Buffer {
  const head = Buffer.alloc(HEAD_BYTES)
  head.writeUInt32BE(streamId & 0x7fff_ffff, 0)
  head.writeUInt32BE((((isFin ? FLAG_FIN : 0) << 24) | length) >>> 0, 4)
  return head
}

/** A body of two numbers, as RST_STREAM, GOAWAY and WINDOW_UPDATE have it. */
export function encodePair(type: number, first: number, second: number): Buffer {
  const body = Buffer.alloc(8)
  body.writeUInt32BE(first, 0)
  body.writeUInt32BE(second, 4)
  return encodeControl(type, 0, body)
}

export function encodeSynStream(streamId: number, block: Buffer): Buffer {
  const head = Buffer.alloc(10)
  head.writeUInt32BE(streamId, 0)
  return encodeControl(FRAME.synStream, 0, Buffer.concat([head, block]))
}

export function encodeSynReply(streamId: number, block: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32BE(streamId, 0)
  return encodeControl(FRAME.synReply, 0, Buffer.concat([head, block]))
}

/** Cuts what comes into frames; keeps at most one control frame that is not whole yet. */
export class FrameParser {
  #rest: Buffer = Buffer.alloc(0)
  #streamId = 0
  #dataLeft = 0
  #isFin = false
  #isInData = false

  /** The frames that are whole now. Throws RangeError when the bytes are not SPDY/3. */
  push(chunk: Buffer): Frame[] {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const frames: Frame[] = []
    for (;;) {
      const before = data
      data = this.#isInData ? this.#takeData(data, frames) : this.#takeFrame(data, frames)
      if (data === before) break
    }
    this.#rest = data.length === 0 ? Buffer.alloc(0) : Buffer.from(data)
    return frames
  }

  /** What is left; the same buffer when nothing could be taken. */
  #takeFrame(data: Buffer, frames: Frame[]): Buffer {
    if (data.length < HEAD_BYTES) return data
    const length = data.readUInt32BE(4) & DATA_BYTES_MAX
    const flags = data.readUInt8(4)
    const first = data.readUInt32BE(0)
    if ((first & 0x8000_0000) === 0) {
      this.#streamId = first
      this.#dataLeft = length
      this.#isFin = (flags & FLAG_FIN) !== 0
      this.#isInData = true
      return data.subarray(HEAD_BYTES)
    }
    if (((first >>> 16) & 0x7fff) !== VERSION) throw new RangeError('not SPDY/3.1')
    if (length > CONTROL_BYTES_MAX) throw new RangeError(`a control frame of ${length} bytes`)
    if (data.length < HEAD_BYTES + length) return data
    const body = data.subarray(HEAD_BYTES, HEAD_BYTES + length)
    frames.push({ kind: 'control', type: first & 0xffff, flags, body })
    return data.subarray(HEAD_BYTES + length)
  }

  #takeData(data: Buffer, frames: Frame[]): Buffer {
    if (data.length === 0 && this.#dataLeft > 0) return data
    const piece = data.subarray(0, this.#dataLeft)
    this.#dataLeft -= piece.length
    const isLast = this.#dataLeft === 0
    this.#isInData = !isLast
    const isFin = this.#isFin && isLast
    if (piece.length > 0 || isFin) {
      frames.push({ kind: 'data', streamId: this.#streamId, data: piece, isFin })
    }
    // Never the same buffer: the state has moved on even when an empty frame took no byte.
    return data.subarray(piece.length)
  }
}
