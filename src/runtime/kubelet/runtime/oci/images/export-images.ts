/** Images of the store as an OCI archive, written piece by piece: what import takes, here and elsewhere. */
import { renderFileHeader, renderTar, TAR_BLOCK, tarPadding } from '../../../../../base/tar.ts'
import type { BlobStore } from './blobs.ts'
import type { ImageRecord } from './image-store.ts'
import { MANIFEST_TYPES } from './manifests.ts'

const MODE = 0o644
const INDEX_TYPE = MANIFEST_TYPES[0]
const MANIFEST_TYPE = MANIFEST_TYPES[1]

export async function* exportImages(
  blobs: BlobStore,
  records: readonly Pick<ImageRecord, 'name' | 'manifest' | 'blobs'>[],
): AsyncGenerator<Uint8Array> {
  const manifests = []
  for (const { name, manifest: digest } of records) {
    const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': tagOf(name) }
    const { length: size } = await blobs.document(digest)
    manifests.push({ mediaType: await typeOf(blobs, digest), digest, size, annotations })
  }
  yield* textFile('oci-layout', { imageLayoutVersion: '1.0.0' })
  yield* textFile('index.json', { schemaVersion: 2, mediaType: INDEX_TYPE, manifests })
  for (const digest of new Set(records.flatMap(record => record.blobs))) yield* blobFile(blobs, digest)
  yield renderTar([])
}

async function typeOf(blobs: BlobStore, digest: string): Promise<string> {
  const { mediaType } = JSON.parse((await blobs.document(digest)).toString('utf8')) as { mediaType?: string }
  return mediaType ?? MANIFEST_TYPE
}

/** What stands behind the last colon; a name with a digest has no tag. */
const tagOf = (name: string): string => (name.includes('@') ? '' : name.slice(name.lastIndexOf(':') + 1))

function* textFile(name: string, value: object): Generator<Uint8Array> {
  const content = Buffer.from(JSON.stringify(value))
  yield* [renderFileHeader({ name, mode: MODE, size: content.length }), content, padding(content.length)]
}

async function* blobFile(blobs: BlobStore, digest: string): AsyncGenerator<Uint8Array> {
  const size = await blobs.sizeOf(digest)
  yield renderFileHeader({ name: `blobs/${digest.replace(':', '/')}`, mode: MODE, size })
  yield* blobs.read(digest)
  yield padding(size)
}

const padding = (size: number): Buffer => Buffer.alloc(tarPadding(size) % TAR_BLOCK)
