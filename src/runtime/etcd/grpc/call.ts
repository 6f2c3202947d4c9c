/** One gRPC call on an HTTP/2 stream: its messages in order, one answer or many, and exactly one status at the end. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { Clock, Timer } from '../../../base/clock.ts'
import { WireError } from '../../../base/wire-reader.ts'
import { WireWriter } from '../../../base/wire-writer.ts'
import { MESSAGE_PREFIX_BYTES, MessageReader } from './message-reader.ts'
import { encodeGrpcMessage, GrpcError, grpcCodes, parseGrpcTimeout } from './status.ts'

/** Messages of one stream that wait for the one before them; then the stream is not read any more. */
const WAITING_MESSAGES_MAX = 32
/** Timers take at most so much. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

const HEADERS = { ':status': 200, 'content-type': 'application/grpc' } as const
const OK_TRAILERS = { 'grpc-status': '0' } as const

/** A method with one request and one answer. */
export type UnaryMethod = (request: Buffer) => Promise<WireWriter> | WireWriter

export interface StreamHandler {
  /** The next message waits until the promise is settled. */
  onMessage(request: Buffer): void | Promise<void>
  /** The call is over, whoever ended it. */
  onClosed(): void
}

/** What a streaming method has of its call. */
export interface StreamCall {
  send(message: WireWriter): void
  /** Ends the call after everything that was sent. */
  end(error?: GrpcError): void
  /** Bytes that the client has yet to take. */
  readonly unsentBytes: number
  /** Calls `listener` each time the client has taken everything. */
  onDrain(listener: () => void): void
}

export type StreamMethod = (call: StreamCall) => StreamHandler

export type Method =
  | { readonly kind: 'unary'; readonly handle: UnaryMethod }
  | { readonly kind: 'stream'; readonly open: StreamMethod }

/** A writer for an answer, with room for the prefix of its frame. */
export function newMessage(capacity?: number): WireWriter {
  return new WireWriter(MESSAGE_PREFIX_BYTES, capacity)
}

function frameOf(message: WireWriter): Buffer {
  const bytes = message.finish()
  bytes[0] = 0
  bytes.writeUInt32BE(bytes.length - MESSAGE_PREFIX_BYTES, 1)
  return bytes
}

export interface CallParts {
  readonly stream: ServerHttp2Stream
  readonly headers: IncomingHttpHeaders
  readonly messageBytesMax: number
  readonly clock: Clock
  /** Turns what a method threw into what the client is told. */
  readonly toGrpcError: (error: unknown) => GrpcError
}

export class Call implements StreamCall {
  readonly #parts: CallParts
  readonly #reader: MessageReader
  #deadline: Timer | null = null
  #ended = false
  #waiting: Buffer[] = []
  #busy = false
  #inputEnded = false

  constructor(parts: CallParts) {
    this.#parts = parts
    this.#reader = new MessageReader(parts.messageBytesMax)
    // A reset is the client's affair; 'close' follows in any case.
    parts.stream.on('error', () => {})
    parts.stream.on('end', () => {
      this.#inputEnded = true
    })
  }

  /** Ends the call with this error and nothing else. */
  refuse(error: GrpcError): void {
    this.#parts.stream.resume()
    this.end(error)
  }

  run(method: Method): void {
    this.#armDeadline()
    if (method.kind === 'unary') this.#runUnary(method.handle)
    else this.#runStream(method.open)
  }

  get unsentBytes(): number {
    return this.#parts.stream.writableLength
  }

  onDrain(listener: () => void): void {
    this.#parts.stream.on('drain', listener)
  }

