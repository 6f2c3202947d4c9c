/** Asks the container runtime every few seconds how it is; what it says makes the node Ready or not. */
import { type Clock, sleep } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Runtime } from './runtime/runtime.ts'

const LOOK_MS = 5_000
/** A runtime that is started again in the meantime has not been down. */
const SILENT_MS_MAX = 30_000

export interface RuntimeWatchParts {
  readonly runtime: Pick<Runtime, 'problem'>
  readonly clock: Clock
  readonly log: Log
  /** What is wrong has become something else; empty when nothing is. */
  readonly onChange: (problem: string) => void
}

export class RuntimeWatch {
  readonly #parts: RuntimeWatchParts
  #problem = ''
  #answeredMs: number

  constructor(parts: RuntimeWatchParts) {
    this.#parts = parts
    this.#answeredMs = parts.clock.monotonic()
  }

  /** In the background until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { runtime, clock, onChange } = this.#parts
    if (runtime.problem === undefined) return
    this.#answeredMs = clock.monotonic()
    while (!signal.aborted) {
      await sleep(clock, LOOK_MS, signal).catch(() => {})
      if (signal.aborted) return
      const problem = await this.#look()
      if (problem === this.#problem || signal.aborted) continue
      this.#problem = problem
      onChange(problem)
    }
  }

  async #look(): Promise<string> {
    const { runtime, clock, log } = this.#parts
    try {
      const problem = (await runtime.problem?.()) ?? ''
      this.#answeredMs = clock.monotonic()
      return problem
    } catch (error) {
      log.debug('the container runtime does not answer', { error: messageOf(error) })
      return clock.monotonic() - this.#answeredMs < SILENT_MS_MAX
        ? this.#problem
        : 'container runtime is down'
    }
  }
}
