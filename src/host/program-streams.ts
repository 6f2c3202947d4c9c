/** Programs whose input or output is too large to be held: bytes go through them as they come. */
import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { abortable } from '../base/abortable.ts'
import type { Clock } from '../base/clock.ts'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'

const STDERR_CHARACTERS_MAX = 8_192

export interface StreamOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly clock: Clock
  /** It is killed when it neither takes nor gives a byte for so long. */
  readonly stallMs: number
  readonly signal: AbortSignal
}

export interface StreamEnd {
  readonly exitCode: number
  /** The end of what it said. */
  readonly stderr: string
  /** It was killed because it stood still. */
  readonly stalled: boolean
}

/**
 * Feeds a program and waits for its end, whatever its exit code is; what it writes to its output is dropped. Throws
 * `host/program-missing`, the signal's reason and what the bytes themselves throw, once the program is gone.
 */
export async function feedProgram(
  name: string,
  args: readonly string[],
  bytes: AsyncIterable<Uint8Array>,
  options: StreamOptions,
): Promise<StreamEnd> {
  const running = await Running.start(name, args, options)
  running.child.stdout.resume()
  try {
    for await (const piece of bytes) {
      if (!(await running.write(piece))) break
    }
    running.child.stdin.end()
    return await running.end()
  } finally {
    await running.kill()
  }
}

/** The program's output, and how it ended as the generator's result. Throws as `feedProgram`. */
export async function* readProgram(
  name: string,
  args: readonly string[],
  options: StreamOptions,
): AsyncGenerator<Uint8Array, StreamEnd> {
  const running = await Running.start(name, args, options)
  running.child.stdin.end()
  try {
    const pieces = (running.child.stdout as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
    for (;;) {
      const piece = await running.next(pieces)
      if (piece === null) break
      yield piece
    }
    return await running.end()
  } finally {
    await running.kill()
  }
}

class Running {
  readonly child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #options: StreamOptions
  readonly #ended: Promise<number>
  #stderr = ''
  #stalled = false
  #over = false

  static async start(name: string, args: readonly string[], options: StreamOptions): Promise<Running> {
    options.signal.throwIfAborted()
    const child = spawn(name, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...options.env } })
    const running = new Running(child, options)
    try {
      await once(child, 'spawn')
      return running
    } catch (cause) {
      const code = systemCodeOf(cause)
      if (code !== 'ENOENT' && code !== 'EACCES') throw cause
      throw programMissing(name, cause)
    }
  }

  private constructor(child: ChildProcessByStdio<Writable, Readable, Readable>, options: StreamOptions) {
    this.child = child
    this.#options = options
    this.#ended = new Promise(resolve => {
      child.once('close', code => {
        this.#over = true
        resolve(code ?? 137)
      })
    })
    // What it does not read, its exit code tells.
    child.stdin.on('error', () => {})
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = `${this.#stderr}${text}`.slice(-STDERR_CHARACTERS_MAX)
    })
  }

  /** False once it takes no more. */
  async write(piece: Uint8Array): Promise<boolean> {
    const { stdin } = this.child
    if (this.#over || stdin.destroyed || !stdin.writable) return false
    if (stdin.write(piece)) return true
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const onDrain = () => resolve(true)
    const onClose = () => resolve(false)
    stdin.once('drain', onDrain).once('close', onClose)
    try {
      return await this.#soon(promise, false)
    } finally {
      stdin.off('drain', onDrain).off('close', onClose)
    }
  }

  /** Null at the end. */
  async next(pieces: AsyncIterator<Buffer>): Promise<Buffer | null> {
    const { value, done } = await this.#soon(pieces.next(), { value: undefined, done: true as const })
    return done === true ? null : value
  }

  async end(): Promise<StreamEnd> {
    const exitCode = await this.#soon(this.#ended, 137)
    return { exitCode, stderr: this.#stderr.trim(), stalled: this.#stalled }
  }

  /** It ends at once; nothing happens when it has ended. */
  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    // It counts as running for as long as there is output that nobody takes.
    for (const stream of [this.child.stdin, this.child.stdout, this.child.stderr]) stream.destroy()
    await this.#ended
  }

  async #soon<T>(work: Promise<T>, otherwise: T): Promise<T> {
    const { clock, stallMs, signal } = this.#options
    const { promise: late, resolve } = Promise.withResolvers<T>()
    const timer = clock.after(stallMs, () => {
      this.#stalled = true
      this.child.kill('SIGKILL')
      resolve(otherwise)
    })
    try {
      return await abortable(Promise.race([work, late]), signal)
    } finally {
      timer.cancel()
    }
  }
}

const programMissing = (name: string, cause: unknown): Mk8sError =>
  new Mk8sError('host/program-missing', `${name} cannot be started`, {
    why: 'it is not installed or not executable',
    hint: `Install ${name}, or put it on PATH.`,
    cause,
  })
