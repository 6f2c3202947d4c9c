/**
 * Uploads: files that grow, hashed while they do. After a restart each goes on where its file ends; whatever was in
 * it, only content that has the promised digest becomes a blob.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore, StoreParts } from './blob-store.ts'
import { ifThere, namesIn, openForAppending, readText } from './durable.ts'
import type { RunningHash } from './hashes.ts'
import type { Digest, DigestAlgorithm } from './names.ts'
import { RegistryError } from './registry-error.ts'
import { roomError } from './room.ts'

/** At a time, of all clients together. */
export const UPLOADS_MAX = 1_000
/** Nothing came for so long: it is collected. */
export const UPLOAD_IDLE_MS = 24 * 60 * 60 * 1_000
/** Bytes that are written at once. */
const BATCH_BYTES = 1024 * 1024
/** So much may wait in the page cache, so that the flush at the end is short. */
const UNFLUSHED_BYTES_MAX = 32 * 1024 * 1024
const REHASH_BYTES = 1024 * 1024
const DATA = 'data'
const REPOSITORY = 'repository'

export interface Upload {
  readonly id: string
  readonly repository: string
  size: number
  lastUsed: number
  isBusy: boolean
  /** Of everything up to `size`; null when that has to be read again. */
  hash: RunningHash | null
  algorithm: DigestAlgorithm
}

export class Uploads {
  readonly #parts: StoreParts
  readonly #blobs: Pick<BlobStore, 'adopt'>
  readonly #uploads = new Map<string, Upload>()

  constructor(parts: StoreParts, blobs: Pick<BlobStore, 'adopt'>) {
    this.#parts = parts
    this.#blobs = blobs
  }

  get count(): number {
    return this.#uploads.size
  }

  /** Takes up what an earlier life left. */
  async load(): Promise<void> {
    const { layout, room, clock } = this.#parts
    for (const id of await namesIn(layout.uploads)) {
      const repository = await readText(join(layout.upload(id), REPOSITORY))
      const file = await ifThere(stat(join(layout.upload(id), DATA)))
      if (repository === null || repository === '') {
        await rm(layout.upload(id), { recursive: true, force: true })
        continue
      }
      const size = file?.size ?? 0
      room.count(size)
      const lastUsed = Math.min(file?.mtimeMs ?? 0, clock.now())
      const how = { isBusy: false, hash: null, algorithm: 'sha256' as const }
      this.#uploads.set(id, { id, repository, size, lastUsed, ...how })
    }
  }

  async begin(repository: string, algorithm: DigestAlgorithm): Promise<Upload> {
    const { layout, clock, random } = this.#parts
    if (this.#uploads.size >= UPLOADS_MAX) {
      throw new RegistryError('TOOMANYREQUESTS', { detail: `${UPLOADS_MAX} uploads are under way` })
    }
    const id = random.uuid()
    const now = clock.now()
    const hash = this.#parts.beginHash(algorithm)
    const upload = { id, repository, size: 0, lastUsed: now, isBusy: false, hash, algorithm }
    this.#uploads.set(id, upload)
    try {
      await mkdir(layout.upload(id), { mode: 0o700 })
      await writeFile(join(layout.upload(id), REPOSITORY), repository)
    } catch (error) {
      await this.#forget(upload)
      throw roomError(error)
    }
    return upload
  }

  get(repository: string, id: string): Upload {
    const upload = this.#uploads.get(id)
    if (upload === undefined || upload.repository !== repository) {
      throw new RegistryError('BLOB_UPLOAD_UNKNOWN')
    }
    return upload
  }

  /** One writer at a time: a second one is told so. */
  async exclusively<T>(upload: Upload, work: () => Promise<T>): Promise<T> {
    if (upload.isBusy) {
      throw new RegistryError('BLOB_UPLOAD_INVALID', { status: 409, detail: 'another request writes to it' })
    }
    upload.isBusy = true
    try {
      return await work()
    } finally {
      upload.isBusy = false
      upload.lastUsed = this.#parts.clock.now()
    }
  }

