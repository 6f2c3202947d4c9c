/** Watches what a node has left; under pressure it first frees what nobody uses, then evicts one pod at a time. */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import type { Pod } from '../../../kube/types.ts'
import type { KubeletDirectories } from '../kubelet-parts.ts'
import type { PodFailure } from '../pod-failure.ts'
import type { ContainerStatus, Runtime } from '../runtime/runtime.ts'
import { localUseOf } from '../stats/local-storage.ts'
import type { NodeUsage } from '../stats/node-usage.ts'
import { runningOf } from '../stats/render-summary.ts'
import type { UsageSample, UsageSampler } from '../stats/usage-sampler.ts'
import { DEFAULT_PRESSURE, type PressureSettings } from './eviction-settings.ts'
import { exceededLimit, hasLocalLimits } from './local-limits.ts'
import { evictionMessage, type PodUse, rankPods } from './rank.ts'
import {
  CONDITION_OF,
  dueOf,
  nextHeld,
  nextPressures,
  type Observations,
  type Pressure,
  type PressureType,
  RESOURCE_OF,
  type Threshold,
  unmet,
} from './thresholds.ts'

export interface PressureWatchParts {
  readonly runtime: Pick<Runtime, 'listContainers'>
  readonly sampler: UsageSampler
  readonly readNode: (nowMs: number) => Promise<NodeUsage>
  readonly directories: Pick<KubeletDirectories, 'pods' | 'logs'>
  /** Those that are neither over nor ending. */
  readonly pods: () => readonly Pod[]
  /** Resolves once nothing is left of it. */
  readonly evict: (pod: Pod, failure: PodFailure) => Promise<void>
  /** Frees what nobody uses; returns how many bytes. */
  readonly removeUnusedImages: () => Promise<number>
  readonly onChange: (pressures: readonly PressureType[]) => void
  readonly onNodeEvent: (reason: string, message: string) => void
  readonly settings?: PressureSettings
  readonly clock: Clock
  readonly log: Log
}

/** What a pod gets that the node cannot keep. */
const GRACE_MS = 1_000
/** podCleanupTimeout. */
const CLEAN_UP_MS = 30_000

export class PressureWatch {
  readonly #parts: PressureWatchParts
  readonly #settings: PressureSettings
  #pressures: readonly Pressure[] = []
  /** Thresholds that are not met, and since when. */
  #held: ReadonlyMap<Threshold, number> = new Map()

  constructor(parts: PressureWatchParts) {
    this.#parts = parts
    this.#settings = parts.settings ?? DEFAULT_PRESSURE
  }

