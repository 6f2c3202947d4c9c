/** What a node does beside running pods: rotates logs, collects images, watches what it has left. */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Pod } from '../../kube/types.ts'
import { ImageCollector } from './collection/image-collector.ts'
import { LogRotator } from './collection/log-rotator.ts'
import { readDisk } from './host-facts.ts'
import type { KubeletDirectories } from './kubelet-parts.ts'
import type { PodFailure } from './pod-failure.ts'
import { refusalOf } from './pressure/admission.ts'
import type { PressureSettings } from './pressure/eviction-settings.ts'
import { PressureWatch } from './pressure/pressure-watch.ts'
import type { PressureType } from './pressure/thresholds.ts'
import type { Runtime } from './runtime/runtime.ts'
import { readNodeUsage } from './stats/node-usage.ts'
import { UsageSampler } from './stats/usage-sampler.ts'

export interface HousekeepingParts {
  readonly runtime: Runtime
  readonly directories: Pick<KubeletDirectories, 'pods' | 'logs'>
  readonly pressure: PressureSettings | undefined
  readonly pods: () => readonly Pod[]
  readonly evict: (pod: Pod, failure: PodFailure) => Promise<void>
  readonly onPressures: (pressures: readonly PressureType[]) => void
  readonly onNodeEvent: (reason: string, message: string) => void
  readonly clock: Clock
  readonly log: Log
}

export class Housekeeping {
  readonly sampler: UsageSampler
  readonly #logs: LogRotator
  readonly #images: ImageCollector
  readonly #pressure: PressureWatch
  readonly #isVirtual: boolean

  constructor(parts: HousekeepingParts) {
    const { runtime, directories, clock, log, onNodeEvent, pods, evict } = parts
    this.#isVirtual = runtime.isVirtual
    const nodeDirectory = directories.pods
    const imageDirectory = async () => (await runtime.images?.directory()) ?? nodeDirectory
    const readNode = (nowMs: number) => readNodeUsage({ nodeDirectory, imageDirectory }, nowMs)
    this.sampler = new UsageSampler({ runtime, readNode, clock })
    this.#logs = new LogRotator({ runtime, clock, log })
    const mounted = () => imagesMountedBy(pods())
    this.#images = new ImageCollector({ runtime, readDisk, clock, log, mounted, onEvent: onNodeEvent })
    this.#pressure = new PressureWatch({
      ...{ runtime, directories, clock, log, onNodeEvent, pods, evict, readNode },
      sampler: this.sampler,
      removeUnusedImages: () => this.#images.removeUnused(),
      onChange: parts.onPressures,
      ...(parts.pressure === undefined ? {} : { settings: parts.pressure }),
    })
  }

  /** Goes on in the background until the signal fires. */
  start(signal: AbortSignal): void {
    void this.#logs.run(signal)
    void this.#images.run(signal)
    // What simulated pods have and what the machine has are two things.
    if (!this.#isVirtual) void this.#pressure.run(signal)
  }

  /** Why a new pod is not taken in now. */
  refusalOf(pod: Pod): PodFailure | null {
    return refusalOf(pod, this.#pressure.pressures)
  }
}

const imagesMountedBy = (pods: readonly Pod[]): string[] =>
  pods.flatMap(({ spec }) =>
    (spec?.volumes ?? []).flatMap(({ image }) => (image?.reference ? [image.reference] : [])),
  )
