/**
 * What passes between a client and a container: `exec`, `attach` and `port-forward`, as Node streams, whose
 * backpressure holds all the way from the client to the program.
 */
import type { Readable, Writable } from 'node:stream'

/** In characters. */
export interface TerminalSize {
  readonly width: number
  readonly height: number
}

export interface StreamOptions {
  readonly stdin: boolean
  readonly stdout: boolean
  /** Never with a terminal, which has one output only. */
  readonly stderr: boolean
  readonly tty: boolean
  /** Of the client's terminal, when it is known at the start. */
  readonly size?: TerminalSize | undefined
}

export interface ContainerStreams {
  /** Ending it is the end of the program's input. */
  readonly stdin: Writable | null
  readonly stdout: Readable | null
  readonly stderr: Readable | null
  /** Without effect where there is no terminal. */
  resize(size: TerminalSize): void
  /** The exit code: of the program that `exec` started, or of the container that was attached to. */
  readonly exited: Promise<number>
  /** The client has gone: ends the program that `exec` started, or lets go of the container. May be repeated. */
  close(): void
}