  send(message: WireWriter): void {
    const { stream } = this.#parts
    if (this.#ended || stream.destroyed) return
    this.#respond()
    stream.write(frameOf(message))
  }

  end(error?: GrpcError): void {
    const { stream } = this.#parts
    if (this.#ended) return
    this.#ended = true
    this.#deadline?.cancel()
    if (stream.destroyed) return
    const status = error === undefined ? OK_TRAILERS : trailersOf(error)
    if (!stream.headersSent) {
      stream.respond({ ...HEADERS, ...status }, { endStream: true })
      this.#hangUp()
    } else {
      this.#sendTrailersAtEnd(status)
      stream.end()
    }
  }

  #sendTrailersAtEnd(trailers: Record<string, string>): void {
    const { stream } = this.#parts
    stream.once('wantTrailers', () => {
      stream.sendTrailers(trailers)
      this.#hangUp()
    })
  }

  /** A client that has more to say is told that nobody listens any more. */
  #hangUp(): void {
    const { stream } = this.#parts
    if (this.#inputEnded) return
    setImmediate(() => {
      if (!this.#inputEnded && !stream.closed) stream.close(constants.NGHTTP2_NO_ERROR)
    })
  }

  #respond(): void {
    const { stream } = this.#parts
    if (!stream.headersSent) stream.respond(HEADERS, { waitForTrailers: true })
  }

  #runUnary(handle: UnaryMethod): void {
    const { stream } = this.#parts
    let started = false
    stream.on('data', (chunk: Buffer) => {
      if (started) return
      const [request] = this.#messages(chunk)
      if (request === undefined) return
      started = true
      void this.#answer(handle, request)
    })
    stream.on('end', () => {
      if (!started) this.end(new GrpcError(grpcCodes.internal, 'unexpected EOF'))
    })
  }

  async #answer(handle: UnaryMethod, request: Buffer): Promise<void> {
    try {
      const answered = handle(request)
      const message = answered instanceof Promise ? await answered : answered
      this.#finish(message)
    } catch (error) {
      this.end(this.#describe(error))
    }
  }

  /** The one answer of a unary call: headers, message and status in one go. */
  #finish(message: WireWriter): void {
    const { stream } = this.#parts
    if (this.#ended) return
    this.#ended = true
    this.#deadline?.cancel()
    if (stream.destroyed) return
    this.#sendTrailersAtEnd(OK_TRAILERS)
    stream.respond(HEADERS, { waitForTrailers: true })
    stream.end(frameOf(message))
  }

  #runStream(open: StreamMethod): void {
    const { stream } = this.#parts
    const handler = open(this)
    stream.on('data', (chunk: Buffer) => {
      this.#waiting.push(...this.#messages(chunk))
      if (this.#waiting.length > WAITING_MESSAGES_MAX) stream.pause()
      void this.#work(handler)
    })
    stream.on('end', () => void this.#work(handler))
    stream.on('close', () => {
      this.#ended = true
      this.#deadline?.cancel()
      handler.onClosed()
    })
    // Clients wait for the headers before they count the stream as open.
    this.#respond()
  }

  async #work(handler: StreamHandler): Promise<void> {
    if (this.#busy) return
    this.#busy = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        if (this.#ended) return
        await handler.onMessage(next)
      }
      if (this.#inputEnded) {
        this.end(this.#reader.isPartial ? new GrpcError(grpcCodes.internal, 'unexpected EOF') : undefined)
      }
    } catch (error) {
      this.end(this.#describe(error))
    } finally {
      this.#busy = false
      this.#parts.stream.resume()
    }
  }

  #messages(chunk: Buffer): Buffer[] {
    if (this.#ended) return []
    try {
      return this.#reader.push(chunk)
    } catch (error) {
      this.end(this.#describe(error))
      return []
    }
  }

  #describe(error: unknown): GrpcError {
    if (error instanceof GrpcError) return error
    if (error instanceof WireError) {
      const message = `grpc: failed to unmarshal the received message: ${error.message}`
      return new GrpcError(grpcCodes.internal, message)
    }
    return this.#parts.toGrpcError(error)
  }

  #armDeadline(): void {
    const { headers, clock, stream } = this.#parts
    const text = headers['grpc-timeout']
    if (typeof text !== 'string') return
    const timeoutMs = parseGrpcTimeout(text)
    if (timeoutMs === null || timeoutMs > TIMEOUT_MS_MAX) return
    stream.once('close', () => this.#deadline?.cancel())
    this.#deadline = clock.after(timeoutMs, () => {
      this.end(new GrpcError(grpcCodes.deadlineExceeded, 'context deadline exceeded'))
    })
  }
}

function trailersOf(error: GrpcError): Record<string, string> {
  return { 'grpc-status': String(error.code), 'grpc-message': encodeGrpcMessage(error.message) }
}
