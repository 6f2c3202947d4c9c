/** Takes an archive of images into the store: docker's (`docker save`) or OCI's, compressed or not. */
import { createReadStream } from 'node:fs'
import { posix } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { extract } from 'tar-stream'
import { Mk8sError, messageOf, systemCodeOf } from '../../../../../base/errors.ts'
import { isMap } from '../../../../../kube/json-map.ts'
import { imageNameProblem, longImageName } from '../../../image-name.ts'
import { exportImages } from './export-images.ts'
import { type ImageRecord, ImageStore } from './image-store.ts'
import {
  asImage,
  asIndex,
  asManifest,
  choosePlatform,
  type Descriptor,
  DOCUMENT_BYTES_MAX,
  LAYERS_MAX,
  parseDocument,
} from './manifests.ts'

const NAME_KEYS = ['io.containerd.image.name', 'org.opencontainers.image.ref.name']
const ENTRIES_MAX = 100_000
const GZIP = Buffer.from([0x1f, 0x8b])
const ZSTD = Buffer.from([0x28, 0xb5, 0x2f, 0xfd])

interface Found {
  /** By path in the archive. */
  readonly files: Map<string, Descriptor>
}

interface DockerImage {
  readonly Config: string
  readonly RepoTags?: readonly string[] | null
  readonly Layers: readonly string[]
}

/** All of them or none: returns the names of the images that were in it. */
export async function importImages(
  store: ImageStore,
  archive: string | Uint8Array,
): Promise<readonly string[]> {
  await store.prepare()
  const files = new Map<string, Descriptor>()
  try {
    return await store.gate.whileOpen(() => importAll(store, archive, files))
  } finally {
    // What belongs to no image, such as the archive's own lists, and all of it when it is damaged.
    await store.forget([...files.values()].map(({ digest }) => digest))
  }
}

/**
 * The same images as one plain OCI archive, for stores that believe any archive; `directory` is for what is in between.
 * Throws before the first byte when the archive is damaged.
 */
export async function cleanArchive(directory: string, archive: string): Promise<CleanArchive> {
  const store = new ImageStore(directory)
  await store.prepare()
  const named = await readAll(store, archive, new Map())
  const images = await Promise.all(
    named.map(async ({ name, manifest: { digest } }) => {
      const { config, layers } = asManifest(parseDocument(await store.blobs.document(digest), 'a manifest'))
      const blobs = [digest, config.digest, ...layers.map(layer => layer.digest)]
      return { name: longImageName(name), manifest: digest, blobs }
    }),
  )
  const bytes = Readable.from(exportImages(store.blobs, images), { objectMode: false })
  return { bytes, names: images.map(({ name }) => name) }
}

export interface CleanArchive {
  readonly bytes: Readable
  /** Of the images in it. */
  readonly names: readonly string[]
}

async function importAll(
  store: ImageStore,
  archive: string | Uint8Array,
  files: Map<string, Descriptor>,
): Promise<readonly string[]> {
  const named = await readAll(store, archive, files)
  const records: ImageRecord[] = []
  for (const { name, manifest } of named) {
    const unpacked = store.unpack(name, manifest).catch(error => {
      throw refusal(nameOf(archive), error)
    })
    records.push(await unpacked)
  }
  for (const record of records) await store.keep(record)
  return records.map(({ name }) => name)
}

const nameOf = (archive: string | Uint8Array) => (typeof archive === 'string' ? archive : 'the archive')

async function readAll(
  store: ImageStore,
  archive: string | Uint8Array,
  files: Map<string, Descriptor>,
): Promise<readonly Named[]> {
  const about = nameOf(archive)
  const fail = (error: Error): never => {
    throw refusal(about, error)
  }
  await readArchive(store, archive, files).catch(fail)
  const named = await namedImages(store, { files }).catch(fail)
  if (named === undefined) throw refusal(about, new Error('it has neither an index.json nor a manifest.json'))
  for (const { name } of named) {
    const problem = imageNameProblem(name)
    if (problem !== undefined)
      fail(new Error(`${JSON.stringify(name)} cannot be an image's name: ${problem}`))
  }
  if (named.length > 0) return named
  throw new Mk8sError('config/invalid', 'the archive holds no image with a name for this machine', {
    hint: 'give it one, as docker save NAME:TAG does',
  })
}

function refusal(about: string, cause: Error): Mk8sError {
  if (['ENOSPC', 'EDQUOT'].includes(systemCodeOf(cause) ?? '')) {
    const hint = 'make room on the disk of the data directory'
    return new Mk8sError('host/disk', `there is no room for ${about}`, { why: cause.message, hint, cause })
  }
  return new Mk8sError('config/invalid', `${about} cannot be imported`, {
    why: cause.message,
    hint: 'an image archive is what docker save or an OCI tool writes',
    cause,
  })
}

/** Every file becomes a blob: what it is called by shows only at the end. */
async function readArchive(
  store: ImageStore,
  archive: string | Uint8Array,
  files: Map<string, Descriptor>,
): Promise<void> {
  const links = new Map<string, string>()
  const tar = extract()
  const feeding = pipeline(await open(archive), tar)
  feeding.catch(error => tar.destroy(endsEarly(error) ? new Error(CUT_SHORT) : error))
  for await (const entry of tar) {
    const { name, type, linkname } = entry.header
    const path = posix.normalize(name)
    if (files.size + links.size > ENTRIES_MAX) throw new Error(`it has more than ${ENTRIES_MAX} entries`)
    if (type === 'file') files.set(path, await store.blobs.write(entry as AsyncIterable<Uint8Array>))
    else if (type === 'symlink') links.set(path, posix.join(posix.dirname(path), linkname ?? ''))
    else if (type === 'link') links.set(path, posix.normalize(linkname ?? ''))
    entry.resume()
  }
  await feeding
  for (const [path, target] of links) {
    const file = files.get(target)
    if (file !== undefined) files.set(path, file)
  }
}

