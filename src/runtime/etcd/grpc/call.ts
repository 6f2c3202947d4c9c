/** One gRPC call on an HTTP/2 stream: its messages in order, one answer or many, and exactly one status at the end. */
import type { Clock, Timer } from '../../../base/clock.ts'
import { WireError } from '../../../base/wire-reader.ts'
import { WireWriter } from '../../../base/wire-writer.ts'
import { encodeHeaders } from '../http2/hpack.ts'
import type { ServerStream } from '../http2/stream.ts'
import { MESSAGE_PREFIX_BYTES, MessageReader } from './message-reader.ts'
import { encodeGrpcMessage, GrpcError, grpcCodes, parseGrpcTimeout } from './status.ts'

/** Messages of one stream that wait for the one before them; then the stream is not read any more. */
const WAITING_MESSAGES_MAX = 32
/** While so many bytes of answers wait for the client, its messages wait too. */
const UNSENT_BYTES_MAX = 4 * 1024 * 1024
/** Timers take at most so much. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1

/** A message in an error is cut behind so many characters, because headers have to fit into one frame. */
const ERROR_MESSAGE_MAX = 2_048

const HEADERS = { ':status': '200', 'content-type': 'application/grpc' } as const
const OK_TRAILERS = { 'grpc-status': '0' } as const
const HEADER_BLOCK = encodeHeaders(HEADERS)
const OK_TRAILER_BLOCK = encodeHeaders(OK_TRAILERS)

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
  readonly stream: ServerStream
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
  #onDrain: () => void = () => {}

  constructor(parts: CallParts) {
    this.#parts = parts
    this.#reader = new MessageReader(parts.messageBytesMax)
  }

  run(method: Method): void {
    this.#armDeadline()
    if (method.kind === 'unary') this.#runUnary(method.handle)
    else this.#runStream(method.open)
  }

  get unsentBytes(): number {
    return this.#parts.stream.unsentBytes
  }

  onDrain(listener: () => void): void {
    this.#onDrain = listener
  }

  send(message: WireWriter): void {
    if (this.#ended) return
    this.#parts.stream.respond(HEADER_BLOCK, { end: false })
    this.#parts.stream.write(frameOf(message))
  }

  /** Ends the call with this status behind everything that was sent. */
  end(error?: GrpcError): void {
    if (this.#ended) return
    this.#close()
    const { stream } = this.#parts
    const status = error === undefined ? OK_TRAILERS : trailersOf(error)
    if (stream.answered) stream.end(null, encodeHeaders(status))
    else stream.respond(encodeHeaders({ ...HEADERS, ...status }), { end: true })
  }

  #close(): void {
    this.#ended = true
    this.#deadline?.cancel()
  }

  #runUnary(handle: UnaryMethod): void {
    let started = false
    this.#parts.stream.listener = {
      onData: chunk => {
        if (started) return
        const [request] = this.#messages(chunk)
        if (request === undefined) return
        started = true
        void this.#answer(handle, request)
      },
      onEnd: () => {
        if (!started) this.end(new GrpcError(grpcCodes.internal, 'unexpected EOF'))
      },
      onDrain() {},
      onClosed: () => this.#close(),
    }
  }

  /** The one answer of a unary call. */
  async #answer(handle: UnaryMethod, request: Buffer): Promise<void> {
    try {
      const answered = handle(request)
      const message = answered instanceof Promise ? await answered : answered
      if (this.#ended) return
      this.#close()
      const { stream } = this.#parts
      stream.respond(HEADER_BLOCK, { end: false })
      stream.end(frameOf(message), OK_TRAILER_BLOCK)
    } catch (error) {
      this.end(this.#describe(error))
    }
  }

  #runStream(open: StreamMethod): void {
    const { stream } = this.#parts
    const handler = open(this)
    stream.listener = {
      onData: chunk => {
        this.#waiting.push(...this.#messages(chunk))
        if (this.#waiting.length > WAITING_MESSAGES_MAX) stream.pause()
        void this.#work(handler)
      },
      onEnd: () => void this.#work(handler),
      onDrain: () => {
        this.#onDrain()
        void this.#work(handler)
      },
      onClosed: () => {
        this.#close()
        handler.onClosed()
      },
    }
    // Clients wait for the headers before they count the stream as open.
    stream.respond(HEADER_BLOCK, { end: false })
  }

  async #work(handler: StreamHandler): Promise<void> {
    if (this.#busy || this.unsentBytes > UNSENT_BYTES_MAX) return
    this.#busy = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        if (this.#ended) return
        await handler.onMessage(next)
        if (this.unsentBytes > UNSENT_BYTES_MAX) return
      }
      if (this.#parts.stream.inputEnded) {
        this.end(this.#reader.isPartial ? new GrpcError(grpcCodes.internal, 'unexpected EOF') : undefined)
      }
    } catch (error) {
      this.end(this.#describe(error))
    } finally {
      this.#busy = false
      if (this.#waiting.length <= WAITING_MESSAGES_MAX) this.#parts.stream.resume()
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
    const { clock, stream } = this.#parts
    const text = stream.headers.get('grpc-timeout')
    const timeoutMs = text === undefined ? null : parseGrpcTimeout(text)
    if (timeoutMs === null || timeoutMs > TIMEOUT_MS_MAX) return
    this.#deadline = clock.after(timeoutMs, () => {
      this.end(new GrpcError(grpcCodes.deadlineExceeded, 'context deadline exceeded'))
    })
  }
}

function trailersOf({ code, message }: GrpcError): Record<string, string> {
  return {
    'grpc-status': String(code),
    'grpc-message': encodeGrpcMessage(message.slice(0, ERROR_MESSAGE_MAX)),
  }
}
