/**
 * How much the directories of `hostpath-storage` hold. Nothing keeps a pod from writing more than its claim asks
 * for, so whoever does is told; nobody is ended for it, since what is in a volume is what pods are for.
 */
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Log } from '../../../base/log.ts'
import type { EventRecorder } from '../../../client/event-recorder.ts'
import type { KubeClient } from '../../../client/kube-client.ts'
import { PERSISTENT_VOLUMES } from '../../../client/resources.ts'
import { parseQuantity } from '../../../kube/quantity.ts'
import type { PersistentVolume } from '../../../kube/types.ts'
import { usedBytes } from '../stats/local-storage.ts'
import type { ClaimedPlace } from './claim-volumes.ts'

/** Whole trees are walked, so seldom. */
const LOOK_MS = 300_000
const NANO = 1_000_000_000n
const MIB = 1024 ** 2

export interface HostpathUsageParts {
  readonly client: KubeClient
  readonly recorder: EventRecorder
  readonly clock: Clock
  readonly log: Log
  /** What pods that run here have. */
  readonly places: () => readonly ClaimedPlace[]
}

export interface DirectoryUse {
  readonly usedBytes: number
  readonly sizeBytes: number
}

export class HostpathUsage {
  readonly #parts: HostpathUsageParts
  #sizes: ReadonlyMap<string, number> = new Map()

  constructor(parts: HostpathUsageParts) {
    this.#parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#parts.clock, LOOK_MS, signal).catch(() => {})
      if (!signal.aborted) await this.look()
    }
  }

  /** Says of every volume that holds too much that it does. */
  async look(): Promise<void> {
    const own = this.#parts.places().filter(({ sort }) => sort === 'directory')
    const sizes = new Map<string, number>()
    for (const place of new Map(own.map(each => [each.volumeName, each])).values()) {
      try {
        sizes.set(place.volumeName, await this.#lookAt(place))
      } catch (error) {
        this.#parts.log.debug('a volume could not be measured', { volume: place.volumeName, error })
      }
    }
    this.#sizes = sizes
  }

  /** For `/stats/summary`; the size is that of the last look. */
  async useOf({ volumeName, path }: ClaimedPlace): Promise<DirectoryUse> {
    const sizeBytes = this.#sizes.get(volumeName) ?? (await this.#read(volumeName)).sizeBytes
    return { usedBytes: await usedBytes(path), sizeBytes }
  }

  async #lookAt({ volumeName, path }: ClaimedPlace): Promise<number> {
    const { sizeBytes, claimRef } = await this.#read(volumeName)
    const used = await usedBytes(path)
    const message = overuse(volumeName, { usedBytes: used, sizeBytes })
    if (message !== null && claimRef !== undefined) {
      const reference = { ...claimRef, apiVersion: 'v1', kind: 'PersistentVolumeClaim' }
      this.#parts.recorder.recordReference(reference, 'Warning', 'VolumeSizeExceeded', message)
    }
    return sizeBytes
  }

  async #read(name: string) {
    const { spec } = await this.#parts.client.get<PersistentVolume>(PERSISTENT_VOLUMES, { name })
    const sizeBytes = Number(parseQuantity(spec?.capacity?.['storage'] ?? '0').nano / NANO)
    return { sizeBytes, claimRef: spec?.claimRef }
  }
}

/** Null while it holds what it may. */
export function overuse(volume: string, { usedBytes: used, sizeBytes }: DirectoryUse): string | null {
  if (used <= sizeBytes) return null
  const [holds, asks] = [used, sizeBytes].map(bytes => `${Math.ceil(bytes / MIB)}Mi`)
  return `volume "${volume}" holds ${holds}, more than the ${asks} that the claim asks for; the size of hostpath-storage is not enforced, and the node's disk is shared by all of its volumes`
}
