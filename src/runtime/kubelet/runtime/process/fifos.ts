/**
 * Named pipes between the daemon and a program. Programs get pipes rather than the socket pairs that Node would
 * give them, since `/dev/stdout` and its like cannot be opened on a socket.
 */
import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { runProgram } from '../../../../host/programs.ts'

export async function makeFifos(paths: readonly string[]): Promise<void> {
  await runProgram('mkfifo', ['-m', '600', ...paths])
}

/** Both ends of a pipe; the caller closes `fd` once the program has it. */
export interface Fifo {
  /** The daemon's end. */
  readonly socket: Socket
  /** The program's end. */
  readonly fd: number
}

/** The program writes and the daemon reads. */
export function openOutput(path: string): Fifo {
  const own = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const fd = openSync(path, constants.O_WRONLY)
  return { socket: new Socket({ fd: own, writable: false }), fd }
}

/** The daemon writes and the program reads. */
export function openInput(path: string): Fifo {
  const keep = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  try {
    const fd = openSync(path, constants.O_RDONLY)
    const socket = openWriter(path)
    return { socket, fd }
  } finally {
    closeSync(keep)
  }
}

/** Throws ENXIO when nobody reads. */
export function openWriter(path: string): Socket {
  const own = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  return new Socket({ fd: own, readable: false, writable: true })
}
