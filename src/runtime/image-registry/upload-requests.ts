/** Pushes of blobs: in one request, in pieces, resumed, or mounted from another repository. */
import type { BlobStore } from './blob-store.ts'
import { answer, declaredLength, type Exchange, type Headers } from './exchange.ts'
import type { Digest } from './names.ts'
import { isRepositoryName } from './names.ts'
import { chunkRange } from './ranges.ts'
import { RegistryError } from './registry-error.ts'
import type { Room } from './room.ts'
import { expectDigest } from './routes.ts'
import type { Upload, Uploads } from './uploads.ts'

export interface UploadRequestParts {
  readonly uploads: Uploads
  readonly blobs: BlobStore
  readonly room: Room
}

export class UploadRequests {
  readonly #parts: UploadRequestParts

  constructor(parts: UploadRequestParts) {
    this.#parts = parts
  }

  /** POST: a mount, a whole blob, or the beginning of one. */
  async begin(exchange: Exchange, repository: string): Promise<void> {
    const { query, request } = exchange
    const mounted = query.get('mount')
    if (mounted !== null && (await this.#mount(exchange, repository, expectDigest(mounted)))) return
    const digest = mounted === null ? query.get('digest') : null
    const promised = digest === null ? null : expectDigest(digest)
    const named = query.get('digest-algorithm') === 'sha512' ? 'sha512' : 'sha256'
    this.#expectRoom(exchange)
    const upload = await this.#parts.uploads.begin(repository, promised?.algorithm ?? named)
    if (promised === null) {
      request.resume()
      return answer(exchange, 202, { ...stateOf(upload), 'oci-chunk-min-length': 0 })
    }
    try {
      await this.#take(exchange, upload)
      await this.#finish(exchange, upload, promised)
    } catch (error) {
      // Nobody knows where it is, so nobody could go on with it.
      await this.#parts.uploads.cancel(upload)
      throw error
    }
  }

  async status(exchange: Exchange, repository: string, id: string): Promise<void> {
    answer(exchange, 204, stateOf(this.#parts.uploads.get(repository, id)))
  }

  async patch(exchange: Exchange, repository: string, id: string): Promise<void> {
    const { uploads } = this.#parts
    const upload = uploads.get(repository, id)
    await uploads.exclusively(upload, async () => {
      this.#expectOrder(exchange, upload)
      this.#expectRoom(exchange)
      await this.#take(exchange, upload)
    })
    answer(exchange, 202, stateOf(upload))
  }

  /** PUT: the last piece, which may be empty, and the digest of all. */
  async finish(exchange: Exchange, repository: string, id: string): Promise<void> {
    const { uploads } = this.#parts
    const upload = uploads.get(repository, id)
    const digest = expectDigest(exchange.query.get('digest') ?? '')
    await uploads.exclusively(upload, async () => {
      this.#expectOrder(exchange, upload)
      this.#expectRoom(exchange)
      await this.#take(exchange, upload)
      await this.#finish(exchange, upload, digest)
    })
  }

  async cancel(exchange: Exchange, repository: string, id: string): Promise<void> {
    const { uploads } = this.#parts
    const upload = uploads.get(repository, id)
    await uploads.exclusively(upload, () => uploads.cancel(upload))
    answer(exchange, 204, {})
  }

  async #mount(exchange: Exchange, repository: string, digest: Digest): Promise<boolean> {
    const { blobs } = this.#parts
    const from = exchange.query.get('from')
    if (from !== null) {
      if (!isRepositoryName(from)) throw new RegistryError('NAME_INVALID', { detail: from })
      if ((await blobs.sizeIn(from, digest)) === null) return false
    }
    if (!(await blobs.mount(repository, digest))) return false
    exchange.request.resume()
    answer(exchange, 201, createdAt(repository, digest))
    return true
  }

  async #take({ request }: Exchange, upload: Upload): Promise<void> {
    const before = upload.size
    const length = declaredLength(request)
    await this.#parts.uploads.append(upload, request.iterator({ destroyOnReturn: false }))
    if (length !== undefined && upload.size - before !== length) {
      throw new RegistryError('SIZE_INVALID', { detail: `${upload.size - before} of ${length} bytes came` })
    }
  }

  async #finish(exchange: Exchange, upload: Upload, digest: Digest): Promise<void> {
    await this.#parts.uploads.finish(upload, digest)
    answer(exchange, 201, createdAt(upload.repository, digest))
  }

  /** A piece begins where the one before ended. */
  #expectOrder({ request }: Exchange, upload: Upload): void {
    const header = request.headers['content-range']
    if (header === undefined) return
    const range = chunkRange(header)
    const length = declaredLength(request)
    const isLong = range !== undefined && (length === undefined || length === range.end - range.start + 1)
    if (range !== undefined && !isLong) {
      throw new RegistryError('SIZE_INVALID', { detail: `${length} bytes for ${header}` })
    }
    if (range?.start === upload.size) return
    const detail = `the next piece begins at ${upload.size}`
    throw new RegistryError('BLOB_UPLOAD_INVALID', {
      ...{ status: 416, detail },
      headers: stateOf(upload) as Record<string, string>,
    })
  }

  #expectRoom({ request }: Exchange): void {
    this.#parts.room.expect(declaredLength(request) ?? 0)
  }
}

const stateOf = ({ repository, id, size }: Upload): Headers => ({
  location: `/v2/${repository}/blobs/uploads/${id}`,
  'docker-upload-uuid': id,
  range: `0-${Math.max(0, size - 1)}`,
})

const createdAt = (repository: string, digest: Digest): Headers => ({
  location: `/v2/${repository}/blobs/${digest.text}`,
  'docker-content-digest': digest.text,
})
