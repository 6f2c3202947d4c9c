/** Blobs by digest, kept once, and which of them each repository has. */
import { type FileHandle, open, rm, stat, unlink, utimes } from 'node:fs/promises'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { ifThere, isThere, moveDurably, writeDurably } from './durable.ts'
import type { BeginHash } from './hashes.ts'
import type { Layout } from './layout.ts'
import type { Digest } from './names.ts'
import type { Pins } from './pins.ts'
import type { Room } from './room.ts'
import type { Turns } from './turns.ts'

export interface StoreParts {
  readonly layout: Layout
  readonly room: Room
  /** Whatever changes what refers to what. */
  readonly turns: Turns
  readonly pins: Pins
  readonly beginHash: BeginHash
  readonly clock: Clock
  readonly random: Random
}

/** A link that somebody asked for is young again, but is not written more often. */
const TOUCH_MS = 60_000

export class BlobStore {
  readonly #parts: StoreParts

  constructor(parts: StoreParts) {
    this.#parts = parts
  }

  /** Its size; null when the repository has none. Whoever asks may be about to refer to it: it stays a while. */
  async sizeIn(repository: string, digest: Digest): Promise<number | null> {
    const { layout, clock, pins } = this.#parts
    pins.add(digest.text)
    const link = layout.blobLink(repository, digest)
    const linked = await ifThere(stat(link))
    if (linked === undefined) return null
    const now = clock.now()
    if (now - linked.mtimeMs > TOUCH_MS) await ifThere(utimes(link, now / 1_000, now / 1_000))
    return (await ifThere(stat(layout.blob(digest))))?.size ?? null
  }

  has(digest: Digest): Promise<boolean> {
    return isThere(this.#parts.layout.blob(digest))
  }

  /** Undefined when it went a moment ago. */
  open(digest: Digest): Promise<FileHandle | undefined> {
    return ifThere(open(this.#parts.layout.blob(digest), 'r'))
  }

  /** Takes over a file that is whole, flushed, and known to have this digest; its bytes are counted already. */
  async adopt(repository: string, digest: Digest, file: string): Promise<void> {
    const { layout, room, turns } = this.#parts
    await turns.run(async () => {
      const before = await ifThere(stat(layout.blob(digest)))
      await moveDurably(file, layout.blob(digest))
      if (before !== undefined) room.giveBack(before.size)
      await this.link(repository, digest)
    })
  }

  /** False when there is no such blob. */
  mount(repository: string, digest: Digest): Promise<boolean> {
    return this.#parts.turns.run(async () => {
      if (!(await this.has(digest))) return false
      await this.link(repository, digest)
      return true
    })
  }

  /** In somebody's turn. */
  async link(repository: string, digest: Digest): Promise<void> {
    const { layout, clock, pins } = this.#parts
    pins.add(digest.text)
    const path = layout.blobLink(repository, digest)
    const now = clock.now() / 1_000
    if (await isThere(path)) await utimes(path, now, now)
    else await writeDurably(path, '', { ...this.#parts, temporary: layout.temporary })
  }

  /** In somebody's turn: a small one that is in memory. */
  async write(digest: Digest, content: Uint8Array): Promise<void> {
    const { layout, room, pins } = this.#parts
    pins.add(digest.text)
    if (await this.has(digest)) return
    room.take(content.length)
    try {
      await writeDurably(layout.blob(digest), content, { ...this.#parts, temporary: layout.temporary })
    } catch (error) {
      room.giveBack(content.length)
      throw error
    }
  }

  /** From one repository; the bytes go with the last of them, when garbage is collected. False: it had none. */
  unlink(repository: string, digest: Digest): Promise<boolean> {
    const { layout, turns } = this.#parts
    return turns.run(async () => {
      const done = unlink(layout.blobLink(repository, digest)).then(() => true)
      return (await ifThere(done)) ?? false
    })
  }

  /** In somebody's turn. Returns how many bytes that were. */
  async destroy(digest: Digest): Promise<number> {
    const { layout, room } = this.#parts
    const path = layout.blob(digest)
    const size = (await ifThere(stat(path)))?.size ?? 0
    await rm(path, { force: true })
    room.giveBack(size)
    return size
  }
}
