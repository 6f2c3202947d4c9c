/** What a node does beside running pods: rotates logs, collects images. */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { ImageCollector } from './collection/image-collector.ts'
import { LogRotator } from './collection/log-rotator.ts'
import { readDisk } from './host-facts.ts'
import type { KubeletDirectories } from './kubelet-parts.ts'
import type { Runtime } from './runtime/runtime.ts'
import { readNodeUsage } from './stats/node-usage.ts'
import { UsageSampler } from './stats/usage-sampler.ts'

export interface HousekeepingParts {
  readonly runtime: Runtime
  readonly directories: Pick<KubeletDirectories, 'pods' | 'logs'>
  readonly onNodeEvent: (reason: string, message: string) => void
  readonly clock: Clock
  readonly log: Log
}

export class Housekeeping {
  readonly #logs: LogRotator
  readonly #images: ImageCollector

  readonly sampler: UsageSampler

  constructor({ runtime, directories, clock, log, onNodeEvent }: HousekeepingParts) {
    const nodeDirectory = directories.pods
    const imageDirectory = async () => (await runtime.images?.directory()) ?? nodeDirectory
    const readNode = (nowMs: number) => readNodeUsage({ nodeDirectory, imageDirectory }, nowMs)
    this.sampler = new UsageSampler({ runtime, readNode, clock })
    this.#logs = new LogRotator({ runtime, clock, log })
    this.#images = new ImageCollector({ runtime, readDisk, clock, log, onEvent: onNodeEvent })
  }

  /** Goes on in the background until the signal fires. */
  start(signal: AbortSignal): void {
    void this.#logs.run(signal)
    void this.#images.run(signal)
  }
}
