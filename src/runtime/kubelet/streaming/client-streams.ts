/** The client's side of exec and attach, whatever protocol carries it. */
import type { Readable, Writable } from 'node:stream'
import type { Status } from '../../../kube/status.ts'
import type { StreamOptions, TerminalSize } from '../runtime/streams.ts'

export interface ClientStreams {
  /** What the client sends to the program; ends when the client says so. */
  readonly stdin: Readable | null
  readonly stdout: Writable | null
  readonly stderr: Writable | null
  /** Sizes of the client's terminal as they come; the last one before the call is delivered at once. */
  onResize(listener: (size: TerminalSize) => void): void
  /** Says how it ended, after all output, and closes. */
  finish(status: Status): Promise<void>
  /** Resolves when the client has gone, or the connection has ended for whatever reason. */
  readonly closed: Promise<void>
}

/** `input=1&output=1&error=1&tty=1`; a sentence when that makes no sense. */
export function parseStreamOptions(query: URLSearchParams): StreamOptions | string {
  const isSet = (name: string) => query.get(name) === '1'
  const tty = isSet('tty')
  const stdin = isSet('input')
  const stdout = isSet('output')
  // A terminal has one output only.
  const stderr = isSet('error') && !tty
  if (!stdin && !stdout && !stderr) return 'you must specify at least 1 of stdin, stdout, stderr'
  return { stdin, stdout, stderr, tty }
}

/** Remembers the last size until somebody listens. */
export class ResizeEvents {
  #last: TerminalSize | null = null
  #listener: ((size: TerminalSize) => void) | null = null

  emit(size: TerminalSize | null): void {
    if (size === null) return
    this.#last = size
    this.#listener?.(size)
  }

  listen(listener: (size: TerminalSize) => void): void {
    this.#listener = listener
    if (this.#last !== null) listener(this.#last)
  }
}
