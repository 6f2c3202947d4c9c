/** What a container writes, for one client that is attached to it. A client that takes nothing is let go. */
import { Readable } from 'node:stream'
import { type Clock, sleep } from '../../../../base/clock.ts'
import type { LogStream } from '../container-log.ts'

const READ_BYTES_MAX = 256 * 1024
/** How long the container itself waits for a client that does not read. */
const PATIENCE_MS = 10_000

export class OutputTap {
  readonly #clock: Clock
  readonly #streams: Partial<Record<LogStream, Readable>> = {}
  readonly #room = new Map<LogStream, PromiseWithResolvers<void>>()
  readonly #closed = Promise.withResolvers<void>()

  constructor(wanted: readonly LogStream[], clock: Clock) {
    this.#clock = clock
    for (const name of wanted) {
      const makeRoom = () => this.#room.get(name)?.resolve()
      this.#streams[name] = new Readable({ highWaterMark: READ_BYTES_MAX, read: makeRoom })
      this.#streams[name].on('error', () => {}).once('close', makeRoom)
    }
  }

  get closed(): Promise<void> {
    return this.#closed.promise
  }

  stream(name: LogStream): Readable | null {
    return this.#streams[name] ?? null
  }

  /** Resolves when there is room for more. */
  async give(name: LogStream, chunk: Uint8Array): Promise<void> {
    const stream = this.#streams[name]
    if (stream === undefined || stream.destroyed) return
    const room = Promise.withResolvers<void>()
    this.#room.set(name, room)
    if (stream.push(chunk)) return
    const patience = new AbortController()
    const late = sleep(this.#clock, PATIENCE_MS, patience.signal).then(
      () => true,
      () => false,
    )
    const isLate = await Promise.race([room.promise.then(() => false), late])
    patience.abort()
    if (isLate) this.close()
  }

  /** The container has said everything. */
  end(): void {
    for (const stream of Object.values(this.#streams)) if (!stream.destroyed) stream.push(null)
    this.#closed.resolve()
  }

  close(): void {
    for (const stream of Object.values(this.#streams)) stream.destroy()
    this.#closed.resolve()
  }
}
