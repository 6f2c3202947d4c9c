/**
 * This node's images: names that lead to manifests, blobs by their digest, and layers unpacked for overlay. Everything
 * appears whole or not at all, so that commands beside the daemon may use it too.
 */
import { createHash, randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { must } from '../../../../../base/assert.ts'
import { GateLock } from '../../../../../host/gate-lock.ts'
import { longImageName } from '../../../image-name.ts'
import type { StoredImage } from '../../usage.ts'
import type { ImageConfig } from '../render-spec.ts'
import { BlobStore } from './blobs.ts'
import { asImage, asManifest, type Descriptor, type Manifest, parseDocument } from './manifests.ts'
import { unpackLayer } from './unpack-layer.ts'

/** What a name leads to. */
export interface ImageRecord {
  /** In its long form. */
  readonly name: string
  /** Digest of its configuration, which is its id. */
  readonly id: string
  readonly manifest: string
  /** It came from a registry, under this digest. */
  readonly repoDigest?: string
  readonly blobs: readonly string[]
  /** Names of directories of layers, the topmost first. */
  readonly layers: readonly string[]
  readonly config: ImageConfig
  readonly sizeBytes: number
  /** Its registry gave it for credentials only. */
  readonly isPrivate?: boolean
}

/** Short, since all of a container's have to fit into one page. */
const LAYER_NAME_DIGITS = 24

export class ImageStore {
  readonly blobs: BlobStore
  /** Whoever adds, or starts to use what is there, holds it open. */
  readonly gate: GateLock
  readonly #directory: string
  /** Unpackings under way, so that one layer is unpacked once. */
  readonly #unpacking = new Map<string, Promise<void>>()

  constructor(directory: string) {
    this.#directory = directory
    this.blobs = new BlobStore(directory)
    this.gate = new GateLock(join(directory, 'gate'))
  }

  /** Layers are named relative to it. */
  get layersDirectory(): string {
    return join(this.#directory, 'layers')
  }

  get #names(): string {
    return join(this.#directory, 'names')
  }

  async prepare(): Promise<void> {
    for (const path of [this.#names, this.layersDirectory])
      await mkdir(path, { recursive: true, mode: 0o700 })
    await this.blobs.prepare()
  }

  /** By a name, short or long, or by an id. */
  async find(image: string): Promise<ImageRecord | null> {
    if (/^(sha256:)?[0-9a-f]{64}$/.test(image)) {
      const id = image.startsWith('sha256:') ? image : `sha256:${image}`
      return (await this.list()).find(record => record.id === id) ?? null
    }
    return this.#read(this.#nameFile(longImageName(image)))
  }

  async list(): Promise<ImageRecord[]> {
    const files = await readdir(this.#names).catch(() => [])
    const records = await Promise.all(
      files.filter(name => name.endsWith('.json')).map(name => this.#read(join(this.#names, name))),
    )
    return records.filter(record => record !== null)
  }

  /** Unpacks what is not unpacked yet, and gives the image its name. All blobs are there. */
  async add(name: string, manifest: Descriptor, repoDigest?: string): Promise<ImageRecord> {
    return this.keep(await this.unpack(name, manifest, repoDigest))
  }

  /** From now on the image is there, under its name. */
  async keep(record: ImageRecord): Promise<ImageRecord> {
    await writeWhole(this.#nameFile(record.name), JSON.stringify(record))
    return record
  }

  /** Everything but its name. */
  async unpack(name: string, manifest: Descriptor, repoDigest?: string): Promise<ImageRecord> {
    const document = parseDocument(await this.blobs.document(manifest.digest), 'the manifest')
    const { config, layers } = asManifest(document)
    const bytes = await this.blobs.document(config.digest)
    const image = asImage(parseDocument(bytes, 'the configuration'), layers.length)
    const directories = await this.#unpack({ config, layers }, image.rootfs.diff_ids)
    return {
      name: longImageName(name),
      id: config.digest,
      manifest: manifest.digest,
      ...(repoDigest === undefined ? {} : { repoDigest }),
      blobs: [manifest.digest, config.digest, ...layers.map(({ digest }) => digest)],
      layers: directories.toReversed(),
      config: image.config ?? {},
      sizeBytes: [config, ...layers].reduce((sum, { size }) => sum + size, 0),
    }
  }

  /** All names of the image; its layers go once nobody needs them. */
  async remove(image: string): Promise<readonly string[]> {
    const found = await this.find(image)
    if (found === null) return []
    const names = (await this.list()).filter(({ id }) => id === found.id).map(({ name }) => name)
    for (const name of names) await rm(this.#nameFile(name), { force: true })
    return names
  }

  /**
   * Removes what belongs to no name; `used` tells the layers of containers that are there. False, and nothing done,
   * while images come in.
   */
  async collect(used: () => Promise<readonly string[]>): Promise<boolean> {
    const done = await this.gate.ifIdle(async () => {
      const records = await this.list()
      const blobs = new Set(records.flatMap(record => record.blobs))
      const layers = new Set([...records.flatMap(record => record.layers), ...(await used())])
      for (const digest of await this.blobs.list()) if (!blobs.has(digest)) await this.blobs.remove(digest)
      for (const name of await readdir(this.layersDirectory)) {
        // Moved, since to remove it may take long.
        if (!layers.has(name)) await rename(join(this.layersDirectory, name), this.#incomingPath(name))
      }
      return readdir(this.#incoming)
    })
    await this.#removeIncoming(done ?? [])
    return done !== undefined
  }

  /** Removes those of the blobs that belong to no name, unless images come in: then the next collection does. */
  async forget(digests: readonly string[]): Promise<void> {
    await this.gate.ifIdle(async () => {
      const used = new Set((await this.list()).flatMap(record => record.blobs))
      for (const digest of digests) if (!used.has(digest)) await this.blobs.remove(digest)
    })
  }

  /** What processes left that were ended while they brought in an image. */
  async clearIncoming(): Promise<void> {
    await this.#removeIncoming((await this.gate.ifIdle(() => readdir(this.#incoming))) ?? [])
  }

  async #removeIncoming(names: readonly string[]): Promise<void> {
    for (const name of names) await rm(join(this.#incoming, name), { recursive: true, force: true })
  }

  get #incoming(): string {
    return join(this.#directory, 'incoming')
  }

  #incomingPath(name: string): string {
    return join(this.#incoming, `${name}-${randomBytes(4).toString('hex')}`)
  }

  async usage(): Promise<{ readonly usedBytes: number; readonly capacityBytes: number }> {
    const { bsize, blocks } = await statfs(this.#directory)
    const records = await this.list()
    const sizes = new Map(records.map(({ id, sizeBytes }) => [id, sizeBytes]))
    return {
      usedBytes: [...sizes.values()].reduce((sum, size) => sum + size, 0),
      capacityBytes: bsize * blocks,
    }
  }

  /** Returns the directories of the layers, the lowest first. */
  async #unpack({ layers }: Manifest, diffIds: readonly string[]): Promise<string[]> {
    const done: string[] = []
    let chain = ''
    for (const [index, { digest }] of layers.entries()) {
      const diffId = must(diffIds[index], 'a layer of the configuration')
      chain = chain === '' ? diffId : `sha256:${hashOf(`${chain} ${diffId}`)}`
      const name = chain.slice('sha256:'.length, 'sha256:'.length + LAYER_NAME_DIGITS)
      await this.#unpackOnce(name, { digest, diffId, lower: done.toReversed() })
      done.push(name)
    }
    return done
  }

  #unpackOnce(name: string, layer: LayerSource): Promise<void> {
    const running = this.#unpacking.get(name)
    if (running !== undefined) return running
    if (existsSync(join(this.layersDirectory, name))) return Promise.resolve()
    const begun = this.#unpackLayer(name, layer).finally(() => this.#unpacking.delete(name))
    this.#unpacking.set(name, begun)
    return begun
  }

  async #unpackLayer(name: string, { digest, diffId, lower }: LayerSource): Promise<void> {
    const path = join(this.layersDirectory, name)
    const begun = this.#incomingPath(name)
    await mkdir(begun, { mode: 0o755 })
    try {
      const below = lower.map(each => join(this.layersDirectory, each))
      const unpacked = await unpackLayer(this.blobs.read(digest), begun, below)
      if (unpacked.diffId !== diffId) {
        throw new Error(`layer ${digest} holds ${unpacked.diffId}, and should hold ${diffId}`)
      }
      await rename(begun, path).catch(async error => {
        // Another process was faster.
        if (!existsSync(path)) throw error
      })
    } finally {
      await rm(begun, { recursive: true, force: true })
    }
  }

  async #read(path: string): Promise<ImageRecord | null> {
    const text = await readFile(path, 'utf8').catch(() => '')
    if (text === '') return null
    const record = JSON.parse(text) as ImageRecord
    const layers = await Promise.all(
      record.layers.map(name => stat(join(this.layersDirectory, name)).catch(() => null)),
    )
    return layers.includes(null) ? null : record
  }

  #nameFile(longName: string): string {
    return join(this.#names, `${hashOf(longName)}.json`)
  }
}

interface LayerSource {
  readonly digest: string
  readonly diffId: string
  readonly lower: readonly string[]
}

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

async function writeWhole(path: string, text: string): Promise<void> {
  const begun = `${path}.${randomBytes(4).toString('hex')}`
  await writeFile(begun, text, { mode: 0o600, flush: true })
  await rename(begun, path)
}

/** As the kubelet sees them: one image may have several names. */
export function storedImages(records: readonly ImageRecord[]): StoredImage[] {
  const byId = Map.groupBy(records, ({ id }) => id)
  return [...byId].map(([id, same]) => ({
    id,
    names: same.flatMap(({ name, repoDigest }) => (repoDigest === undefined ? [name] : [name, repoDigest])),
    sizeBytes: same[0]?.sizeBytes ?? 0,
    isPinned: false,
  }))
}
