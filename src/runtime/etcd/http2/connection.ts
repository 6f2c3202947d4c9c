/**
 * HTTP/2 on one socket, the server's side of it and only what gRPC needs: no push, no priorities, no table of
 * headers of our own. An answer costs no event, no stream object of Node's and no turn of the event loop, which is
 * what node:http2 takes most of its time for. Source: RFC 9113.
 */
import type { Duplex } from 'node:stream'
import type { Clock } from '../../../base/clock.ts'
import { Http2Error, http2Errors } from './errors.ts'
import {
  contentOf,
  FRAME_BYTES_MAX,
  type Frame,
  FrameReader,
  flags,
  frameTypes,
  settings,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from './frames.ts'
import { HeaderDecoder } from './hpack.ts'
import { LateFrames } from './late-frames.ts'
import { Output } from './output.ts'
import { ServerStream, type StreamPort } from './stream.ts'

const STREAMS_MAX = 4_096
const HEADER_BYTES_MAX = 64 * 1024
const CONTINUATIONS_MAX = 64
/** How much a client may send ahead, on one stream and on all of a connection. */
const STREAM_WINDOW_BYTES = 1024 * 1024
const CONNECTION_WINDOW_BYTES = 8 * 1024 * 1024
/** A client may take back so many requests at once, and so many per second in the long run. */
const RESETS_MAX = 1_000
const RESETS_PER_SECOND = 50
/** Answers to pings, refusals, headers: what a client that does not read may leave lying. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024
/** How long a client that broke the rules may take to read why its connection ends. */
const FAREWELL_MS = 1_000
/** What it may go on sending meanwhile, so that it is not cut off by what was on its way. */
const FAREWELL_BYTES_MAX = CONNECTION_WINDOW_BYTES

export interface ConnectionParts {
  readonly socket: Duplex
  readonly clock: Clock
  /** Gives the stream its listener. */
  readonly onStream: (stream: ServerStream) => void
}

export class Connection implements StreamPort {
  readonly #parts: ConnectionParts
  readonly #output: Output
  readonly #reader = new FrameReader()
  readonly #headers = new HeaderDecoder(HEADER_BYTES_MAX)
  readonly #streams = new Map<number, ServerStream>()
  readonly #waiting = new Set<ServerStream>()
  readonly #late = new LateFrames(STREAM_WINDOW_BYTES)
  /** A block of headers that is not whole yet. */
  #block: { readonly frame: Frame; readonly parts: Buffer[]; bytes: number } | null = null
  #lastStream = 0
  #window = WINDOW_BYTES_DEFAULT
  #streamWindow = WINDOW_BYTES_DEFAULT
  #ungranted = 0
  #resets = { left: RESETS_MAX, at: 0 }
  #goingAway = false
  #over = false
  /** Bytes that came although the connection is over. */
  #afterEnd = 0

  constructor(parts: ConnectionParts) {
    this.#parts = parts
    this.#output = new Output(parts.socket)
    const { socket } = parts
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('drain', () => this.#drained())
    socket.on('end', () => socket.end())
    socket.on('close', () => this.#end())
    this.#output.frame({ type: frameTypes.settings }, ownSettings)
    this.#grant(0, CONNECTION_WINDOW_BYTES - WINDOW_BYTES_DEFAULT)
  }

  get socket(): Duplex {
    return this.#parts.socket
  }

  /** No new requests; the connection ends with the last one under way. */
  close(): void {
    if (this.#over || this.#goingAway) return
    this.#goAway(http2Errors.none)
    this.#maybeHangUp()
  }

  // ── what streams ask for ───────────────────────────────────────────────────────────────────────────

  get sendable(): number {
    return this.#output.blocked ? 0 : this.#window
  }

  sendHeaders(stream: number, block: Buffer, end: boolean): void {
    const set = end ? flags.endHeaders | flags.endStream : flags.endHeaders
    this.#output.frame({ type: frameTypes.headers, flags: set, stream }, block)
  }

  sendData(stream: number, bytes: Buffer): void {
    this.#window -= bytes.length
    for (let at = 0; at < bytes.length; at += FRAME_BYTES_MAX) {
      const part = bytes.length <= FRAME_BYTES_MAX ? bytes : bytes.subarray(at, at + FRAME_BYTES_MAX)
      this.#output.frame({ type: frameTypes.data, stream }, part)
    }
  }

  sendEnd(stream: number): void {
    this.#output.frame({ type: frameTypes.data, flags: flags.endStream, stream })
  }

  grant(stream: number, bytes: number): void {
    this.#grant(stream, bytes)
  }

  wait(stream: ServerStream): void {
    this.#waiting.add(stream)
  }

  outputEnded(stream: ServerStream): void {
    if (stream.inputEnded) this.#closeStream(stream)
    // The end of the request may be on its way; a client that has more to say is told that nobody listens.
    else setImmediate(() => stream.hangUp())
  }

  reset(stream: ServerStream): void {
    this.#resetStream(stream.id, http2Errors.none)
    this.#closeStream(stream)
  }

  // ── what the client sends ──────────────────────────────────────────────────────────────────────────

  #receive(chunk: Buffer): void {
    if (this.#over) {
      this.#afterEnd += chunk.length
      if (this.#afterEnd > FAREWELL_BYTES_MAX) this.#parts.socket.destroy()
      return
    }
    try {
      this.#reader.push(chunk, frame => {
        this.#onFrame(frame)
        if (this.#output.unreadBytes > UNREAD_BYTES_MAX) {
          throw new Http2Error(http2Errors.enhanceYourCalm, 'the client does not read')
        }
        return !this.#over
      })
    } catch (error) {
      if (!(error instanceof Http2Error)) throw error
      this.#fail(error)
    }
  }

  #onFrame(frame: Frame): void {
    if (this.#block !== null) {
      this.#onContinuation(frame)
      return
    }
    switch (frame.type) {
      case frameTypes.data:
        this.#onData(frame)
        return
      case frameTypes.headers:
        this.#onHeaders(frame)
        return
      case frameTypes.windowUpdate:
        this.#onWindowUpdate(frame)
        return
      case frameTypes.resetStream:
        this.#onReset(frame)
        return
      case frameTypes.settings:
        this.#onSettings(frame)
        return
      case frameTypes.ping:
        this.#onPing(frame)
        return
      case frameTypes.pushPromise:
      case frameTypes.continuation:
        throw protocolError('a frame has no place here')
    }
    // What remains says how important streams are, that the client goes away, or is for future versions.
  }

  #onData(frame: Frame): void {
    const { length } = frame.payload
    this.#ungranted += length
    if (this.#ungranted > CONNECTION_WINDOW_BYTES / 2) {
      this.#grant(0, this.#ungranted)
      this.#ungranted = 0
    }
    const stream = this.#streams.get(frame.stream)
    if (stream === undefined || stream.inputEnded) {
      this.#expectKnown(frame.stream)
      this.#late.take(frame.stream, length)
      return
    }
    const content = contentOf(frame)
    const ends = (frame.flags & flags.endStream) !== 0
    if (ends) stream.inputEnded = true
    if (content.length > 0) stream.listener.onData(content)
    stream.consumed(length, STREAM_WINDOW_BYTES / 2)
    if (stream.ungranted > STREAM_WINDOW_BYTES) throw windowError()
    if (ends) this.#inputEnded(stream)
  }

  #inputEnded(stream: ServerStream): void {
    stream.inputEnded = true
    if (stream.outputEnded) this.#closeStream(stream)
    else stream.listener.onEnd()
  }

  #onHeaders(frame: Frame): void {
    const content = contentOf(frame)
    if (frame.flags & flags.endHeaders) this.#onBlock(frame, content)
    else this.#block = { frame, parts: [Buffer.from(content)], bytes: content.length }
  }

  #onContinuation({ type, stream, flags: set, payload }: Frame): void {
    const block = this.#block
    if (block === null) return
    if (type !== frameTypes.continuation || stream !== block.frame.stream) {
      throw protocolError('the rest of the headers is missing')
    }
    block.parts.push(Buffer.from(payload))
    block.bytes += payload.length
    if (block.bytes > HEADER_BYTES_MAX || block.parts.length > CONTINUATIONS_MAX) {
      throw new Http2Error(http2Errors.enhanceYourCalm, 'too many headers')
    }
    if ((set & flags.endHeaders) === 0) return
    this.#block = null
    this.#onBlock(block.frame, Buffer.concat(block.parts))
  }

  #onBlock({ stream: id, flags: set }: Frame, block: Buffer): void {
    const headers = this.#headers.decode(block)
    const ends = (set & flags.endStream) !== 0
    if (id <= this.#lastStream) {
      // Trailers say nothing in gRPC's requests.
      const stream = this.#streams.get(id)
      if (stream === undefined || stream.inputEnded) this.#late.take(id, 0)
      else if (ends) this.#inputEnded(stream)
      return
    }
    if (id % 2 === 0) throw protocolError('a client opens streams with odd numbers')
    this.#lastStream = id
    if (this.#goingAway || this.#streams.size >= STREAMS_MAX) {
      this.#resetStream(id, http2Errors.refusedStream)
      return
    }
    if (!headers.has(':method') || !headers.has(':path')) {
      this.#resetStream(id, http2Errors.protocol)
      return
    }
    const stream = new ServerStream(this, { id, headers, window: this.#streamWindow })
    this.#streams.set(id, stream)
    stream.inputEnded = ends
    this.#parts.onStream(stream)
    if (ends && !stream.closed) this.#inputEnded(stream)
  }

  #onWindowUpdate({ stream: id, payload }: Frame): void {
    expectLength(payload, 4)
    const bytes = payload.readUInt32BE(0) & WINDOW_BYTES_MAX
    if (bytes === 0) throw protocolError('a window grows by nothing')
    if (id === 0) {
      this.#window += bytes
      if (this.#window > WINDOW_BYTES_MAX) throw windowError()
      this.#pumpAll()
      return
    }
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      this.#expectKnown(id)
      return
    }
    stream.window += bytes
    if (stream.window > WINDOW_BYTES_MAX) throw windowError()
    if (this.#waiting.delete(stream)) stream.pump()
  }

  #onReset({ stream: id, payload }: Frame): void {
    expectLength(payload, 4)
    const stream = this.#streams.get(id)
    if (stream === undefined) {
      this.#expectKnown(id)
      return
    }
    const now = this.#parts.clock.monotonic()
    const earned = ((now - this.#resets.at) * RESETS_PER_SECOND) / 1_000
    this.#resets = { left: Math.min(RESETS_MAX, this.#resets.left + earned) - 1, at: now }
    if (this.#resets.left < 0) throw new Http2Error(http2Errors.enhanceYourCalm, 'too many resets')
    this.#closeStream(stream)
  }

  #onSettings({ flags: set, payload }: Frame): void {
    if (set & flags.ack) return
    if (payload.length % 6 !== 0) throw new Http2Error(http2Errors.frameSize, 'settings are cut off')
    for (let at = 0; at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === settings.streamWindow)
        this.#resizeWindows(payload.readUInt32BE(at + 2))
    }
    this.#output.frame({ type: frameTypes.settings, flags: flags.ack })
  }

  #resizeWindows(bytes: number): void {
    if (bytes > WINDOW_BYTES_MAX) throw windowError()
    const more = bytes - this.#streamWindow
    this.#streamWindow = bytes
    for (const stream of this.#streams.values()) stream.window += more
    this.#pumpAll()
  }

  #onPing({ flags: set, payload }: Frame): void {
    expectLength(payload, 8)
    if ((set & flags.ack) === 0) this.#output.frame({ type: frameTypes.ping, flags: flags.ack }, payload)
  }

  // ── the connection's own ───────────────────────────────────────────────────────────────────────────

  #drained(): void {
    this.#output.drained()
    this.#pumpAll()
  }

  #pumpAll(): void {
    if (this.sendable <= 0) return
    for (const stream of [...this.#waiting]) {
      this.#waiting.delete(stream)
      stream.pump()
    }
  }

  #grant(stream: number, bytes: number): void {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(bytes)
    this.#output.frame({ type: frameTypes.windowUpdate, stream }, payload)
  }

  #expectKnown(id: number): void {
    if (id === 0 || id > this.#lastStream) throw protocolError(`stream ${id} has not begun`)
  }

  #resetStream(stream: number, code: number): void {
    const payload = Buffer.allocUnsafe(4)
    payload.writeUInt32BE(code)
    this.#output.frame({ type: frameTypes.resetStream, stream }, payload)
  }

  #closeStream(stream: ServerStream): void {
    if (stream.closed) return
    stream.closed = true
    this.#streams.delete(stream.id)
    this.#waiting.delete(stream)
    stream.listener.onClosed()
    this.#maybeHangUp()
  }

  #maybeHangUp(): void {
    if (!this.#goingAway || this.#streams.size > 0 || this.#over) return
    this.#output.flush()
    this.#parts.socket.end()
  }

  #fail(error: Http2Error): void {
    this.#goAway(error.code)
    this.#output.flush()
    const { socket, clock } = this.#parts
    socket.end()
    socket.resume()
    const farewell = clock.after(FAREWELL_MS, () => socket.destroy())
    socket.once('close', () => farewell.cancel())
    this.#end()
  }

  #goAway(code: number): void {
    this.#goingAway = true
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(this.#lastStream, 0)
    payload.writeUInt32BE(code, 4)
    this.#output.frame({ type: frameTypes.goAway }, payload)
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    for (const stream of [...this.#streams.values()]) this.#closeStream(stream)
  }
}

const ownSettings = encodeSettings([
  [settings.streamsMax, STREAMS_MAX],
  [settings.streamWindow, STREAM_WINDOW_BYTES],
  [settings.headerBytes, HEADER_BYTES_MAX],
])

function encodeSettings(pairs: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(6 * pairs.length)
  for (const [index, [name, value]] of pairs.entries()) {
    bytes.writeUInt16BE(name, 6 * index)
    bytes.writeUInt32BE(value, 6 * index + 2)
  }
  return bytes
}

function expectLength(payload: Buffer, length: number): void {
  if (payload.length !== length) throw new Http2Error(http2Errors.frameSize, 'a frame has the wrong size')
}

const protocolError = (message: string): Http2Error => new Http2Error(http2Errors.protocol, message)
const windowError = (): Http2Error => new Http2Error(http2Errors.flowControl, 'a window is too large')
