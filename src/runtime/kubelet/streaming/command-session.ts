/** One exec or attach: joins the client's streams with the container's until one of the two has ended. */
import type { Readable, Writable } from 'node:stream'
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Status } from '../../../kube/status.ts'
import type { ContainerStreams, TerminalSize } from '../runtime/streams.ts'
import type { ClientStreams } from './client-streams.ts'
import { failureStatus } from './exit-status.ts'

/** A client says its terminal's size first of all; a program should see it from its start. */
const FIRST_SIZE_MS = 50
/** Output that stray children hold open is not waited for longer than this, once it is quiet. */
const QUIET_MS = 1_000
const QUIET_CHECK_MS = 100

export interface CommandSession {
  readonly client: ClientStreams
  readonly tty: boolean
  readonly clock: Clock
  /** `executing command in container`, for the client when it fails. */
  readonly doing: string
  readonly start: (size: TerminalSize | undefined) => Promise<ContainerStreams>
  readonly statusOf: (exitCode: number) => Status
}

/** Resolves when everything of it is gone. */
export async function runCommandSession(session: CommandSession): Promise<void> {
  const { client, clock } = session
  const isGone = client.closed.then(() => 'gone' as const)
  let container: ContainerStreams
  try {
    container = await session.start(session.tty ? await firstSize(client, clock) : undefined)
  } catch (error) {
    return client.finish(failureStatus(session.doing, messageOf(error)))
  }
  void client.closed.then(() => container.close())
  client.onResize(size => container.resize(size))
  feed(client.stdin, container.stdin)
  const pumps = [
    new OutputPump(container.stdout, client.stdout, clock),
    new OutputPump(container.stderr, client.stderr, clock),
  ]
  const outcome = await Promise.race([container.exited, isGone])
  if (outcome === 'gone') return
  await Promise.race([Promise.all(pumps.map(pump => pump.drain())), isGone])
  await client.finish(session.statusOf(outcome))
}

async function firstSize(client: ClientStreams, clock: Clock): Promise<TerminalSize | undefined> {
  const first = Promise.withResolvers<TerminalSize>()
  client.onResize(size => first.resolve(size))
  const late = new AbortController()
  const timeout = sleep(clock, FIRST_SIZE_MS, late.signal).catch(() => undefined)
  const size = await Promise.race([first.promise, timeout, client.closed])
  late.abort()
  return size ?? undefined
}

/** A program that does not take its input must not hold up the client. */
function feed(source: Readable | null, sink: Writable | null): void {
  if (source === null) return
  if (sink === null) {
    source.resume()
    return
  }
  const discard = () => {
    source.unpipe(sink)
    source.resume()
  }
  sink.on('error', discard).once('close', discard)
  source.on('error', () => {}).pipe(sink)
}

class OutputPump {
  readonly #source: Readable | null
  readonly #clock: Clock
  readonly #done: Promise<void>
  #isDone = false
  /** The client, not the program, is what is waited for. */
  #isHeld = false
  #lastAt: number

  constructor(source: Readable | null, sink: Writable | null, clock: Clock) {
    this.#source = source
    this.#clock = clock
    this.#lastAt = clock.monotonic()
    this.#done = (source === null ? Promise.resolve() : this.#run(source, sink)).finally(() => {
      this.#isDone = true
    })
  }

  /** After the program's end: resolves when its output is passed on, or has been quiet for a while. */
  async drain(): Promise<void> {
    const start = this.#clock.monotonic()
    while (!this.#isDone) {
      await Promise.race([this.#done, sleep(this.#clock, QUIET_CHECK_MS)])
      const quietSince = Math.max(start, this.#lastAt)
      if (!this.#isHeld && this.#clock.monotonic() - quietSince >= QUIET_MS) break
    }
    this.#source?.destroy()
  }

  async #run(source: Readable, sink: Writable | null): Promise<void> {
    try {
      for await (const chunk of source) {
        this.#lastAt = this.#clock.monotonic()
        if (sink === null) continue
        if (sink.destroyed) return
        if (!sink.write(chunk)) await this.#room(sink)
        this.#lastAt = this.#clock.monotonic()
      }
    } catch {
      // Cut off: by the end of the session, or of the client.
    }
  }

  #room(sink: Writable): Promise<void> {
    this.#isHeld = true
    return new Promise(resolve => {
      const go = () => {
        sink.off('drain', go)
        sink.off('close', go)
        this.#isHeld = false
        resolve()
      }
      sink.on('drain', go)
      sink.on('close', go)
    })
  }
}
