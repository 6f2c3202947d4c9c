/**
 * What goes out on a connection: frames are gathered while a turn of the event loop lasts and written at once when
 * everything that was due in it is done.
 */
import type { Duplex } from 'node:stream'
import { FRAME_HEADER_BYTES, frameTypes, writeFrameHeader } from './frames.ts'

const ROOM_BYTES = 64 * 1024
/** Payloads of more bytes are not copied. */
const COPIED_BYTES_MAX = 8 * 1024
/** So much is written before the turn is over. */
const GATHERED_BYTES_MAX = 256 * 1024

export interface FrameStart {
  readonly type: number
  readonly flags?: number
  readonly stream?: number
}

export class Output {
  readonly #socket: Duplex
  #room = Buffer.alloc(0)
  /** Written to the socket already, and filled. */
  #start = 0
  #end = 0
  #parts: Buffer[] = []
  #bytes = 0
  #scheduled = false
  #blocked = false
  /** What was said while the client took nothing: everything but data, which waits in its stream then. */
  #unreadBytes = 0

  constructor(socket: Duplex) {
    this.#socket = socket
  }

  /** The client does not take as much as there is. */
  get blocked(): boolean {
    return this.#blocked
  }

  get unreadBytes(): number {
    return this.#unreadBytes
  }

  /** The client has taken what there was. */
  drained(): void {
    this.#blocked = false
    this.#unreadBytes = 0
  }

  /** A frame whose payload consists of these parts. */
  frame(start: FrameStart, first?: Buffer, second?: Buffer): void {
    const length = (first?.length ?? 0) + (second?.length ?? 0)
    this.#reserve(FRAME_HEADER_BYTES)
    writeFrameHeader(this.#room, this.#end, { ...start, length })
    this.#end += FRAME_HEADER_BYTES
    this.#bytes += FRAME_HEADER_BYTES + length
    if (this.#blocked && start.type !== frameTypes.data) this.#unreadBytes += FRAME_HEADER_BYTES + length
    if (first !== undefined) this.#append(first)
    if (second !== undefined) this.#append(second)
    if (this.#bytes > GATHERED_BYTES_MAX) this.flush()
    else this.#schedule()
  }

  flush(): void {
    this.#cut()
    const parts = this.#parts
    if (parts.length === 0 || this.#socket.destroyed) return
    this.#parts = []
    this.#bytes = 0
    if (parts.length > 1) this.#socket.cork()
    for (const part of parts) if (!this.#socket.write(part)) this.#blocked = true
    if (parts.length > 1) this.#socket.uncork()
  }

  #append(bytes: Buffer): void {
    if (bytes.length > COPIED_BYTES_MAX) {
      this.#cut()
      this.#parts.push(bytes)
      return
    }
    this.#reserve(bytes.length)
    this.#end += bytes.copy(this.#room, this.#end)
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#room.length) return
    this.#cut()
    this.#room = Buffer.allocUnsafeSlow(ROOM_BYTES)
    this.#start = 0
    this.#end = 0
  }

  #cut(): void {
    if (this.#end > this.#start) this.#parts.push(this.#room.subarray(this.#start, this.#end))
    this.#start = this.#end
  }

  /** Behind everything that is resolved in this turn. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    process.nextTick(() => {
      this.#scheduled = false
      this.flush()
    })
  }
}
