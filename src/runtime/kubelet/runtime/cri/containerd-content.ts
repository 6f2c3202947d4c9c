/** What other nodes may have of the images in a containerd of our own: manifests and blobs, by digest only. */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageContent, ImagePart } from '../runtime.ts'

const DIGEST = /^sha256:([0-9a-f]{64})$/

/** `root` is containerd's own; what is in its store is whole, and named by what it is. */
export function containerdContent(root: string): ImageContent {
  const directory = join(root, 'io.containerd.content.v1.content', 'blobs', 'sha256')
  return {
    async find({ reference }): Promise<ImagePart | null> {
      const hex = DIGEST.exec(reference)?.[1]
      if (hex === undefined) return null
      const path = join(directory, hex)
      const found = await stat(path).catch(() => null)
      if (found === null || !found.isFile()) return null
      const read = (fromByte: number) => createReadStream(path, { start: fromByte })
      return { digest: reference, sizeBytes: found.size, read }
    },
  }
}
