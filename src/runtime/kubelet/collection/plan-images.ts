/** Which images to remove when their disk is full (pure), as upstream's image garbage collector. */
import type { StoredImage } from '../runtime/usage.ts'

export interface ImageLimits {
  /** Per cent of the disk at which collecting begins, and down to which it goes. */
  readonly highPercent: number
  readonly lowPercent: number
  /** Younger ones stay: somebody may be about to use them. */
  readonly leastAgeMs: number
}

/** imageGCHighThresholdPercent, imageGCLowThresholdPercent, imageMinimumGCAge. */
export const IMAGE_LIMITS: ImageLimits = { highPercent: 85, lowPercent: 80, leastAgeMs: 120_000 }

export interface DiskState {
  readonly capacityBytes: number
  readonly availableBytes: number
}

export interface ImageHistory {
  readonly firstSeenMs: number
  /** 0 for never. */
  readonly lastUsedMs: number
}

/** What is to be freed; 0 while the disk has room. */
export function bytesToFree({ capacityBytes, availableBytes }: DiskState, limits: ImageLimits): number {
  if (capacityBytes === 0) return 0
  const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes)
  if (usedPercent < limits.highPercent) return 0
  return Math.max(0, Math.floor((capacityBytes * (100 - limits.lowPercent)) / 100) - availableBytes)
}

/** Those that no container uses: not used for the longest time first, then first come, first gone. */
export function imagesToRemove(
  images: readonly StoredImage[],
  facts: {
    readonly history: ReadonlyMap<string, ImageHistory>
    readonly inUse: (image: StoredImage) => boolean
    readonly nowMs: number
    readonly leastAgeMs: number
  },
): StoredImage[] {
  const historyOf = ({ id }: StoredImage) =>
    facts.history.get(id) ?? { firstSeenMs: facts.nowMs, lastUsedMs: 0 }
  return images
    .filter(image => !image.isPinned && !facts.inUse(image))
    .filter(image => facts.nowMs - historyOf(image).firstSeenMs >= facts.leastAgeMs)
    .sort((a, b) => {
      const [left, right] = [historyOf(a), historyOf(b)]
      return left.lastUsedMs - right.lastUsedMs || left.firstSeenMs - right.firstSeenMs
    })
}

/** The event when removing all that may be removed was not enough. */
export function shortfallMessage(wantedBytes: number, freedBytes: number): string {
  const wanted = `Attempted to free ${wantedBytes} bytes, but only found ${freedBytes} bytes eligible to free.`
  return `Failed to garbage collect required amount of images. ${wanted}`
}
