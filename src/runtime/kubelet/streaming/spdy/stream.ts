/** One stream of a SPDY connection, as a Node Duplex: what is read came from the peer. */
import { Duplex } from 'node:stream'
import type { SpdyHeaders } from './header-block.ts'

/** What a stream keeps for a slow reader before the whole connection waits for it. */
const READ_BYTES_MAX = 256 * 1024
const WRITE_BYTES_MAX = 64 * 1024

/** What a stream asks of its connection. */
export interface StreamPort {
  sendData(data: Buffer, isFin: boolean, done: (error?: Error | null) => void): void
  sendReset(): void
  /** The reader took this many bytes. */
  consumed(bytes: number): void
}

export class SpdyStream extends Duplex {
  readonly id: number
  readonly headers: SpdyHeaders
  readonly #port: StreamPort
  #room: PromiseWithResolvers<void> | null = null
  #hasRead = false
  #isReset = false

  constructor(id: number, headers: SpdyHeaders, port: StreamPort) {
    super({
      readableHighWaterMark: READ_BYTES_MAX,
      writableHighWaterMark: WRITE_BYTES_MAX,
      allowHalfOpen: true,
    })
    this.id = id
    this.headers = headers
    this.#port = port
    this.on('error', () => {})
  }

  /** Resolves when there is room for more. */
  receive(data: Buffer, isFin: boolean): Promise<void> | undefined {
    if (this.destroyed || this.#hasRead) return undefined
    const isFull = data.length > 0 && !this.push(data)
    this.#port.consumed(data.length)
    if (isFin) {
      this.#hasRead = true
      this.push(null)
      return undefined
    }
    if (!isFull) return undefined
    this.#room ??= Promise.withResolvers<void>()
    return this.#room.promise
  }

  /** The peer gave it up. */
  wasReset(): void {
    this.#isReset = true
    this.destroy()
  }

  override _read(): void {
    this.#room?.resolve()
    this.#room = null
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#port.sendData(chunk, false, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#port.sendData(Buffer.alloc(0), true, done)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this._read()
    const isOver = this.#hasRead && this.writableFinished
    if (!isOver && !this.#isReset) this.#port.sendReset()
    done(error)
  }
}
