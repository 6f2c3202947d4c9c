/** The daemon's end of a keeper's endpoint. */
import { connect, type Socket } from 'node:net'
import { PassThrough, type Readable, Writable } from 'node:stream'
import { Mk8sError } from '../../../../base/errors.ts'
import type { ContainerStreams } from '../streams.ts'
import {
  Cutter,
  FRAME,
  type FrameKind,
  frame,
  type KeeperRequest,
  type KeeperState,
  parseState,
} from './keeper-protocol.ts'

/** A keeper that says nothing for so long is none. */
const ANSWER_MS = 10_000

export interface Conversation {
  readonly socket: Socket
  /** Resolves when the other side has gone. */
  readonly closed: Promise<void>
}

/** Connects and asks; `onFrame` gets what is answered. Rejects where nobody listens. */
export function converse(
  endpoint: string,
  request: KeeperRequest,
  onFrame: (kind: FrameKind, bytes: Buffer) => void,
): Promise<Conversation> {
  const socket = connect(endpoint)
  const cutter = new Cutter({ hasLine: false })
  const closed = Promise.withResolvers<void>()
  socket.once('close', () => closed.resolve())
  socket.on('data', chunk => {
    try {
      cutter.take(chunk as Buffer, { frame: onFrame })
    } catch (error) {
      socket.destroy(error as Error)
    }
  })
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject).on('error', () => {})
      socket.write(`${JSON.stringify(request)}\n`)
      resolve({ socket, closed: closed.promise })
    })
  })
}

/** One question with one answer; undefined when there is none. */
export async function askKeeper(endpoint: string, request: KeeperRequest): Promise<KeeperState | undefined> {
  let answer: KeeperState | undefined
  try {
    const { socket, closed } = await converse(endpoint, request, (kind, bytes) => {
      if (kind === FRAME.state) answer = parseState(bytes)
    })
    socket.setTimeout(ANSWER_MS, () => socket.destroy())
    await closed
  } catch {
    // It has ended.
  }
  return answer
}

export interface KeptStreams extends ContainerStreams {
  /** Rejects when the program could not be started. */
  readonly started: Promise<void>
}

/** What `exec` and `attach` give their clients. */
export async function openStreams(
  endpoint: string,
  request: Extract<KeeperRequest, { do: 'exec' | 'attach' }>,
): Promise<KeptStreams> {
  const started = Promise.withResolvers<void>()
  const exited = Promise.withResolvers<number>()
  const outputs = { [FRAME.stdout]: new PassThrough(), [FRAME.stderr]: new PassThrough() }
  for (const output of Object.values(outputs)) output.on('error', () => {})
  const { socket, closed } = await converse(endpoint, request, (kind, bytes) => {
    if (kind === FRAME.stdout || kind === FRAME.stderr) pass(socket, outputs[kind], bytes)
    if (kind !== FRAME.state) return
    const { failed, exitCode, pid } = parseState(bytes)
    if (failed !== undefined) started.reject(startFailure(failed))
    if (pid !== undefined) started.resolve()
    if (exitCode !== undefined) exited.resolve(exitCode)
  })
  void closed.then(() => {
    started.reject(startFailure('the container has ended'))
    exited.resolve(137)
    for (const output of Object.values(outputs)) output.end()
  })
  started.promise.catch(() => {})
  return {
    stdin: request.stdin ? inputOf(socket) : null,
    stdout: request.do === 'attach' && !request.stdout ? null : (outputs[FRAME.stdout] as Readable),
    stderr: request.do === 'attach' && !request.stderr ? null : (outputs[FRAME.stderr] as Readable),
    resize: () => {},
    started: started.promise,
    exited: exited.promise,
    close: () => void socket.destroy(),
  }
}

const startFailure = (why: string): Mk8sError =>
  new Mk8sError('kubelet/runtime', `failed to exec in container: ${why}`)

/** A client that does not read holds up the program. */
function pass(socket: Socket, output: PassThrough, bytes: Buffer): void {
  if (output.destroyed || output.write(bytes)) return
  socket.pause()
  output.once('drain', () => socket.resume())
}

/** In pieces that a frame may have. */
const PIECE_BYTES = 64 * 1024

function inputOf(socket: Socket): Writable {
  const input = new Writable({
    write(chunk: Buffer, _encoding, done) {
      for (let at = 0; at + PIECE_BYTES < chunk.length; at += PIECE_BYTES)
        socket.write(frame(FRAME.stdin, chunk.subarray(at, at + PIECE_BYTES)))
      const rest = chunk.subarray(Math.floor(Math.max(0, chunk.length - 1) / PIECE_BYTES) * PIECE_BYTES)
      socket.write(frame(FRAME.stdin, rest), () => done())
    },
    final(done) {
      socket.write(frame(FRAME.stdinEnd, Buffer.alloc(0)), () => done())
    },
  })
  socket.once('close', () => input.destroy())
  return input.on('error', () => {})
}
