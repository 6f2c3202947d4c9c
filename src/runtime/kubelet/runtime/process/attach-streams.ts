/** Attaching to a container of the process runtime: its output from now on, and its input if it has one. */
import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { type Clock, sleep } from '../../../../base/clock.ts'
import type { LogStream } from '../container-log.ts'
import type { ContainerConfig } from '../runtime.ts'
import type { ContainerStreams, StreamOptions } from '../streams.ts'
import type { ContainerProcess } from './container-process.ts'
import { openWriter } from './fifos.ts'
import { OutputTap } from './output-tap.ts'
import { Terminal } from './terminal.ts'

/** How often the holder of an input is looked at, and how many times at most. */
const HOLDER_CHECK_MS = 20
const HOLDER_ROUNDS_MAX = 50

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
function openStdin(parts: AttachParts): Socket | null {
  const { directory, config } = parts
  try {
    const socket = openWriter(join(directory, 'stdin'))
    socket.on('error', () => {})
    if (config.stdinOnce === true && config.tty !== true) {
      socket.once('close', () => void releaseStdin(parts))
    }
    return socket
  } catch {
    return null
  }
}

/** With nobody left who could write, the program sees the end of its input. */
async function releaseStdin({ directory, clock }: AttachParts): Promise<void> {
  const path = join(directory, 'stdin-holder')
  try {
    const pid = Number(readFileSync(path, 'utf8'))
    for (let round = 0; round < HOLDER_ROUNDS_MAX && !killHolder(pid, directory); round++) {
      await sleep(clock, HOLDER_CHECK_MS)
    }
    await rm(path, { force: true })
  } catch {
    // Released before, or the container has ended.
  }
}

/**
 * A client may be faster than the holder: until it has become `sleep` it is a copy of the keeper, and in between
 * its command line is empty.
 */
function killHolder(pid: number, directory: string): boolean {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')
  const isHolder = words[0] === 'sleep' && words[1] === '2147483647'
  const isCopy = words.includes('mk8s-keeper') && words.includes(directory)
  if (isHolder || isCopy) process.kill(pid, 'SIGKILL')
  return isHolder || isCopy
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
