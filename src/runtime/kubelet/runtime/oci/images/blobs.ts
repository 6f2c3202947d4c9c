/** Blobs by their digest. One is there whole or not at all: what is being written lies elsewhere. */
import { createHash, randomBytes } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Descriptor, DOCUMENT_BYTES_MAX, invalidImage, otherContent } from './manifests.ts'

export class BlobStore {
  readonly #directory: string
  readonly #incoming: string

  constructor(directory: string) {
    this.#directory = join(directory, 'blobs', 'sha256')
    this.#incoming = join(directory, 'incoming')
  }

  async prepare(): Promise<void> {
    for (const path of [this.#directory, this.#incoming]) await mkdir(path, { recursive: true, mode: 0o700 })
  }

  has(digest: string): boolean {
    return existsSync(this.#pathOf(digest))
  }

  async sizeOf(digest: string): Promise<number> {
    return (await stat(this.#pathOf(digest))).size
  }

  read(digest: string, fromByte = 0): AsyncIterable<Uint8Array> {
    return createReadStream(this.#pathOf(digest), { start: fromByte })
  }

  async document(digest: string): Promise<Buffer> {
    const { size } = await stat(this.#pathOf(digest))
    if (size > DOCUMENT_BYTES_MAX) throw invalidImage(`${digest} is too large for a manifest`)
    return readFile(this.#pathOf(digest))
  }

  /** Throws when the bytes are not those that the digest stands for. */
  async write(
    bytes: AsyncIterable<Uint8Array>,
    expected?: Pick<Descriptor, 'digest' | 'size'>,
  ): Promise<Descriptor> {
    const path = join(this.#incoming, randomBytes(8).toString('hex'))
    const hash = createHash('sha256')
    let size = 0
    try {
      const file = await open(path, 'wx', 0o600)
      try {
        for await (const chunk of bytes) {
          size += chunk.length
          if (expected !== undefined && size > expected.size) {
            throw otherContent(
              `${expected.digest} has more than the ${expected.size} bytes that it should have`,
            )
          }
          hash.update(chunk)
          // Not `write`, which may write a part only where the disk is almost full.
          await file.writeFile(chunk)
        }
        await file.sync()
      } finally {
        await file.close()
      }
      const digest = `sha256:${hash.digest('hex')}`
      if (expected !== undefined && digest !== expected.digest) {
        throw otherContent(`${expected.digest} was asked for, and ${digest} came`)
      }
      await rename(path, this.#pathOf(digest))
      return { digest, size }
    } finally {
      await rm(path, { force: true })
    }
  }

  async list(): Promise<string[]> {
    return (await readdir(this.#directory)).map(name => `sha256:${name}`)
  }

  async remove(digest: string): Promise<void> {
    await rm(this.#pathOf(digest), { force: true })
  }

  #pathOf(digest: string): string {
    return join(this.#directory, digest.slice('sha256:'.length))
  }
}
