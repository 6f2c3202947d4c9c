/** Archives of images on their way in or out, as files of the node: whole before anything is done with them. */
import { randomBytes } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdir, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError, systemCodeOf } from '../base/errors.ts'
import type { ImportOptions } from '../client/node-images.ts'
import { diskFailure } from '../host/files.ts'

const ARCHIVE_BYTES_MAX = 64 * 1024 ** 3
/** What stays free on the disk, beside the archive. */
const SPARE_BYTES = 256 * 1024 ** 2

export class ImageSpool {
  readonly #directory: string

  constructor(dataDir: string) {
    this.#directory = join(dataDir, 'image-spool')
  }

  /** Nobody finishes what a daemon before this one had begun. */
  async prepare(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
  }

  /** The archive as a file while `work` goes on. */
  async during<T>(
    archive: AsyncIterable<Uint8Array>,
    { sizeBytes = 0 }: ImportOptions,
    work: (file: string) => Promise<T>,
  ): Promise<T> {
    await this.#checkRoom(sizeBytes)
    const path = this.#newPath()
    try {
      await writeAll(path, archive)
      return await work(path)
    } finally {
      await rm(path, { force: true })
    }
  }

  /** The bytes that `work` writes into a file. */
  async outgoing(work: (file: string) => Promise<void>): Promise<AsyncIterable<Uint8Array>> {
    const path = this.#newPath()
    try {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 })
      await work(path)
      const file = await open(path, 'r')
      return createReadStream(path, { fd: file })
    } finally {
      // It is there for as long as it is open.
      await rm(path, { force: true })
    }
  }

  /** A directory that is gone afterwards. */
  async scratch<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const path = this.#newPath()
    try {
      return await work(path)
    } finally {
      await rm(path, { recursive: true, force: true })
    }
  }

  #newPath(): string {
    return join(this.#directory, randomBytes(8).toString('hex'))
  }

  async #checkRoom(sizeBytes: number): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const { bsize, bavail } = await statfs(this.#directory)
    const free = bsize * bavail - SPARE_BYTES
    if (sizeBytes <= Math.min(free, ARCHIVE_BYTES_MAX)) return
    throw new Mk8sError('host/disk', 'the archive does not fit', {
      why: `it has ${sizeBytes} bytes, and there is room for ${Math.max(0, Math.min(free, ARCHIVE_BYTES_MAX))}`,
      hint: 'make room on the disk of the data directory',
    })
  }
}

async function writeAll(path: string, archive: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600)
  try {
    let size = 0
    for await (const chunk of archive) {
      size += chunk.length
      if (size > ARCHIVE_BYTES_MAX) throw new Mk8sError('usage', 'the archive has more than 64 GiB')
      // Not `write`, which may write a part only where the disk is almost full.
      await file.writeFile(chunk)
    }
    if (size === 0) throw new Mk8sError('config/invalid', 'the archive is empty')
  } catch (error) {
    throw systemCodeOf(error) === 'ENOSPC' ? diskFailure(path, error) : error
  } finally {
    await file.close()
  }
}