  /** What came stays, also when the rest does not come. */
  async append(upload: Upload, body: AsyncIterable<Uint8Array>): Promise<void> {
    const path = join(this.#parts.layout.upload(upload.id), DATA)
    const handle = await openForAppending(path).catch(error => Promise.reject(roomError(error)))
    const writer = new UploadWriter(upload, handle, this.#parts)
    try {
      for await (const chunk of body) await writer.take(chunk)
    } finally {
      try {
        await writer.end()
      } finally {
        await handle.close()
      }
    }
  }

  /** Makes it a blob; what has another digest is no use to anybody and goes. */
  async finish(upload: Upload, digest: Digest): Promise<void> {
    const file = join(this.#parts.layout.upload(upload.id), DATA)
    const handle = await openForAppending(file)
    try {
      // The disk works while this thread hashes what is not hashed yet.
      const flushed = handle.sync()
      flushed.catch(() => {})
      const hex = await hashOf(upload, digest.algorithm, handle)
      await flushed
      if (hex !== digest.hex) {
        await this.cancel(upload)
        throw new RegistryError('DIGEST_INVALID', { detail: `the content is not ${digest.text}` })
      }
    } catch (error) {
      throw roomError(error)
    } finally {
      await handle.close()
    }
    await this.#blobs.adopt(upload.repository, digest, file)
    await this.#forget(upload)
  }

  async cancel(upload: Upload): Promise<void> {
    await this.#forget(upload)
    this.#parts.room.giveBack(upload.size)
  }

  /** Returns how many went. */
  async collect(idleMs: number): Promise<number> {
    const now = this.#parts.clock.now()
    const stale = [...this.#uploads.values()].filter(each => !each.isBusy && now - each.lastUsed >= idleMs)
    for (const upload of stale) await this.cancel(upload)
    return stale.length
  }

  async #forget(upload: Upload): Promise<void> {
    this.#uploads.delete(upload.id)
    forgetHash(upload)
    await rm(this.#parts.layout.upload(upload.id), { recursive: true, force: true })
  }
}

/** The hash of all of it: the running one when it fits, and read from the file otherwise. */
async function hashOf(upload: Upload, algorithm: DigestAlgorithm, handle: FileHandle): Promise<string> {
  const running = upload.algorithm === algorithm ? upload.hash : null
  if (running === null) forgetHash(upload)
  upload.hash = null
  const known = await running?.digest()
  if (known) return known
  const hash = createHash(algorithm)
  const buffer = Buffer.allocUnsafe(REHASH_BYTES)
  for (let at = 0; at < upload.size; ) {
    const { bytesRead } = await handle.read(buffer, 0, Math.min(REHASH_BYTES, upload.size - at), at)
    if (bytesRead === 0) break
    hash.update(buffer.subarray(0, bytesRead))
    at += bytesRead
  }
  return hash.digest('hex')
}

function forgetHash(upload: Upload): void {
  upload.hash?.drop()
  upload.hash = null
}

/** Batches: one is hashed while the next one is written and the one after it comes in. */
class UploadWriter {
  readonly #upload: Upload
  readonly #handle: FileHandle
  readonly #parts: Pick<StoreParts, 'room' | 'clock'>
  #batch: Uint8Array[] = []
  #batchBytes = 0
  #writing: Promise<void> = Promise.resolve()
  #unflushed = 0
  #flushing: Promise<void> = Promise.resolve()
  #hasFailed = false

  constructor(upload: Upload, handle: FileHandle, parts: Pick<StoreParts, 'room' | 'clock'>) {
    this.#upload = upload
    this.#handle = handle
    this.#parts = parts
  }

  async take(chunk: Uint8Array): Promise<void> {
    this.#batch.push(chunk)
    this.#batchBytes += chunk.length
    if (this.#batchBytes >= BATCH_BYTES) await this.#hand()
  }

  async end(): Promise<void> {
    if (this.#batchBytes > 0 && !this.#hasFailed) await this.#hand()
    await this.#writing
    await this.#flushing
  }

  async #hand(): Promise<void> {
    await this.#writing
    if (this.#unflushed >= UNFLUSHED_BYTES_MAX) {
      await this.#flushing
      this.#unflushed = 0
      this.#flushing = this.#handle.datasync()
      this.#flushing.catch(() => {})
    }
    const batch = this.#batch
    const bytes = this.#batchBytes
    this.#batch = []
    this.#batchBytes = 0
    this.#writing = this.#write(batch, bytes)
    this.#writing.catch(() => {})
  }

  async #write(batch: readonly Uint8Array[], bytes: number): Promise<void> {
    const { room, clock } = this.#parts
    const upload = this.#upload
    try {
      room.take(bytes)
    } catch (error) {
      this.#failed()
      throw error
    }
    try {
      await writeAll(this.#handle, batch, upload.size)
      upload.size += bytes
      this.#unflushed += bytes
      upload.lastUsed = clock.now()
      // From here on the bytes are the hash's.
      await upload.hash?.update(batch)
    } catch (error) {
      this.#failed()
      room.giveBack(bytes)
      await this.#handle.truncate(upload.size).catch(() => {})
      throw roomError(error)
    }
  }

  /** What is hashed already is not in the file. */
  #failed(): void {
    this.#hasFailed = true
    forgetHash(this.#upload)
  }
}

/** A short write is what a full disk does first: the rest is written, or refused with the reason. */
async function writeAll(handle: FileHandle, batch: readonly Uint8Array[], position: number): Promise<void> {
  const bytes = batch.reduce((sum, { length }) => sum + length, 0)
  const { bytesWritten } = await handle.writev([...batch], position)
  if (bytesWritten === bytes) return
  const rest = Buffer.concat(batch).subarray(bytesWritten)
  for (let at = 0; at < rest.length; ) {
    const where = position + bytesWritten + at
    at += (await handle.write(rest, at, rest.length - at, where)).bytesWritten
  }
}
