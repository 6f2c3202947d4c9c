/** What a node does beside running pods: rotates logs, collects images. */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { ImageCollector } from './collection/image-collector.ts'
import { LogRotator } from './collection/log-rotator.ts'
import { readDisk } from './host-facts.ts'
import type { Runtime } from './runtime/runtime.ts'

export interface HousekeepingParts {
  readonly runtime: Runtime
  readonly onNodeEvent: (reason: string, message: string) => void
  readonly clock: Clock
  readonly log: Log
}

export class Housekeeping {
  readonly #logs: LogRotator
  readonly #images: ImageCollector

  constructor({ runtime, clock, log, onNodeEvent }: HousekeepingParts) {
    this.#logs = new LogRotator({ runtime, clock, log })
    this.#images = new ImageCollector({ runtime, readDisk, clock, log, onEvent: onNodeEvent })
  }

  /** Goes on in the background until the signal fires. */
  start(signal: AbortSignal): void {
    void this.#logs.run(signal)
    void this.#images.run(signal)
  }
}
