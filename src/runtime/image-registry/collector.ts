/**
 * Garbage collection, beside pushes: marks what manifests refer to and what is young, then sweeps the rest, one at a
 * time, each in a turn of its own and only if nobody has referred to it since.
 */
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore, StoreParts } from './blob-store.ts'
import { ifThere, namesIn } from './durable.ts'
import { readManifest } from './manifest-document.ts'
import type { ManifestStore } from './manifest-store.ts'
import { type Digest, parseDigest } from './names.ts'
import type { Uploads } from './uploads.ts'
import { digestsIn, repositoriesIn } from './walk.ts'

export interface CollectOptions {
  /** What is younger stays: a push may be on its way to refer to it. */
  readonly graceMs: number
  /** Manifests without a tag go too, unless a tagged index has them or they refer to a kept one. */
  readonly untagged: boolean
  readonly uploadIdleMs: number
}

export interface Collected {
  readonly manifests: number
  readonly blobs: number
  readonly bytes: number
  readonly uploads: number
}

export interface CollectorParts extends StoreParts {
  readonly blobs: BlobStore
  readonly manifests: ManifestStore
  readonly uploads: Uploads
}

interface Counts {
  manifests: number
  blobs: number
  bytes: number
}

export class Collector {
  readonly #parts: CollectorParts
  #running: Promise<Collected> | null = null

  constructor(parts: CollectorParts) {
    this.#parts = parts
  }

  /** Who asks while one runs gets what that one brings. */
  collect(options: CollectOptions): Promise<Collected> {
    this.#running ??= this.#collect(options).finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #collect(options: CollectOptions): Promise<Collected> {
    const { pins, uploads, manifests, turns } = this.#parts
    const counts: Counts = { manifests: 0, blobs: 0, bytes: 0 }
    // In a turn: a push that is half done would neither be pinned nor be seen.
    await turns.run(async () => pins.begin())
    try {
      const stale = await uploads.collect(options.uploadIdleMs)
      const marked = new Set<string>()
      for (const repository of await repositoriesIn(this.#parts.layout.repositories)) {
        if (options.untagged) await this.#dropUntagged(repository, options, counts)
        await this.#mark(repository, options, marked)
        await manifests.forgetEmpty(repository)
      }
      await this.#sweep(marked, options, counts)
      return { ...counts, uploads: stale }
    } finally {
      pins.end()
    }
  }

  /** Marks what a repository keeps, and takes the links of what it does not. */
  async #mark(repository: string, options: CollectOptions, marked: Set<string>): Promise<void> {
    const { layout, manifests, turns, pins } = this.#parts
    const referred = new Set<string>()
    for (const digest of await manifests.digests(repository)) {
      marked.add(digest.text)
      for (const each of await this.#refersTo(repository, digest)) referred.add(each.text)
    }
    const links = layout.blobLinks(repository)
    for (const digest of await digestsIn(links)) {
      const isKept = () => referred.has(digest.text) || pins.has(digest.text)
      if (isKept() || (await this.#isYoung(layout.blobLink(repository, digest), options))) {
        marked.add(digest.text)
        continue
      }
      const went = await turns.run(async () => {
        if (isKept()) return false
        await rm(layout.blobLink(repository, digest), { force: true })
        return true
      })
      if (!went) marked.add(digest.text)
    }
  }

  async #sweep(marked: ReadonlySet<string>, options: CollectOptions, counts: Counts): Promise<void> {
    const { layout, blobs, turns, pins } = this.#parts
    for (const algorithm of await namesIn(layout.blobs)) {
      for (const shard of await namesIn(join(layout.blobs, algorithm))) {
        for (const hex of await namesIn(join(layout.blobs, algorithm, shard))) {
          const digest = parseDigest(`${algorithm}:${hex}`)
          if (digest === undefined || marked.has(digest.text)) continue
          if (await this.#isYoung(layout.blob(digest), options)) continue
          await turns.run(async () => {
            if (pins.has(digest.text)) return
            counts.bytes += await blobs.destroy(digest)
            counts.blobs++
          })
        }
      }
    }
  }

  async #dropUntagged(repository: string, options: CollectOptions, counts: Counts): Promise<void> {
    const { manifests, layout, pins } = this.#parts
    const kept = new Set<string>()
    for (const tag of await manifests.tags(repository)) {
      const found = await manifests.get(repository, tag).catch(() => null)
      if (found !== null) await this.#keepBelow(repository, found.digest, kept)
    }
    for (const digest of await manifests.digests(repository)) {
      if (kept.has(digest.text) || (await this.#isYoung(layout.manifest(repository, digest), options)))
        continue
      const isPushedAgain = () => pins.has(digest.text)
      const went = await manifests.delete(repository, digest, isPushedAgain).catch(() => false)
      if (went) counts.manifests++
    }
  }

  /** What an index has, and what refers to it, stays with it. */
  async #keepBelow(repository: string, digest: Digest, kept: Set<string>): Promise<void> {
    const { manifests } = this.#parts
    const waiting = [digest]
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      if (kept.has(next.text)) continue
      kept.add(next.text)
      const found = await manifests.get(repository, next.text).catch(() => null)
      if (found !== null) waiting.push(...readManifest(found.content, found.mediaType).manifests)
      for (const referrer of await manifests.referrers(repository, next)) {
        const parsed = parseDigest(referrer.digest)
        if (parsed !== undefined) waiting.push(parsed)
      }
    }
  }

  async #refersTo(repository: string, digest: Digest): Promise<readonly Digest[]> {
    const found = await this.#parts.manifests.get(repository, digest.text).catch(() => null)
    return found === null ? [] : readManifest(found.content, found.mediaType).blobs
  }

  async #isYoung(path: string, { graceMs }: CollectOptions): Promise<boolean> {
    const found = await ifThere(stat(path))
    return found !== undefined && this.#parts.clock.now() - found.mtimeMs < graceMs
  }
}
