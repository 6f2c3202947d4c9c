/** Ends a node's pods because its machine goes down: the node says so, takes no more, and ends them by priority. */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import type { Pod } from '../../../kube/types.ts'
import type { PodFailure } from '../pod-failure.ts'
import { LogindWatch } from './logind.ts'
import { planShutdown, SHUTDOWN_REFUSAL, type ShutdownStep, shutdownMs } from './plan-shutdown.ts'

export interface NodeShutdownParts {
  readonly steps: readonly ShutdownStep[]
  /** Those that are not over. */
  readonly pods: () => readonly Pod[]
  /** Resolves once nothing of the pod runs and its status is told. */
  readonly end: (pod: Pod, failure: PodFailure) => Promise<void>
  /** The node goes down, or stays up after all. */
  readonly onChange: (isDown: boolean) => Promise<void>
  readonly clock: Clock
  readonly log: Log
}

export class NodeShutdown {
  readonly #parts: NodeShutdownParts
  #isDown = false

  constructor(parts: NodeShutdownParts) {
    this.#parts = parts
  }

  get isDown(): boolean {
    return this.#isDown
  }

  refusal(): PodFailure | null {
    return this.#isDown ? SHUTDOWN_REFUSAL : null
  }

  /** Heeds the machine's own shutdowns, where somebody tells of them and pods are to get time. */
  watch(signal: AbortSignal): void {
    const { steps, clock, log } = this.#parts
    if (steps.length === 0) return
    const watch = new LogindWatch({
      ...{ clock, log, delayMs: shutdownMs(steps) },
      onShutdown: () => this.run(),
      onCancelled: () => this.#cancel(),
    })
    void watch.run(signal)
  }

  async run(): Promise<void> {
    if (this.#isDown) return
    const { steps, pods, end, clock, log, onChange } = this.#parts
    this.#isDown = true
    log.info('the machine goes down, and its pods end')
    // Nobody waits for an API that may have gone down already.
    void onChange(true)
    for (const group of planShutdown(pods(), steps)) {
      const ended = Promise.all(group.pods.map(({ pod, failure }) => end(pod, failure)))
      const late = new AbortController()
      await Promise.race([ended, sleep(clock, group.graceMs, late.signal).catch(() => {})])
      late.abort()
    }
  }

  #cancel(): void {
    this.#isDown = false
    this.#parts.log.info('the machine stays up')
    void this.#parts.onChange(false)
  }
}
