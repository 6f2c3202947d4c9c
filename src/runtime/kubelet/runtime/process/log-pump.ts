/** Moves what a container writes from its pipes (FIFOs, which outlive the daemon) into its log file. */
import { constants, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { Socket } from 'node:net'
import { join } from 'node:path'
import type { ContainerLogWriter, LogStream } from '../container-log.ts'
import type { OutputTap } from './output-tap.ts'

const STREAMS: readonly LogStream[] = ['stdout', 'stderr']

export class LogPump {
  readonly #directory: string
  readonly #writer: ContainerLogWriter
  readonly #sockets: Socket[] = []
  readonly #taps = new Set<OutputTap>()
  /** Resolves when nobody holds the writing ends any more and everything is in the file. */
  drained: Promise<void> = Promise.resolve()

  constructor(directory: string, writer: ContainerLogWriter) {
    this.#directory = directory
    this.#writer = writer
  }

  /** Must be open before the writer's last end closes, or its bytes are lost. */
  async open(): Promise<void> {
    await this.#writer.open()
    const copies = STREAMS.map(stream => this.#copy(stream))
    this.drained = Promise.all(copies).then(() => {})
  }

  /** What is written from now on goes to the tap as well. */
  tap(tap: OutputTap): void {
    this.#taps.add(tap)
    void tap.closed.then(() => this.#taps.delete(tap))
  }

  reopen(): Promise<void> {
    return this.#writer.reopen()
  }

  /** Ends copying, adds what the keeper saved while no daemon was there, and closes the file. */
  async finish(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.drained
    await this.#appendRest()
    await this.#writer.close()
    for (const tap of this.#taps) tap.end()
  }

  /** For a container that ended long ago: nobody holds its pipes, so they are not opened. */
  async saveRest(): Promise<void> {
    await this.#writer.open()
    await this.#appendRest()
    await this.#writer.close()
  }

  async #appendRest(): Promise<void> {
    for (const stream of STREAMS) {
      const rest = await readFile(join(this.#directory, `${stream}.rest`)).catch(() => null)
      if (rest !== null && rest.length > 0) await this.#writer.write(stream, rest)
    }
  }

  /** Lets go without draining: the daemon stops and the container goes on. */
  async detach(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    await this.drained
    await this.#writer.close()
  }

  async #copy(stream: LogStream): Promise<void> {
    const flags = constants.O_RDONLY | constants.O_NONBLOCK
    const socket = new Socket({ fd: openSync(join(this.#directory, stream), flags), writable: false })
    socket.unref()
    this.#sockets.push(socket)
    try {
      for await (const chunk of socket) {
        const bytes = chunk as Uint8Array
        const taken = [...this.#taps].map(tap => tap.give(stream, bytes))
        await this.#writer.write(stream, bytes)
        await Promise.all(taken)
      }
    } catch {
      // Destroyed by detach or finish, or the disk refused the log: the container goes on either way.
    }
  }
}
