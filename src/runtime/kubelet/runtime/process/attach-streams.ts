/** Attaching to a container of the process runtime: its output from now on, and its input if it has one. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import type { Clock } from '../../../../base/clock.ts'
import type { LogStream } from '../container-log.ts'
import type { ContainerConfig } from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import type { ContainerProcess } from './container-process.ts'
import { openWriter } from './fifos.ts'
import { OutputTap } from './output-tap.ts'
import { Terminal } from './terminal.ts'

export interface AttachParts {
  readonly live: ContainerProcess
  /** The container's directory. */
  readonly directory: string
  readonly config: ContainerConfig
  readonly options: StreamOptions
  readonly clock: Clock
}

export function attachTo(parts: AttachParts): ContainerStreams {
  const { live, options, config, directory } = parts
  const wanted: LogStream[] = [
    ...(options.stdout ? (['stdout'] as const) : []),
    ...(options.stderr && config.tty !== true ? (['stderr'] as const) : []),
  ]
  const tap = new OutputTap(wanted, parts.clock)
  live.tap(tap)
  const stdin = options.stdin && config.stdin === true ? openStdin(parts) : null
  const terminal = config.tty === true ? terminalOf(directory) : null
  return {
    stdin,
    stdout: tap.stream('stdout'),
    stderr: tap.stream('stderr'),
    resize: size => terminal?.resize(size),
    exited: live.exited.then(({ exitCode }) => {
      stdin?.destroy()
      return exitCode
    }),
    close: () => {
      tap.close()
      stdin?.destroy()
    },
  }
}

/** Null when the program has closed its input. */
function openStdin({ directory, config }: AttachParts): Socket | null {
  try {
    const socket = openWriter(join(directory, 'stdin'))
    socket.on('error', () => {})
    if (config.stdinOnce === true && config.tty !== true) {
      socket.once('close', () => void releaseStdin(directory))
    }
    return socket
  } catch {
    return null
  }
}

/** With nobody left who could write, the program sees the end of its input. */
async function releaseStdin(directory: string): Promise<void> {
  const path = join(directory, 'stdin-holder')
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
    if (words[0] === 'sleep' && words[1] === '2147483647') process.kill(pid, 'SIGKILL')
    await rm(path, { force: true })
  } catch {
    // Released before, or the container has ended.
  }
}

function terminalOf(directory: string): Terminal {
  const terminal = new Terminal()
  try {
    const [, path = ''] = readFileSync(join(directory, 'terminal'), 'utf8').trim().split(' ')
    terminal.found(path)
  } catch {
    // The program has not begun: it keeps the size that it starts with.
  }
  return terminal
}