  get pressures(): readonly PressureType[] {
    return this.#pressures.map(({ type }) => type).sort()
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#parts
    while (!signal.aborted) {
      await this.look().catch(error => log.debug("the node's resources could not be looked at", { error }))
      await sleep(clock, this.#settings.lookMs, signal).catch(() => {})
    }
  }

  async look(): Promise<void> {
    const { clock, readNode, onNodeEvent } = this.#parts
    const { thresholds, transitionMs } = this.#settings
    const seen = observe(await readNode(clock.now()))
    const nowMs = clock.monotonic()
    const short = unmet(thresholds, seen, this.#held)
    this.#held = nextHeld(this.#held, short, nowMs)
    this.#tell(nextPressures(this.#pressures, short, { nowMs, transitionMs }))
    if (await this.#evictBeyondLimits()) return
    const [first] = dueOf(this.#held, nowMs)
    if (first === undefined) return
    const resource = RESOURCE_OF[first.signal]
    this.#parts.log.warn('the node is short of a resource', { resource, threshold: first.value })
    onNodeEvent('EvictionThresholdMet', `Attempting to reclaim ${resource}`)
    if (CONDITION_OF[first.signal] === 'DiskPressure' && (await this.#freeDisk())) return
    await this.#evictOne(first, seen)
  }

  #tell(next: readonly Pressure[]): void {
    const before = this.pressures.join()
    this.#pressures = next
    if (this.pressures.join() !== before) this.#parts.onChange(this.pressures)
  }

  /** Whether that was enough. */
  async #freeDisk(): Promise<boolean> {
    const { removeUnusedImages, readNode, clock } = this.#parts
    if ((await removeUnusedImages()) === 0) return false
    const seen = observe(await readNode(clock.now()))
    return unmet(this.#settings.thresholds, seen, this.#held).length === 0
  }

  async #evictOne(threshold: Threshold, seen: Observations): Promise<void> {
    const { runtime, sampler, pods, evict } = this.#parts
    const containers = await runtime.listContainers()
    const sample = await sampler.sample()
    const uses = await Promise.all(pods().map(pod => this.#useOf(pod, threshold, containers, sample)))
    const [first] = rankPods(uses, threshold)
    const observation = seen[threshold.signal]
    if (first === undefined || observation === undefined) return
    const message = evictionMessage(first, threshold, observation)
    const graceMs = threshold.graceMs === undefined ? GRACE_MS : this.#softGraceMs(first.pod)
    await this.#waitFor(evict(first.pod, { reason: 'Evicted', message, isDisruption: true, graceMs }))
  }

  #softGraceMs({ spec }: Pod): number {
    const ownMs = (spec?.terminationGracePeriodSeconds ?? 30) * 1_000
    return Math.min(ownMs, this.#settings.maxPodGraceMs ?? 0)
  }

  /** What a pod leaves free shows only then. */
  async #waitFor(evicted: Promise<void>): Promise<void> {
    await Promise.race([evicted, sleep(this.#parts.clock, CLEAN_UP_MS)])
  }

  async #useOf(
    pod: Pod,
    { signal }: Threshold,
    containers: readonly ContainerStatus[],
    sample: UsageSample,
  ): Promise<PodUse> {
    const resource = RESOURCE_OF[signal]
    const running = runningOf(pod, containers, sample)
    const used = running.map(({ status, rated: { usage } }) => {
      if (resource === 'memory') return [status.name, usage.workingSetBytes] as const
      return [status.name, resource === 'pids' ? usage.processes : (usage.writable?.bytes ?? 0)] as const
    })
    const isDisk = resource === 'ephemeral-storage'
    const local = isDisk ? await localUseOf(pod, this.#parts.directories) : null
    const volumes = [...(local?.emptyDirs.values() ?? [])].reduce((sum, bytes) => sum + bytes, 0)
    return { pod, containers: new Map(used), otherUse: volumes + (local?.logBytes ?? 0) }
  }

  async #evictBeyondLimits(): Promise<boolean> {
    const { pods, evict, directories, runtime, sampler } = this.#parts
    const limited = pods().filter(hasLocalLimits)
    if (limited.length === 0) return false
    const containers = await runtime.listContainers()
    const sample = await sampler.sample()
    let hasEvicted = false
    for (const pod of limited) {
      const running = runningOf(pod, containers, sample)
      const written = running.map(
        ({ status, rated }) => [status.name, rated.usage.writable?.bytes ?? 0] as const,
      )
      const message = exceededLimit(pod, await localUseOf(pod, directories), new Map(written))
      if (message === null) continue
      await this.#waitFor(evict(pod, { reason: 'Evicted', message, isDisruption: true, graceMs: GRACE_MS }))
      hasEvicted = true
    }
    return hasEvicted
  }
}

function observe(node: NodeUsage): Observations {
  const { nodeDisk, imageDisk } = node
  return {
    'memory.available': { available: node.availableBytes, capacity: node.memoryBytes },
    'nodefs.available': { available: nodeDisk.availableBytes, capacity: nodeDisk.capacityBytes },
    'nodefs.inodesFree': { available: nodeDisk.inodesFree, capacity: nodeDisk.inodes },
    'imagefs.available': { available: imageDisk.availableBytes, capacity: imageDisk.capacityBytes },
    'imagefs.inodesFree': { available: imageDisk.inodesFree, capacity: imageDisk.inodes },
    'pid.available': { available: node.processesMax - node.processes, capacity: node.processesMax },
  }
}
