/** A gRPC client on node:http2 that shows what happens on the wire; also the load client of `npm run bench raft`. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2'
import { connect as connectSocket } from 'node:net'
import { WireReader } from '../../src/base/wire-reader.ts'
import { WireWriter } from '../../src/base/wire-writer.ts'

const PREFIX_BYTES = 5

export interface GrpcAnswer {
  readonly status: number
  readonly message: string
  /** The answers, without their prefixes. */
  readonly messages: readonly Buffer[]
}

/** A message with its prefix. */
export function frame(write: (writer: WireWriter) => void): Buffer {
  const writer = new WireWriter(PREFIX_BYTES)
  write(writer)
  const bytes = writer.finish()
  bytes[0] = 0
  bytes.writeUInt32BE(bytes.length - PREFIX_BYTES, 1)
  return bytes
}

export class GrpcClient {
  readonly session: ClientHttp2Session

  /** A unix socket's path, or the address:port of a server without TLS. */
  constructor(where: { readonly path: string } | { readonly host: string; readonly port: number }) {
    this.session = connect('http://etcd', { createConnection: () => connectSocket(where) })
    this.session.on('error', () => {})
  }

  open(path: string, headers: Record<string, string> = {}): ClientHttp2Stream {
    return this.session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    })
  }

  call(
    path: string,
    write: (writer: WireWriter) => void,
    headers: Record<string, string> = {},
  ): Promise<GrpcAnswer> {
    return this.send(path, frame(write), headers)
  }

  /** These bytes, whatever they are, and the end of the request. */
  send(path: string, bytes: Buffer, headers: Record<string, string> = {}): Promise<GrpcAnswer> {
    const stream = this.open(path, headers)
    stream.end(bytes)
    return answerOf(stream)
  }

  close(): void {
    this.session.destroy()
  }
}

export function answerOf(stream: ClientHttp2Stream): Promise<GrpcAnswer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let status = -1
    let message = ''
    const look = (headers: object) => {
      const { 'grpc-status': code, 'grpc-message': text } = headers as Record<string, string>
      if (code === undefined) return
      status = Number(code)
      message = decodeURIComponent(text ?? '')
    }
    stream.on('response', look)
    stream.on('trailers', look)
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('error', reject)
    stream.on('close', () => resolve({ status, message, messages: cut(Buffer.concat(chunks)) }))
  })
}

/** The messages in these bytes; what is left of the last one is not there. */
export function cut(bytes: Buffer): Buffer[] {
  const messages: Buffer[] = []
  let rest = bytes
  while (rest.length >= PREFIX_BYTES) {
    const end = PREFIX_BYTES + rest.readUInt32BE(1)
    if (rest.length < end) break
    messages.push(rest.subarray(PREFIX_BYTES, end))
    rest = rest.subarray(end)
  }
  return messages
}

/** A message as its fields: numbers as numbers, everything else as bytes; each field a list. */
export function fieldsOf(message: Buffer | undefined): Map<number, (number | Buffer)[]> {
  const fields = new Map<number, (number | Buffer)[]>()
  for (const reader = new WireReader(message ?? Buffer.alloc(0)); reader.next(); ) {
    const value = reader.isNumber ? reader.int64() : reader.bytes()
    fields.set(reader.field, [...(fields.get(reader.field) ?? []), value])
  }
  return fields
}

export function numberIn(message: Buffer | undefined, field: number): number {
  const [value] = fieldsOf(message).get(field) ?? []
  return typeof value === 'number' ? value : 0
}

export function bytesIn(message: Buffer | undefined, field: number): Buffer[] {
  return (fieldsOf(message).get(field) ?? []).filter(value => typeof value !== 'number')
}

/** A stream whose messages are read one by one. */
export class GrpcStream {
  readonly stream: ClientHttp2Stream
  #bytes: Buffer = Buffer.alloc(0)
  readonly #messages: Buffer[] = []
  #waiting: ((message: Buffer | null) => void)[] = []
  #closed = false

  constructor(stream: ClientHttp2Stream) {
    this.stream = stream
    stream.on('error', () => {})
    stream.on('data', (chunk: Buffer) => this.#take(chunk))
    stream.on('close', () => {
      this.#closed = true
      for (const resolve of this.#waiting.splice(0)) resolve(null)
    })
  }

  send(write: (writer: WireWriter) => void): void {
    this.stream.write(frame(write))
  }

  /** The next message; null when the stream is over. */
  next(): Promise<Buffer | null> {
    const message = this.#messages.shift()
    if (message !== undefined) return Promise.resolve(message)
    if (this.#closed) return Promise.resolve(null)
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  #take(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    for (const message of cut(this.#bytes)) {
      this.#bytes = this.#bytes.subarray(PREFIX_BYTES + message.length)
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#messages.push(message)
      else waiting(message)
    }
  }
}
