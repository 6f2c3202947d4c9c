/** One running container as the daemon sees it: its keeper, and the news that it ended. */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { isRunning, type ProcessIdentity, signalProcess } from '../../../../host/processes.ts'
import { EXIT_FILE } from './keeper.ts'
import { askKeeper, converse } from './keeper-client.ts'
import { FRAME, parseState } from './keeper-protocol.ts'

export interface ExitFacts {
  readonly exitCode: number
  readonly finishedAt: number
}

/** A keeper that is being started is looked for this often, and this long. */
const LOOK_MS = 15
const START_MS_MAX = 60_000
const KILL_MS = 5_000

export interface KeptContainerParts {
  readonly directory: string
  readonly endpoint: string
  readonly keeper: ProcessIdentity
  readonly clock: Clock
}

export class KeptContainer {
  readonly #parts: KeptContainerParts
  readonly #exited = Promise.withResolvers<ExitFacts>()
  readonly #detached = new AbortController()

  constructor(parts: KeptContainerParts) {
    this.#parts = parts
  }

  get exited(): Promise<ExitFacts> {
    return this.#exited.promise
  }

  /** Resolves once the program runs, or has run; rejects when it cannot be started. Follows it from then on. */
  async follow(): Promise<void> {
    const { clock, endpoint, keeper } = this.#parts
    const running = Promise.withResolvers<void>()
    const onFrame = (kind: number, bytes: Buffer) => {
      if (kind !== FRAME.state) return
      const { pid, failed } = parseState(bytes)
      if (failed !== undefined) running.reject(new Mk8sError('kubelet/runtime', failed))
      else if (pid !== undefined) running.resolve()
    }
    const deadline = clock.monotonic() + START_MS_MAX
    for (;;) {
      const said = await converse(endpoint, { do: 'watch' }, onFrame).catch(() => undefined)
      if (said !== undefined) {
        this.#detached.signal.addEventListener('abort', () => said.socket.destroy(), { once: true })
        void said.closed.then(() => this.#end()).then(() => running.resolve())
        return running.promise
      }
      if (!isRunning(keeper) || clock.monotonic() > deadline) {
        await this.#end()
        return
      }
      await sleep(clock, LOOK_MS)
    }
  }

  async signal(signal: NodeJS.Signals): Promise<void> {
    await askKeeper(this.#parts.endpoint, { do: 'signal', signal })
  }

  async kill(): Promise<void> {
    await this.signal('SIGKILL')
    const { clock, keeper } = this.#parts
    const late = sleep(clock, KILL_MS).then(() => true)
    if (!(await Promise.race([late, this.exited.then(() => false)]))) return
    // A keeper that does not hear takes all that it started with it, or its marks do.
    signalProcess(keeper, 'SIGKILL')
    await this.#end()
  }

  /** Lets go: whoever finds the container next learns of its end. */
  detach(): void {
    this.#detached.abort()
  }

  /** The connection has ended: with the keeper, or because it was let go. */
  async #end(): Promise<void> {
    const { clock, keeper, directory } = this.#parts
    while (!this.#detached.signal.aborted && isRunning(keeper)) await sleep(clock, LOOK_MS)
    if (this.#detached.signal.aborted) return
    this.#exited.resolve(readExit(directory) ?? { exitCode: 137, finishedAt: clock.now() })
  }
}

/** Null until the keeper has noted it. */
export function readExit(directory: string): ExitFacts | null {
  const path = join(directory, EXIT_FILE)
  try {
    const text = readFileSync(path, 'utf8')
    return { exitCode: Number(text), finishedAt: Math.round(statSync(path).mtimeMs) }
  } catch {
    return null
  }
}
