/** Manifests, tags and referrers of repositories. */
import { createHash } from 'node:crypto'
import { readFile, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { BlobStore, StoreParts } from './blob-store.ts'
import { ifThere, isThere, namesIn, readText, writeDurably } from './durable.ts'
import { type ManifestDocument, readManifest } from './manifest-document.ts'
import { compareTags, type Digest, parseDigest } from './names.ts'
import { RegistryError } from './registry-error.ts'
import { roomError } from './room.ts'
import { digestsIn, repositoriesIn } from './walk.ts'

/** What a tag or a digest leads to. */
export interface StoredManifest {
  readonly digest: Digest
  readonly mediaType: string
  readonly content: Buffer
}

/** In an answer of the referrers API. */
export interface Referrer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface NewManifest {
  readonly repository: string
  /** A tag or a digest. */
  readonly reference: string
  readonly contentType: string
  readonly content: Buffer
  /** A copy of what another registry serves may be incomplete: the rest is fetched when it is asked for. */
  readonly isMirrored?: boolean
}

export class ManifestStore {
  readonly #parts: StoreParts
  readonly #blobs: BlobStore
  readonly #repositories = new Set<string>()

  constructor(parts: StoreParts, blobs: BlobStore) {
    this.#parts = parts
    this.#blobs = blobs
  }

  async load(): Promise<void> {
    for (const name of await repositoriesIn(this.#parts.layout.repositories)) {
      if (await isThere(this.#parts.layout.manifests(name))) this.#repositories.add(name)
    }
  }

  /** Those that have or had manifests, in order. */
  repositories(): string[] {
    return [...this.#repositories].sort()
  }

  has(repository: string): boolean {
    return this.#repositories.has(repository)
  }

  async put(coming: NewManifest): Promise<{ readonly digest: Digest; readonly document: ManifestDocument }> {
    const { repository, reference, contentType, content } = coming
    const document = readManifest(content, contentType)
    const digest = digestOf(content, parseDigest(reference))
    await this.#parts.turns.run(async () => {
      if (!coming.isMirrored) await this.#expectAll(repository, document)
      try {
        await this.#store(coming, digest, document)
      } catch (error) {
        throw roomError(error)
      }
      for (const each of [...document.blobs, ...document.manifests]) this.#parts.pins.add(each.text)
    })
    return { digest, document }
  }

  async get(repository: string, reference: string): Promise<StoredManifest> {
    const { layout } = this.#parts
    const digest = parseDigest(reference) ?? (await this.#tagged(repository, reference))
    const mediaType = digest === undefined ? null : await readText(layout.manifest(repository, digest))
    const content =
      digest === undefined || mediaType === null ? undefined : await ifThere(readFile(layout.blob(digest)))
    if (digest === undefined || mediaType === null || content === undefined) {
      throw new RegistryError('MANIFEST_UNKNOWN', { detail: reference })
    }
    return { digest, mediaType, content }
  }

  /** With every tag that leads to it. Asked in its turn, `stays` may keep it yet. */
  async delete(repository: string, digest: Digest, stays: () => boolean = () => false): Promise<boolean> {
    const { layout, turns } = this.#parts
    return await turns.run(async () => {
      if (stays()) return false
      const { content, mediaType } = await this.get(repository, digest.text)
      for (const tag of await namesIn(layout.tags(repository))) {
        const tagged = await this.#tagged(repository, tag)
        if (tagged?.text === digest.text) await rm(layout.tag(repository, tag), { force: true })
      }
      const { subject } = readManifest(content, mediaType)
      if (subject !== null) await rm(layout.referrer(repository, subject, digest), { force: true })
      await rm(layout.manifest(repository, digest), { force: true })
      return true
    })
  }

  async deleteTag(repository: string, tag: string): Promise<void> {
    const { layout, turns } = this.#parts
    await turns.run(async () => {
      const path = layout.tag(repository, tag)
      if (!(await isThere(path))) throw new RegistryError('MANIFEST_UNKNOWN', { detail: tag })
      await rm(path, { force: true })
    })
  }

  async tags(repository: string): Promise<string[]> {
    return (await namesIn(this.#parts.layout.tags(repository))).sort(compareTags)
  }

  /** In the order of their digests. */
  async referrers(repository: string, subject: Digest): Promise<Referrer[]> {
    const folder = this.#parts.layout.referrers(repository, subject)
    const found: Referrer[] = []
    for (const name of (await namesIn(folder)).sort()) {
      const text = await readText(join(folder, name))
      if (text !== null) found.push(JSON.parse(text) as Referrer)
    }
    return found
  }

  /** The digests of all manifests of a repository. */
  async digests(repository: string): Promise<Digest[]> {
    return await digestsIn(this.#parts.layout.manifests(repository))
  }

  /** Nothing is left in it. */
  forgetEmpty(repository: string): Promise<void> {
    return this.#parts.turns.run(() => this.#forgetEmpty(repository))
  }

  async #forgetEmpty(repository: string): Promise<void> {
    const { layout } = this.#parts
    const isEmpty = (await this.digests(repository)).length === 0
    if (!isEmpty || (await this.tags(repository)).length > 0) return
    this.#repositories.delete(repository)
    for (const part of [layout.manifests(repository), layout.tags(repository)]) {
      await rm(part, { recursive: true, force: true })
    }
    // Only when no other repository lies below, and nothing else is in it.
    await rmdir(dirname(layout.tags(repository))).catch(() => {})
  }

  async #tagged(repository: string, tag: string): Promise<Digest | undefined> {
    const text = await readText(this.#parts.layout.tag(repository, tag))
    return text === null ? undefined : parseDigest(text)
  }

  async #expectAll(repository: string, { blobs, manifests }: ManifestDocument): Promise<void> {
    for (const digest of blobs) {
      if ((await this.#blobs.sizeIn(repository, digest)) === null) {
        throw new RegistryError('MANIFEST_BLOB_UNKNOWN', { detail: digest.text })
      }
    }
    for (const digest of manifests) {
      if (!(await isThere(this.#parts.layout.manifest(repository, digest)))) {
        throw new RegistryError('MANIFEST_BLOB_UNKNOWN', { detail: digest.text })
      }
    }
  }

  /** What is referred to comes first, so that a crash leaves nothing that leads nowhere. */
  async #store(coming: NewManifest, digest: Digest, document: ManifestDocument): Promise<void> {
    const { layout } = this.#parts
    const { repository, reference, content } = coming
    const how = { ...this.#parts, temporary: layout.temporary }
    const { mediaType, subject, artifactType, annotations } = document
    await this.#blobs.write(digest, content)
    if (subject !== null) {
      const descriptor: Referrer = {
        ...{ mediaType, digest: digest.text, size: content.length },
        ...(artifactType === '' ? {} : { artifactType }),
        ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
      }
      await writeDurably(layout.referrer(repository, subject, digest), JSON.stringify(descriptor), how)
    }
    await writeDurably(layout.manifest(repository, digest), mediaType, how)
    if (parseDigest(reference) === undefined) {
      await writeDurably(layout.tag(repository, reference), digest.text, how)
    }
    this.#repositories.add(repository)
  }
}

/** As the reference wants it; sha256 for a tag. */
function digestOf(content: Uint8Array, wanted: Digest | undefined): Digest {
  const algorithm = wanted?.algorithm ?? 'sha256'
  const text = `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`
  const digest = parseDigest(text)
  if (digest === undefined || (wanted !== undefined && wanted.text !== text)) {
    throw new RegistryError('DIGEST_INVALID', { detail: `the content is ${text}` })
  }
  return digest
}
