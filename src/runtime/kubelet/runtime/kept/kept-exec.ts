/** A further program in a container, for a client of its keeper: in its environment, and ended with its client. */
import type { Socket } from 'node:net'
import type { ProcessFamily } from '../../../../host/process-family.ts'
import { exitCodeOf, feed } from './keeper-io.ts'
import { FRAME, frame, type KeeperRequest, stateFrame } from './keeper-protocol.ts'
import type { KeptLaunch } from './kept-launch.ts'

export interface KeptExecParts {
  readonly socket: Socket
  readonly request: Extract<KeeperRequest, { do: 'exec' }>
  readonly launch: KeptLaunch
  readonly family: ProcessFamily
  /** The ids of those that run. */
  readonly running: Set<number>
  /** Its `take` gets what the client sends. */
  readonly input: { take(kind: number, bytes: Buffer): void }
}

export function runKeptExec({ socket, request, launch, family, input, running }: KeptExecParts): void {
  const child = family.start(request.command, { ...launch, hasInput: request.stdin })
  const { stdin } = child
  stdin?.on('error', () => {})
  input.take = (kind, bytes) => {
    if (stdin === null) return
    if (kind === FRAME.stdin) feed(socket, stdin, bytes)
    if (kind === FRAME.stdinEnd) stdin.end()
  }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.on('data', (chunk: Buffer) => {
      if (socket.write(frame(FRAME[name], chunk))) return
      child[name]?.pause()
      socket.once('drain', () => child[name]?.resume())
    })
  }
  child.once('spawn', () => {
    running.add(child.pid ?? 0)
    socket.write(stateFrame({ pid: child.pid ?? 0 }))
  })
  child.once('error', error => socket.end(stateFrame({ failed: error.message })))
  child.once('exit', () => running.delete(child.pid ?? 0))
  child.once('close', (code, signal) => {
    if (child.pid !== undefined) socket.end(stateFrame({ exitCode: exitCodeOf(code, signal) }))
  })
  socket.once('close', () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) family.end(child.pid)
  })
}
