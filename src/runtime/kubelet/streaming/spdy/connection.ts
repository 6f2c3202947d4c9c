/**
 * A SPDY/3.1 connection over any byte stream, for both roles. Kubernetes' clients keep no flow-control windows, so
 * what is sent is held back by the byte stream alone; what is received is acknowledged for peers that do keep them.
 */
import type { Duplex } from 'node:stream'
import {
  DATA_BYTES_MAX,
  encodeControl,
  encodeDataHead,
  encodePair,
  encodeSynReply,
  encodeSynStream,
  FLAG_FIN,
  FRAME,
  type Frame,
  FrameParser,
  RESET,
} from './frames.ts'
import { HeaderDecoder, HeaderEncoder, type SpdyHeaders } from './header-block.ts'
import { SpdyStream } from './stream.ts'

/** Acknowledged together, so that small pieces do not double the frames. */
const WINDOW_STEP_BYTES = 32 * 1024
/** How long a peer that does not close is waited for, once everything is said. */
const CLOSE_MS = 5_000
/** Nothing more is taken in from a peer that reads nothing. */
const UNSENT_BYTES_MAX = 1024 * 1024

export interface SpdyConnectionParts {
  readonly socket: Duplex
  readonly role: 'client' | 'server'
  readonly streamsMax: number
  /** A stream that the peer opened. */
  readonly onStream?: (stream: SpdyStream) => void
  readonly after: (delayMs: number, callback: () => void) => { cancel(): void }
}

export class SpdyConnection {
  readonly #parts: SpdyConnectionParts
  readonly #streams = new Map<number, SpdyStream>()
  readonly #parser = new FrameParser()
  readonly #encoder = new HeaderEncoder()
  readonly #decoder = new HeaderDecoder()
  readonly #closed = Promise.withResolvers<void>()
  #nextId: number
  #sessionUnacknowledged = 0
  #isEnding = false