const CUT_SHORT = 'it ends in the middle of a file'
const endsEarly = (error: unknown): boolean =>
  messageOf(error) === 'Unexpected end of data' || systemCodeOf(error) === 'ERR_STREAM_PREMATURE_CLOSE'

async function open(archive: string | Uint8Array): Promise<Readable> {
  const source =
    typeof archive === 'string' ? createReadStream(archive) : Readable.from([archive], { objectMode: false })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  source.once('readable', resolve).once('end', resolve).once('error', reject)
  await promise
  const head = source.read() as Buffer | null
  if (head === null) return source
  source.unshift(head)
  const isGzip = head.subarray(0, 2).equals(GZIP)
  if (!isGzip && !head.subarray(0, 4).equals(ZSTD)) return source
  const plain = isGzip ? createGunzip() : createZstdDecompress()
  pipeline(source, plain).catch(error => plain.destroy(error))
  return plain
}

interface Named {
  readonly name: string
  readonly manifest: Descriptor
}

/** Undefined when it is no archive of images at all. */
async function namedImages(store: ImageStore, found: Found): Promise<Named[] | undefined> {
  const named = (await ociImages(store, found)) ?? (await dockerImages(store, found))
  for (const { manifest } of named ?? []) {
    const { config, layers } = asManifest(
      parseDocument(await store.blobs.document(manifest.digest), 'a manifest'),
    )
    const lost = [config, ...layers].find(({ digest }) => !store.blobs.has(digest))
    if (lost !== undefined) throw new Error(`${lost.digest} is not in it, or is damaged`)
  }
  return named
}

async function ociImages(store: ImageStore, { files }: Found): Promise<Named[] | undefined> {
  const file = files.get('index.json')
  if (file === undefined) return undefined
  const index = asIndex(parseDocument(await store.blobs.document(file.digest), 'index.json'))
  const named: Named[] = []
  for (const entry of index?.manifests ?? []) {
    const name = NAME_KEYS.map(key => entry.annotations?.[key]).find(each => each?.includes(':'))
    const manifest = await manifestFor(store, entry)
    if (name !== undefined && manifest !== undefined) named.push({ name, manifest })
  }
  // Docker's own list says the names too, and more plainly.
  return named.length === 0 && files.has('manifest.json') ? undefined : named
}

/** Through an index of several platforms, if it is one. */
async function manifestFor(store: ImageStore, entry: Descriptor): Promise<Descriptor | undefined> {
  if (!store.blobs.has(entry.digest)) return undefined
  const document = parseDocument(await store.blobs.document(entry.digest), 'a manifest')
  const index = asIndex(document)
  if (index === undefined) {
    asManifest(document)
    return choosePlatform({ manifests: [entry] })
  }
  const chosen = choosePlatform(index)
  return chosen !== undefined && store.blobs.has(chosen.digest) ? chosen : undefined
}

async function dockerImages(store: ImageStore, { files }: Found): Promise<Named[] | undefined> {
  const file = files.get('manifest.json')
  if (file === undefined || file.size > DOCUMENT_BYTES_MAX) return undefined
  const images = parseDocument(await store.blobs.document(file.digest), 'manifest.json')
  const named: Named[] = []
  for (const { Config, RepoTags, Layers } of dockerList(images)) {
    const config = files.get(posix.normalize(Config))
    const layers = Layers.slice(0, LAYERS_MAX).map(layer => files.get(posix.normalize(layer)))
    if (config === undefined || layers.includes(undefined))
      throw new Error('a file of the image is not in it')
    asImage(parseDocument(await store.blobs.document(config.digest), 'the configuration'), layers.length)
    const typed = await Promise.all((layers as Descriptor[]).map(layer => withType(store, layer)))
    const manifest = await store.blobs.write(manifestOf(config, typed))
    for (const name of RepoTags ?? []) named.push({ name, manifest })
  }
  return named
}

function dockerList(images: unknown): readonly DockerImage[] {
  const isName = (value: unknown) => typeof value === 'string'
  const isImage = (value: unknown) => {
    if (!isMap(value)) return false
    const { Config, RepoTags, Layers } = value
    return isName(Config) && Array.isArray(Layers) && [Layers, RepoTags ?? []].flat().every(isName)
  }
  if (Array.isArray(images) && images.every(isImage)) return images
  throw new Error('its manifest.json is no list of images')
}

/** The list does not say how a layer is packed, and containerd believes its type. */
async function withType(store: ImageStore, { digest, size }: Descriptor): Promise<Descriptor> {
  let head = Buffer.alloc(0)
  for await (const chunk of store.blobs.read(digest)) {
    head = Buffer.from(chunk)
    break
  }
  const packed = head.subarray(0, 2).equals(GZIP) ? '+gzip' : head.subarray(0, 4).equals(ZSTD) ? '+zstd' : ''
  return { mediaType: `${TYPE}.layer.v1.tar${packed}`, digest, size }
}

const TYPE = 'application/vnd.oci.image'

async function* manifestOf(config: Descriptor, layers: readonly Descriptor[]): AsyncGenerator<Uint8Array> {
  const document = {
    schemaVersion: 2,
    mediaType: `${TYPE}.manifest.v1+json`,
    config: { mediaType: `${TYPE}.config.v1+json`, ...config },
    layers,
  }
  yield Buffer.from(JSON.stringify(document))
}
