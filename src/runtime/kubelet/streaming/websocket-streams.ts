/** Channels of one websocket as Node streams: a slow reader pauses the socket, a slow client the program. */
import { Readable, Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import type { WebSocket } from 'ws'
import type { Status } from '../../../kube/status.ts'
import type { StreamOptions } from '../runtime/streams.ts'
import { CHANNEL, decodeMessage, encodeMessage } from './channels.ts'
import { type ClientStreams, ResizeEvents } from './client-streams.ts'
import { encodeStatus } from './exit-status.ts'
import type { RemoteCommandProtocol } from './protocols.ts'
import { TerminalSizes } from './terminal-sizes.ts'

const READ_BYTES_MAX = 256 * 1024
const WRITE_BYTES_MAX = 64 * 1024
const CLOSE_NORMAL = 1000
const NOTHING = Buffer.alloc(0)

/** Reads and writes channels of one websocket. */
export class ChannelSocket {
  readonly #socket: WebSocket
  readonly #isBase64: boolean
  readonly #readers = new Map<number, Readable>()
  /** The socket is paused while there is one. */
  readonly #full = new Set<Readable>()
  readonly closed: Promise<void>
  /** Data of a channel that nobody reads. */
  onOther: (channel: number, data: Buffer) => void = () => {}

  constructor(socket: WebSocket, isBase64: boolean) {
    this.#socket = socket
    this.#isBase64 = isBase64
    this.closed = new Promise(resolve => {
      socket.once('close', () => {
        for (const reader of this.#readers.values()) reader.destroy()
        resolve()
      })
    })
    socket.on('error', () => {})
    socket.on('message', data => this.#onMessage(data as Buffer))
  }

  reader(channel: number): Readable {
    const hasRoom = () => {
      if (this.#full.delete(reader) && this.#full.size === 0) this.#socket.resume()
    }
    const reader: Readable = new Readable({ highWaterMark: READ_BYTES_MAX, read: hasRoom })
    // One that is given up must not hold the others.
    reader.on('error', () => {}).once('close', hasRoom)
    this.#readers.set(channel, reader)
    return reader
  }

  writer(channel: number): Writable {
    const writer = new Writable({
      highWaterMark: WRITE_BYTES_MAX,
      write: (chunk, _encoding, done) => this.send(channel, chunk as Buffer, done),
    })
    return writer.on('error', () => {})
  }

  endReader(channel: number): void {
    const reader = this.#readers.get(channel)
    if (reader !== undefined && !reader.readableEnded && !reader.destroyed) reader.push(null)
    this.#readers.delete(channel)
  }

  send(channel: number, data: Buffer, done: (error?: Error | null) => void = () => {}): void {
    this.#socket.send(encodeMessage(channel, data, this.#isBase64), done)
  }

  /** Everything that was sent goes out first. */
  close(): void {
    this.#socket.resume()
    this.#socket.close(CLOSE_NORMAL)
  }

  #onMessage(data: Buffer): void {
    const message = decodeMessage(data, this.#isBase64)
    if (message === null) return
    const reader = this.#readers.get(message.channel)
    if (reader === undefined) {
      this.onOther(message.channel, message.data)
      return
    }
    if (message.data.length === 0 || reader.destroyed || reader.push(message.data)) return
    this.#full.add(reader)
    this.#socket.pause()
  }
}

export function websocketStreams(
  socket: WebSocket,
  protocol: RemoteCommandProtocol,
  options: StreamOptions,
): ClientStreams {
  const channels = new ChannelSocket(socket, protocol.isBase64)
  const resizes = new ResizeEvents()
  const sizes = new TerminalSizes()
  channels.onOther = (channel, data) => {
    if (channel === CHANNEL.resize) resizes.emit(sizes.push(data))
    if (channel === CHANNEL.close && protocol.version >= 5) channels.endReader(data[0] ?? CHANNEL.close)
  }
  const stdin = options.stdin ? channels.reader(CHANNEL.stdin) : null
  const stdout = options.stdout ? channels.writer(CHANNEL.stdout) : null
  const stderr = options.stderr ? channels.writer(CHANNEL.stderr) : null
  // An empty message tells the client that it is connected.
  channels.send(options.stdout ? CHANNEL.stdout : options.stderr ? CHANNEL.stderr : CHANNEL.error, NOTHING)
  return {
    stdin,
    stdout,
    stderr,
    onResize: listener => resizes.listen(listener),
    closed: channels.closed,
    async finish(status: Status) {
      stdin?.destroy()
      // What waits in a writer must go out before the status, after which the client listens no more.
      const writers = [stdout, stderr].filter(writer => writer !== null)
      for (const writer of writers) writer.end()
      const flushed = Promise.all(writers.map(writer => finished(writer).catch(() => {})))
      await Promise.race([flushed, channels.closed])
      const text = encodeStatus(status, protocol.version)
      if (text.length > 0) channels.send(CHANNEL.error, text)
      channels.close()
      await channels.closed
    },
  }
}
