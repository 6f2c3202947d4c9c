/** Pulls and deletes of blobs. */
import type { FileHandle } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { BlobStore } from './blob-store.ts'
import { answer, type Exchange } from './exchange.ts'
import type { Mirror } from './mirror.ts'
import type { Digest } from './names.ts'
import { pullRange } from './ranges.ts'
import { RegistryError } from './registry-error.ts'

export interface BlobRequestParts {
  readonly blobs: BlobStore
  /** Null: nothing is fetched from elsewhere. */
  readonly mirror: Mirror | null
}

/** Read at once, for each pull. */
const READ_BYTES = 256 * 1024

export class BlobRequests {
  readonly #parts: BlobRequestParts

  constructor(parts: BlobRequestParts) {
    this.#parts = parts
  }

  async get(exchange: Exchange, repository: string, digest: Digest): Promise<void> {
    const { blobs, mirror } = this.#parts
    let size = await blobs.sizeIn(repository, digest)
    if (size === null && mirror !== null) {
      if (await mirror.bringBlob(exchange, repository, digest)) return
      size = await blobs.sizeIn(repository, digest)
    }
    if (size === null) throw new RegistryError('BLOB_UNKNOWN', { detail: digest.text })
    await serve(exchange, digest, { size, open: () => blobs.open(digest) })
  }

  async delete(exchange: Exchange, repository: string, digest: Digest): Promise<void> {
    if (!(await this.#parts.blobs.unlink(repository, digest))) {
      throw new RegistryError('BLOB_UNKNOWN', { detail: digest.text })
    }
    answer(exchange, 202, {})
  }
}

interface Kept {
  readonly size: number
  readonly open: () => Promise<FileHandle | undefined>
}

async function serve(exchange: Exchange, digest: Digest, { size, open }: Kept): Promise<void> {
  const { request, response } = exchange
  const headers = blobHeaders(digest)
  if (request.headers['if-none-match'] === headers.etag) return answer(exchange, 304, headers)
  // Of other methods than GET a range says nothing.
  const range = request.method === 'GET' ? pullRange(request.headers.range, size) : null
  if (range === 'unsatisfiable') {
    throw new RegistryError('SIZE_INVALID', { status: 416, headers: { 'content-range': `bytes */${size}` } })
  }
  const { start, end } = range ?? { start: 0, end: size - 1 }
  const length = { 'content-length': end - start + 1 }
  const partial = range === null ? {} : { 'content-range': `bytes ${start}-${end}/${size}` }
  const status = range === null ? 200 : 206
  const all = { ...headers, ...length, ...partial }
  if (request.method === 'HEAD' || size === 0) return answer(exchange, status, all)
  const handle = await open()
  if (handle === undefined) throw new RegistryError('BLOB_UNKNOWN', { detail: digest.text })
  response.writeHead(status, all)
  await pipeline(handle.createReadStream({ start, end, highWaterMark: READ_BYTES }), response)
}

const blobHeaders = (digest: Digest) => ({
  'content-type': 'application/octet-stream',
  'docker-content-digest': digest.text,
  'accept-ranges': 'bytes',
  etag: `"${digest.text}"`,
  // What has this name never changes.
  'cache-control': 'max-age=31536000',
})
