/**
 * Starts programs on Linux as the C library does. Node copies the page tables of the whole process for each program,
 * which takes a daemon milliseconds in which nothing else runs; this copies nothing.
 */
import { closeSync, writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { Mk8sError } from '../base/errors.ts'
import { loadLibrary } from './native.ts'
import { onLinux } from './on-linux.ts'

export interface SpawnOptions {
  /** Of the executable. */
  readonly path: string
  /** Without its name. */
  readonly args: readonly string[]
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd?: string
  /** For its standard input, which ends behind it; at most `SPAWN_INPUT_BYTES_MAX`. */
  readonly input?: Uint8Array
  /** Numbers of the descriptors that it writes to and we read, in rising order; 0 to 2 are nothing otherwise. */
  readonly outputs: readonly number[]
  /** In a session of its own. */
  readonly detached?: boolean
}

export interface Spawned {
  readonly pid: number
  /** In the order of `outputs`. */
  readonly outputs: readonly Socket[]
  /** An exit code, or 128 and the number of the signal that ended it. */
  readonly exited: Promise<number>
  /** Does nothing once it has ended. */
  readonly kill: (signal: NodeJS.Signals) => void
}

/** As much as a pipe takes while nobody reads. */
export const SPAWN_INPUT_BYTES_MAX = 64 * 1024

const CLOSED_ON_EXEC = 0o2000000
const READ_AND_WRITE = 2
const DEFAULT_SIGNALS = 0x04
const SIGNAL_MASK = 0x08
const NEW_SESSION = 0x80
const NO_WAIT = 1
/** More than any C library takes for its actions, its attributes, and its sets of signals. */
const STRUCTURE_BYTES = 1_024
const POINTER_BYTES = 8
/** EMFILE. */
const NO_DESCRIPTORS = 24

type C = ReturnType<typeof loadC>

function loadC() {
  const c = loadLibrary(null)
  const int = { return: 'i32' } as const
  const actions = (name: string) => `posix_spawn_file_actions_${name}`
  const attributes = (name: string) => `posix_spawnattr_${name}`
  const ofBuffer = { ...int, arguments: ['buffer'] } as const
  const ofTwo = { ...int, arguments: ['buffer', 'buffer'] } as const
  return {
    spawn: c.getFunction('posix_spawn', { ...int, arguments: Array(6).fill('buffer') as 'buffer'[] }),
    waitpid: c.getFunction('waitpid', { ...int, arguments: ['i32', 'buffer', 'i32'] }),
    pipe: c.getFunction('pipe2', { ...int, arguments: ['buffer', 'i32'] }),
    fillSet: c.getFunction('sigfillset', ofBuffer),
    emptySet: c.getFunction('sigemptyset', ofBuffer),
    beginActions: c.getFunction(actions('init'), ofBuffer),
    endActions: c.getFunction(actions('destroy'), ofBuffer),
    addDup: c.getFunction(actions('adddup2'), { ...int, arguments: ['buffer', 'i32', 'i32'] }),
    addOpen: c.getFunction(actions('addopen'), {
      ...int,
      arguments: ['buffer', 'i32', 'buffer', 'i32', 'u32'],
    }),
    addDirectory: c.getFunction(actions('addchdir_np'), ofTwo),
    beginAttributes: c.getFunction(attributes('init'), ofBuffer),
    endAttributes: c.getFunction(attributes('destroy'), ofBuffer),
    setFlags: c.getFunction(attributes('setflags'), { ...int, arguments: ['buffer', 'i16'] }),
    setDefaults: c.getFunction(attributes('setsigdefault'), ofTwo),
    setMask: c.getFunction(attributes('setsigmask'), ofTwo),
    addressOf: process.getBuiltinModule('node:ffi').getRawPointer,
  }
}

function text(value: string): Buffer {
  if (!value.includes('\0')) return Buffer.from(`${value}\0`)
  throw new Mk8sError('host/program-failed', 'no program can be told a word with a NUL in it')
}

/** An array of strings as C has it, with the strings behind it, so that they live as long. */
function listOf(c: C, strings: readonly string[]): Buffer {
  const bytes = strings.map(text)
  const pointers = (strings.length + 1) * POINTER_BYTES
  const list = Buffer.alloc(pointers + bytes.reduce((sum, { length }) => sum + length, 0))
  const base = c.addressOf(list)
  let at = pointers
  bytes.forEach((each, index) => {
    list.writeBigUInt64LE(base + BigInt(at), index * POINTER_BYTES)
    at += each.copy(list, at)
  })
  return list
}

/** As shells count: 128 and the number of the signal. */
function codeOf(status: number): number {
  const signal = status & 0x7f
  return signal === 0 ? (status >> 8) & 0xff : 128 + signal
}

function writeInput(pipe: Pipe | undefined, input: Uint8Array): void {
  try {
    if (pipe !== undefined && input.length > 0) writeSync(pipe.write, input)
  } catch {
    // It ended without reading; its exit code tells.
  }
}

interface Pipe {
  readonly read: number
  readonly write: number
}

export class PosixSpawner {
  readonly #c: C
  readonly #waiting = new Map<number, (status: number) => void>()
  readonly #reap = (): void => {
    const status = Buffer.alloc(4)
    for (const [pid, tell] of this.#waiting) {
      if (this.#c.waitpid(pid, status, NO_WAIT) === 0) continue
      this.#waiting.delete(pid)
      tell(status.readInt32LE())
    }
    if (this.#waiting.size === 0) process.off('SIGCHLD', this.#reap)
  }

  constructor(c: C) {
    this.#c = c
  }

  /** A number is why there is no process, as the system numbers it. */
  spawn(options: SpawnOptions): Spawned | number {
    const pipes: Pipe[] = []
    const ours: number[] = []
    try {
      for (let left = options.outputs.length + 1; left > 0; left--) {
        const pipe = this.#pipe()
        if (pipe === null) return NO_DESCRIPTORS
        pipes.push(pipe)
      }
      // Whoever is told of an end has to listen before it.
      if (this.#waiting.size === 0) process.on('SIGCHLD', this.#reap)
      const started = this.#start(options, pipes)
      if ('error' in started) return started.error
      const exited = new Promise<number>(resolve => this.#waiting.set(started.pid, resolve)).then(codeOf)
      if (options.input !== undefined) writeInput(pipes[0], options.input)
      const outputs = pipes.slice(1).map(({ read }) => {
        ours.push(read)
        return new Socket({ fd: read, readable: true, writable: false })
      })
      const { pid } = started
      // Until it has been waited for, its number is nobody else's.
      const kill = (signal: NodeJS.Signals) => void (this.#waiting.has(pid) && process.kill(pid, signal))
      return { pid, outputs, exited, kill }
    } finally {
      const all = pipes.flatMap(({ read, write }) => [read, write])
      for (const each of all) if (!ours.includes(each)) closeSync(each)
      if (this.#waiting.size === 0) process.off('SIGCHLD', this.#reap)
    }
  }

  #pipe(): Pipe | null {
    const ends = Buffer.alloc(8)
    if (this.#c.pipe(ends, CLOSED_ON_EXEC) !== 0) return null
    return { read: ends.readInt32LE(0), write: ends.readInt32LE(4) }
  }

  #start({ path, args, env, cwd, ...rest }: SpawnOptions, pipes: readonly Pipe[]) {
    const c = this.#c
    const words = listOf(c, [path, ...args])
    const variables = listOf(
      c,
      Object.entries(env).map(([name, value]) => `${name}=${value}`),
    )
    const actions = this.#actions(rest, pipes, cwd)
    const attributes = this.#attributes(rest.detached === true)
    const pid = Buffer.alloc(4)
    const error = c.spawn(pid, text(path), actions, attributes, words, variables)
    c.endActions(actions)
    c.endAttributes(attributes)
    return error === 0 ? { pid: pid.readInt32LE() } : { error }
  }

  #actions(
    { input, outputs }: Pick<SpawnOptions, 'input' | 'outputs'>,
    pipes: readonly Pipe[],
    cwd?: string,
  ): Buffer {
    const c = this.#c
    const actions = Buffer.alloc(STRUCTURE_BYTES)
    c.beginActions(actions)
    if (input === undefined) c.addOpen(actions, 0, text('/dev/null'), READ_AND_WRITE, 0)
    else c.addDup(actions, pipes[0]?.read ?? 0, 0)
    for (const each of [1, 2]) {
      if (!outputs.includes(each)) c.addOpen(actions, each, text('/dev/null'), READ_AND_WRITE, 0)
    }
    outputs.forEach((each, index) => {
      c.addDup(actions, pipes[index + 1]?.write ?? 0, each)
    })
    if (cwd !== undefined) c.addDirectory(actions, text(cwd))
    return actions
  }

  /** Signals do what they do by default, whatever this process does about them. */
  #attributes(detached: boolean): Buffer {
    const c = this.#c
    const attributes = Buffer.alloc(STRUCTURE_BYTES)
    const all = Buffer.alloc(STRUCTURE_BYTES)
    const none = Buffer.alloc(STRUCTURE_BYTES)
    c.beginAttributes(attributes)
    c.fillSet(all)
    c.emptySet(none)
    c.setDefaults(attributes, all)
    c.setMask(attributes, none)
    c.setFlags(attributes, DEFAULT_SIGNALS | SIGNAL_MASK | (detached ? NEW_SESSION : 0))
    return attributes
  }
}

/** Null where Node cannot call the C library. */
export const posixSpawner = onLinux(() => new PosixSpawner(loadC()))
