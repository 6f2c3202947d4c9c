/** One request and its answer on a connection. What the client's windows have no room for yet waits here. */
import type { Headers } from './hpack.ts'

/** What a stream asks of its connection. */
export interface StreamPort {
  /** How many bytes of data may be sent on any stream now. */
  readonly sendable: number
  sendHeaders(stream: number, block: Buffer, end: boolean): void
  sendData(stream: number, bytes: Buffer): void
  sendEnd(stream: number): void
  /** Lets the client send so much more on this stream. */
  grant(stream: number, bytes: number): void
  /** There is something that could not be sent yet. */
  wait(stream: ServerStream): void
  outputEnded(stream: ServerStream): void
  reset(stream: ServerStream): void
}

/** Who reads a stream. */
export interface StreamListener {
  onData(bytes: Buffer): void
  /** The client says no more. */
  onEnd(): void
  /** Everything that was written has been handed on. */
  onDrain(): void
  /** The stream is over, whoever ended it. */
  onClosed(): void
}

const IGNORING: StreamListener = { onData() {}, onEnd() {}, onDrain() {}, onClosed() {} }

export class ServerStream {
  readonly id: number
  readonly headers: Headers
  readonly #port: StreamPort
  listener: StreamListener = IGNORING
  /** How much the client takes on this stream. */
  window: number
  inputEnded = false
  outputEnded = false
  closed = false
  answered = false
  #queue: Buffer[] = []
  #queuedBytes = 0
  #ending = false
  #trailers: Buffer | null = null
  /** What came and may not be made up for yet. */
  ungranted = 0
  #paused = false

  constructor(port: StreamPort, { id, headers, window }: { id: number; headers: Headers; window: number }) {
    this.#port = port
    this.id = id
    this.headers = headers
    this.window = window
  }

  get unsentBytes(): number {
    return this.#queuedBytes
  }

  /** The headers of the answer; with `end` they are all of it. */
  respond(block: Buffer, { end }: { readonly end: boolean }): void {
    if (this.closed || this.answered) return
    this.answered = true
    this.#port.sendHeaders(this.id, block, end)
    if (end) this.#ended()
  }

  write(bytes: Buffer): void {
    if (this.closed) return
    this.#queue.push(bytes)
    this.#queuedBytes += bytes.length
    this.pump()
  }

  /** Ends the answer behind everything that was written, and behind these bytes. */
  end(bytes: Buffer | null, trailers: Buffer | null = null): void {
    if (this.closed || this.#ending) return
    this.#ending = true
    this.#trailers = trailers
    if (bytes !== null) this.write(bytes)
    else this.pump()
  }

  /** Ends the stream at once, if the client has not stopped talking by itself. */
  hangUp(): void {
    if (!this.closed && !this.inputEnded) this.#port.reset(this)
  }

  /** The client may send no more than it was granted so far. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.consumed(0)
  }

  /** Bytes have been read, so that as many may follow; told to the client in larger portions. */
  consumed(bytes: number, portion = 1): void {
    this.ungranted += bytes
    if (this.#paused || this.inputEnded || this.closed || this.ungranted < portion) return
    this.#port.grant(this.id, this.ungranted)
    this.ungranted = 0
  }

  /** Sends what there is room for. */
  pump(): void {
    const waited = this.#queue.length
    while (this.#queue.length > 0) {
      const [head] = this.#queue
      const room = Math.min(this.window, this.#port.sendable)
      if (head === undefined || room <= 0) {
        this.#port.wait(this)
        return
      }
      const part = head.length <= room ? head : head.subarray(0, room)
      if (part === head) this.#queue.shift()
      else this.#queue[0] = head.subarray(room)
      this.#queuedBytes -= part.length
      this.window -= part.length
      this.#port.sendData(this.id, part)
    }
    if (this.#ending) {
      if (this.outputEnded) return
      if (this.#trailers === null) this.#port.sendEnd(this.id)
      else this.#port.sendHeaders(this.id, this.#trailers, true)
      this.#ended()
    } else if (waited > 0) this.listener.onDrain()
  }

  #ended(): void {
    this.outputEnded = true
    this.#port.outputEnded(this)
  }
}