  constructor(parts: SpdyConnectionParts) {
    this.#parts = parts
    this.#nextId = parts.role === 'client' ? 1 : 2
    parts.socket.on('error', () => {})
    parts.socket.once('close', () => this.#onClose())
    void this.#receive()
  }

  /** Resolves when the connection is gone, for whatever reason. */
  get closed(): Promise<void> {
    return this.#closed.promise
  }

  open(headers: SpdyHeaders): SpdyStream {
    const id = this.#nextId
    this.#nextId += 2
    const stream = this.#makeStream(id, headers)
    this.#send(encodeSynStream(id, this.#encoder.encode(headers)))
    return stream
  }

  /** Says nothing more; what is written already still goes out, and what comes is dropped. */
  end(): void {
    if (this.#isEnding) return
    this.#isEnding = true
    const { socket, after } = this.#parts
    for (const stream of this.#streams.values()) stream.resume()
    socket.end()
    const timer = after(CLOSE_MS, () => socket.destroy())
    void this.closed.then(() => timer.cancel())
  }

  destroy(): void {
    this.#parts.socket.destroy()
  }

  async #receive(): Promise<void> {
    const { socket } = this.#parts
    try {
      for await (const chunk of socket) {
        for (const frame of this.#parser.push(chunk as Buffer)) await this.#onFrame(frame)
        if (socket.writableLength > UNSENT_BYTES_MAX) await this.#sent()
      }
      if (!socket.writableEnded) socket.end()
    } catch {
      // The peer has gone, or what it says is no SPDY.
      socket.destroy()
    }
  }

  async #onFrame(frame: Frame): Promise<void> {
    if (frame.kind === 'data') {
      const stream = this.#streams.get(frame.streamId)
      this.#acknowledgeSession(frame.data.length)
      if (this.#isEnding) return
      await stream?.receive(frame.data, frame.isFin)
      return
    }
    const { type, body, flags } = frame
    if (type === FRAME.synStream) return this.#onSynStream(body, flags)
    if (type === FRAME.synReply || type === FRAME.headers) return this.#onHeaders(body, flags)
    if (type === FRAME.reset && body.length >= 8) this.#streams.get(body.readUInt32BE(0))?.wasReset()
    if (type === FRAME.ping && body.length >= 4) this.#onPing(body)
    // SETTINGS, GOAWAY and WINDOW_UPDATE ask for nothing here: the byte stream's own pace decides.
  }

  async #onSynStream(body: Buffer, flags: number): Promise<void> {
    if (body.length < 10) throw new RangeError('a short SYN_STREAM')
    const id = body.readUInt32BE(0) & 0x7fff_ffff
    const headers = await this.#decoder.decode(body.subarray(10))
    if (headers === null) throw new RangeError('headers that cannot be read')
    const { onStream, streamsMax, role } = this.#parts
    const isTheirs = id % 2 === (role === 'server' ? 1 : 0)
    if (onStream === undefined || !isTheirs || this.#streams.has(id) || this.#streams.size >= streamsMax) {
      return this.#send(encodePair(FRAME.reset, id, RESET.refusedStream))
    }
    const stream = this.#makeStream(id, headers)
    this.#send(encodeSynReply(id, this.#encoder.encode(new Map())))
    if ((flags & FLAG_FIN) !== 0) void stream.receive(Buffer.alloc(0), true)
    onStream(stream)
  }

  /** Only their place in the compressed sequence matters, and the end that they may bring. */
  async #onHeaders(body: Buffer, flags: number): Promise<void> {
    if (body.length < 4) throw new RangeError('short headers')
    if ((await this.#decoder.decode(body.subarray(4))) === null) {
      throw new RangeError('headers that cannot be read')
    }
    if ((flags & FLAG_FIN) === 0) return
    await this.#streams.get(body.readUInt32BE(0) & 0x7fff_ffff)?.receive(Buffer.alloc(0), true)
  }

  /** The peer's own pings come back as they are; answers to ours there are none. */
  #onPing(body: Buffer): void {
    const isTheirs = body.readUInt32BE(0) % 2 === (this.#parts.role === 'server' ? 1 : 0)
    if (isTheirs) this.#send(encodeControl(FRAME.ping, 0, Buffer.from(body.subarray(0, 4))))
  }

  #makeStream(id: number, headers: SpdyHeaders): SpdyStream {
    let unacknowledged = 0
    const stream = new SpdyStream(id, headers, {
      sendData: (data, isFin, done) => this.#sendData(id, data, isFin, done),
      sendReset: () => this.#send(encodePair(FRAME.reset, id, RESET.cancel)),
      consumed: bytes => {
        unacknowledged += bytes
        if (unacknowledged < WINDOW_STEP_BYTES) return
        this.#send(encodePair(FRAME.windowUpdate, id, unacknowledged))
        unacknowledged = 0
      },
    })
    this.#streams.set(id, stream)
    stream.once('close', () => this.#streams.delete(id))
    return stream
  }

  #acknowledgeSession(bytes: number): void {
    this.#sessionUnacknowledged += bytes
    if (this.#sessionUnacknowledged < WINDOW_STEP_BYTES) return
    this.#send(encodePair(FRAME.windowUpdate, 0, this.#sessionUnacknowledged))
    this.#sessionUnacknowledged = 0
  }

  #sendData(id: number, data: Buffer, isFin: boolean, done: (error?: Error | null) => void): void {
    const { socket } = this.#parts
    if (!socket.writable) {
      done(new Error('the connection has ended'))
      return
    }
    if (data.length > DATA_BYTES_MAX) {
      const head = data.subarray(0, DATA_BYTES_MAX)
      this.#sendData(id, head, false, error => {
        if (error) done(error)
        else this.#sendData(id, data.subarray(DATA_BYTES_MAX), isFin, done)
      })
      return
    }
    socket.cork()
    socket.write(encodeDataHead(id, data.length, isFin))
    socket.write(data, done)
    socket.uncork()
  }

  #send(frame: Buffer): void {
    const { socket } = this.#parts
    if (socket.writable) socket.write(frame)
  }

  #sent(): Promise<void> {
    const { socket } = this.#parts
    return new Promise<void>(resolve => {
      socket.once('drain', resolve)
      void this.closed.then(resolve)
    })
  }

  #onClose(): void {
    for (const stream of this.#streams.values()) stream.wasReset()
    this.#decoder.close()
    this.#closed.resolve()
  }
}
