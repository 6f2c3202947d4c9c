/**
 * The client of a runtime's streaming server, whose addresses CRI hands out: Kubernetes' channels over a websocket,
 * version 4, the newest that all of them speak. The end of the input cannot be told in it.
 */
import { Duplex, PassThrough, type Readable, Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { Mk8sError } from '../../../../base/errors.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'

const PROTOCOL = 'v4.channel.k8s.io'
const CHANNELS = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4 } as const
const CONNECT_MS = 10_000
const MESSAGE_BYTES_MAX = 16 * 1024 * 1024

export async function openStreams(url: string, options: StreamOptions): Promise<ContainerStreams> {
  const socket = await connect(url)
  const output = (isUsed: boolean) => (isUsed ? new PassThrough() : null)
  const stdout = output(options.stdout || options.tty)
  const stderr = output(options.stderr && !options.tty)
  const { promise: exited, resolve } = Promise.withResolvers<number>()
  socket.on('message', (data: Buffer) => {
    const channel = data[0]
    if (channel === CHANNELS.error) resolve(exitCodeIn(data.toString('utf8', 1)))
    else pass(socket, channel === CHANNELS.stderr ? stderr : stdout, data.subarray(1))
  })
  socket.on('close', () => {
    stdout?.end()
    stderr?.end()
    resolve(0)
  })
  socket.on('error', () => {})
  const resize = ({ width, height }: { width: number; height: number }) =>
    socket.send(frame(CHANNELS.resize, Buffer.from(JSON.stringify({ Width: width, Height: height }))))
  if (options.size !== undefined && options.tty) resize(options.size)
  return {
    stdin: options.stdin ? writerOf(socket, CHANNELS.stdin) : null,
    stdout,
    stderr,
    exited,
    resize: size => {
      if (options.tty && socket.readyState === socket.OPEN) resize(size)
    },
    close: () => socket.close(),
  }
}

/** A connection to a port in the sandbox; each of its two channels begins with the port's number. */
export async function openPort(url: string, port: number): Promise<Duplex> {
  const socket = await connect(`${url}?port=${port}`)
  const seen = new Set<number>()
  const duplex = new Duplex({
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => socket.send(frame(CHANNELS.stdin, chunk), done),
    destroy(error, done) {
      socket.close()
      done(error)
    },
  })
  socket.on('message', (data: Buffer) => {
    const channel = data[0] ?? 0
    if (!seen.has(channel)) return void seen.add(channel)
    if (channel !== 0) return void duplex.destroy(new Mk8sError('kubelet/runtime', data.toString('utf8', 1)))
    if (!duplex.push(data.subarray(1))) socket.pause()
  })
  socket.on('close', () => duplex.push(null))
  socket.on('error', error => duplex.destroy(error))
  return duplex
}

async function connect(url: string): Promise<WebSocket> {
  const { WebSocket: Client } = await import('ws')
  const socket = new Client(url.replace(/^http/, 'ws'), [PROTOCOL], {
    handshakeTimeout: CONNECT_MS,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  socket.once('open', () => {
    // Nothing may be missed between the opening and the first listener.
    socket.pause()
    resolve()
  })
  socket.once('error', cause => {
    const message = `the container runtime refuses to stream: ${cause.message}`
    reject(new Mk8sError('kubelet/runtime', message, { cause }))
  })
  await promise
  setImmediate(() => socket.resume())
  return socket
}

const frame = (channel: number, data: Uint8Array) => Buffer.concat([Buffer.of(channel), data])

function writerOf(socket: WebSocket, channel: number): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => socket.send(frame(channel, chunk), done),
  })
}

/** Holds the sender back while the reader is busy. */
function pass(socket: WebSocket, output: (Readable & Writable) | null, data: Buffer): void {
  if (output === null || data.length === 0 || output.write(data)) return
  socket.pause()
  output.once('drain', () => socket.resume())
}

interface ExitStatus {
  readonly status?: string
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] }
}

function exitCodeIn(text: string): number {
  try {
    const { status, details } = JSON.parse(text) as ExitStatus
    if (status === 'Success') return 0
    const cause = details?.causes?.find(({ reason }) => reason === 'ExitCode')
    return cause?.message === undefined ? 1 : Number(cause.message)
  } catch {
    return 1
  }
}
