/** Removes unused images when the disk that holds them fills up; looks every five minutes. */
import { type Clock, sleep } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { longImageName } from '../image-name.ts'
import type { ContainerStatus, Runtime } from '../runtime/runtime.ts'
import type { StoredImage } from '../runtime/usage.ts'
import {
  bytesToFree,
  type DiskState,
  IMAGE_LIMITS,
  type ImageHistory,
  type ImageLimits,
  imagesToRemove,
  shortfallMessage,
} from './plan-images.ts'

export interface ImageCollectorParts {
  readonly runtime: Pick<Runtime, 'images' | 'listContainers'>
  readonly readDisk: (directory: string) => Promise<DiskState>
  /** About the node. */
  readonly onEvent: (reason: string, message: string) => void
  readonly clock: Clock
  readonly log: Log
  readonly limits?: ImageLimits
  /** What pods of this node have as volumes, by reference. */
  readonly mounted?: () => readonly string[]
}

const LOOK_MS = 300_000

export class ImageCollector {
  readonly #parts: ImageCollectorParts
  readonly #history = new Map<string, ImageHistory>()

  constructor(parts: ImageCollectorParts) {
    this.#parts = parts
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, runtime, log } = this.#parts
    if (runtime.images === undefined) return
    while (!signal.aborted) {
      await this.collect().catch(error => {
        log.warn('images could not be collected', { error })
        this.#parts.onEvent('ImageGCFailed', messageOf(error))
      })
      await sleep(clock, LOOK_MS, signal).catch(() => {})
    }
  }

  /** Does nothing while the disk has room, but for remembering what is used. */
  async collect(): Promise<void> {
    const { runtime, readDisk, onEvent, limits = IMAGE_LIMITS } = this.#parts
    if (runtime.images === undefined) return
    const { images, containers } = await this.#look()
    const wanted = bytesToFree(await readDisk(await runtime.images.directory()), limits)
    if (wanted === 0) return
    const freed = await this.#free(images, containers, wanted, limits.leastAgeMs)
    if (freed < wanted) onEvent('FreeDiskSpaceFailed', shortfallMessage(wanted, freed))
  }

  /** All that nobody uses, whatever the disk says: the node is short of it. */
  async removeUnused(): Promise<number> {
    const { images, containers } = await this.#look()
    return this.#free(images, containers, Number.POSITIVE_INFINITY, 0)
  }

  async #look(): Promise<{ images: readonly StoredImage[]; containers: readonly ContainerStatus[] }> {
    const { runtime, clock } = this.#parts
    const images = (await runtime.images?.list()) ?? []
    const containers = await runtime.listContainers()
    const nowMs = clock.now()
    for (const image of images) {
      const { firstSeenMs = nowMs, lastUsedMs = 0 } = this.#history.get(image.id) ?? {}
      const isUsed = this.#isUsed(containers, image)
      this.#history.set(image.id, { firstSeenMs, lastUsedMs: isUsed ? nowMs : lastUsedMs })
    }
    const present = new Set(images.map(({ id }) => id))
    for (const id of this.#history.keys()) if (!present.has(id)) this.#history.delete(id)
    return { images, containers }
  }

  async #free(
    images: readonly StoredImage[],
    containers: readonly ContainerStatus[],
    wantedBytes: number,
    leastAgeMs: number,
  ): Promise<number> {
    const { runtime, clock, log } = this.#parts
    const inUse = (image: StoredImage) => this.#isUsed(containers, image)
    const facts = { history: this.#history, inUse, nowMs: clock.now(), leastAgeMs }
    let freed = 0
    for (const image of imagesToRemove(images, facts)) {
      if (freed >= wantedBytes) break
      log.info('an image that nobody uses is removed', { image: image.names[0] ?? image.id })
      try {
        await runtime.images?.remove(image.id)
        this.#history.delete(image.id)
        freed += image.sizeBytes
      } catch (error) {
        // The others may go all the same.
        log.warn('an image cannot be removed', { image: image.names[0] ?? image.id, error })
      }
    }
    return freed
  }

  #isUsed(containers: readonly ContainerStatus[], image: StoredImage): boolean {
    const mounted = this.#parts.mounted?.() ?? []
    return (
      containers.some(container => usesImage(container, image)) ||
      mounted.some(reference => image.names.includes(longImageName(reference)))
    )
  }
}

/** Containers that have ended may be started again, and count too. */
export function usesImage({ imageId, image }: ContainerStatus, { id, names }: StoredImage): boolean {
  return imageId === id || names.includes(imageId) || image === id || names.includes(image)
}
