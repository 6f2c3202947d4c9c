/** What other nodes may have of this node's images: blobs and manifests by digest, and tags of images that are free to all. */
import { type Clock, endsWithin } from '../../../../../base/clock.ts'
import { longImageName } from '../../../image-name.ts'
import type { ImageContent, ImagePart, WantedPart } from '../../runtime.ts'
import type { ImageStore } from './image-store.ts'

/** A node waits so long for a blob that this one is getting. */
const WAIT_MS_MAX = 60_000
const DIGEST = /^sha256:[0-9a-f]{64}$/

export interface ContentParts {
  readonly store: ImageStore
  /** The end of a blob's way into the store; undefined when it is not on it. */
  readonly coming: (digest: string) => Promise<unknown> | undefined
  readonly clock: Clock
}

export function imageContent({ store, coming, clock }: ContentParts): ImageContent {
  const digestOf = async ({ registry, repository, reference, architecture }: WantedPart) => {
    if (DIGEST.test(reference)) return reference
    const found = await store.find(longImageName(`${registry}/${repository}:${reference}`))
    // Who may have it is the registry's to say, and its architecture is ours.
    const isFree = found !== null && found.isPrivate !== true && architecture === process.arch
    return isFree ? found.manifest : undefined
  }
  return {
    async find(wanted): Promise<ImagePart | null> {
      const digest = await digestOf(wanted)
      if (digest === undefined) return null
      const way = wanted.waits ? coming(digest) : undefined
      if (way !== undefined) await endsWithin(clock, WAIT_MS_MAX, way)
      if (!store.blobs.has(digest)) return null
      const sizeBytes = await store.blobs.sizeOf(digest)
      return { digest, sizeBytes, read: fromByte => store.blobs.read(digest, fromByte) }
    },
  }
}
