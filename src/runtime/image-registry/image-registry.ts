/** The registry: opens its volume, and answers requests of the distribution specification 1.1 out of it. */
import { mkdir, rm, stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { Access, type Review } from './access.ts'
import { BlobRequests } from './blob-requests.ts'
import { BlobStore, type StoreParts } from './blob-store.ts'
import { type Collected, Collector } from './collector.ts'
import { ifThere, namesIn } from './durable.ts'
import { answer, answerEarly, answerJson, type Exchange } from './exchange.ts'
import type { BeginHash } from './hashes.ts'
import { Layout } from './layout.ts'
import { ManifestRequests } from './manifest-requests.ts'
import { ManifestStore } from './manifest-store.ts'
import type { RegistryConfig, RegistryState } from './messages.ts'
import { Mirror } from './mirror.ts'
import { Pins } from './pins.ts'
import { RegistryError } from './registry-error.ts'
import { Room, roomError } from './room.ts'
import { type Route, routeOf, verbOf } from './routes.ts'
import { Turns } from './turns.ts'
import { UploadRequests } from './upload-requests.ts'
import { UPLOAD_IDLE_MS, Uploads } from './uploads.ts'

export interface ImageRegistryParts {
  readonly config: Pick<RegistryConfig, 'directory' | 'bytesMax' | 'access' | 'trusted' | 'mirror'>
  readonly review: Review
  readonly beginHash: BeginHash
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export class ImageRegistry {
  readonly #parts: ImageRegistryParts
  readonly #access: Access
  readonly #layout: Layout
  readonly #room: Room
  readonly #manifests: ManifestStore
  readonly #uploads: Uploads
  readonly #collector: Collector
  readonly #requests: {
    readonly blobs: BlobRequests
    readonly manifests: ManifestRequests
    readonly uploads: UploadRequests
  }

  constructor(parts: ImageRegistryParts) {
    const { config, clock, random } = parts
    this.#parts = parts
    this.#access = new Access({ rules: config.access, review: parts.review, clock, random })
    this.#access.trust(config.trusted)
    this.#layout = new Layout(config.directory)
    this.#room = new Room(config.bytesMax)
    const common = { layout: this.#layout, room: this.#room, turns: new Turns(), pins: new Pins() }
    const store: StoreParts = { ...common, beginHash: parts.beginHash, clock, random }
    const blobs = new BlobStore(store)
    const uploads = new Uploads(store, blobs)
    const manifests = new ManifestStore(store, blobs)
    this.#manifests = manifests
    this.#uploads = uploads
    this.#collector = new Collector({ ...store, blobs, manifests, uploads })
    const { environment, log } = parts
    const from = { manifests, uploads, environment, clock, log }
    const mirror = config.mirror === null ? null : new Mirror({ config: config.mirror, ...from })
    this.#requests = {
      blobs: new BlobRequests({ blobs, mirror }),
      manifests: new ManifestRequests({ manifests, mirror }),
      uploads: new UploadRequests({ uploads, blobs, room: this.#room }),
    }
  }

  get state(): RegistryState {
    return {
      ...{ usedBytes: this.#room.usedBytes, bytesMax: this.#room.bytesMax },
      ...{ repositories: this.#manifests.repositories().length, uploads: this.#uploads.count },
    }
  }

  /** Takes up what is on the volume; throws when it cannot be written. */
  async open(): Promise<void> {
    const { blobs, uploads, repositories, temporary } = this.#layout
    await rm(temporary, { recursive: true, force: true })
    for (const folder of [blobs, uploads, repositories, temporary]) {
      await mkdir(folder, { recursive: true, mode: 0o700 })
    }
    this.#room.count(await bytesBelow(blobs))
    await this.#uploads.load()
    await this.#manifests.load()
  }

  trust(networks: readonly string[]): void {
    this.#access.trust(networks)
  }

  collect(options: { readonly graceMs: number; readonly untagged: boolean }): Promise<Collected> {
    return this.#collector.collect({ ...options, uploadIdleMs: UPLOAD_IDLE_MS })
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('docker-distribution-api-version', 'registry/2.0')
    response.setHeader('x-content-type-options', 'nosniff')
    try {
      const url = new URL(request.url ?? '/', 'http://registry')
      await this.#answer({ request, response, query: url.searchParams }, decodeURIComponent(url.pathname))
    } catch (error) {
      this.#refuse({ request, response }, error)
    }
  }

  async #answer(exchange: Exchange, path: string): Promise<void> {
    const { request } = exchange
    if (path === '/healthz') return answer(exchange, 200, { 'content-type': 'text/plain' }, 'ok')
    const method = request.method ?? 'GET'
    const route = routeOf(path, method)
    if (route === null) throw new RegistryError('UNSUPPORTED', { status: 404, detail: 'no such path' })
    const verb = verbOf(route, method)
    const { remoteAddress = '' } = request.socket
    const caller = { remoteAddress, authorization: request.headers.authorization }
    const repository = 'repository' in route ? route.repository : null
    await this.#access.expect(caller, route.kind === 'base' ? 'base' : { verb, repository })
    if (verb !== 'pull' && this.#parts.config.mirror !== null) {
      const detail = `this registry mirrors ${this.#parts.config.mirror.server} and takes nothing else`
      throw new RegistryError('UNSUPPORTED', { detail })
    }
    await this.#carryOut(exchange, route, method === 'HEAD' ? 'GET' : method)
  }

  async #carryOut(exchange: Exchange, route: Route, method: string): Promise<void> {
    const { blobs, manifests, uploads } = this.#requests
    switch (`${method} ${route.kind}`) {
      case 'GET base':
        return answerJson(exchange, {})
      case 'GET catalog':
        return manifests.catalog(exchange)
    }
    if (route.kind === 'manifest') {
      const { repository, reference } = route
      if (method === 'GET') return await manifests.get(exchange, repository, reference)
      if (method === 'PUT') return await manifests.put(exchange, repository, reference)
      if (method === 'DELETE') return await manifests.delete(exchange, repository, reference)
    }
    if (route.kind === 'blob') {
      if (method === 'GET') return await blobs.get(exchange, route.repository, route.digest)
      if (method === 'DELETE') return await blobs.delete(exchange, route.repository, route.digest)
    }
    if (route.kind === 'tags' && method === 'GET') return await manifests.tags(exchange, route.repository)
    if (route.kind === 'referrers' && method === 'GET') {
      return await manifests.referrers(exchange, route.repository, route.digest)
    }
    if (route.kind === 'uploads' && method === 'POST') return await uploads.begin(exchange, route.repository)
    if (route.kind === 'upload') {
      const { repository, id } = route
      if (method === 'GET') return await uploads.status(exchange, repository, id)
      if (method === 'PATCH') return await uploads.patch(exchange, repository, id)
      if (method === 'PUT') return await uploads.finish(exchange, repository, id)
      if (method === 'DELETE') return await uploads.cancel(exchange, repository, id)
    }
    throw new RegistryError('UNSUPPORTED', { detail: `${method} of this path` })
  }

  #refuse(exchange: Pick<Exchange, 'request' | 'response'>, thrown: unknown): void {
    const { request, response } = exchange
    // The client has gone, or has half of an answer: there is nobody to tell.
    if (request.errored !== null || response.destroyed) return void response.destroy()
    const isMalformed = thrown instanceof URIError
    const error = isMalformed
      ? new RegistryError('NAME_INVALID', { detail: 'not an encoded path' })
      : roomError(thrown)
    const isExpected = error instanceof RegistryError
    if (!isExpected && systemCodeOf(error) !== 'ERR_STREAM_PREMATURE_CLOSE') {
      this.#parts.log.error('a request failed', { method: request.method, path: request.url, error })
    }
    if (response.headersSent) return void response.destroy()
    const told = isExpected ? error : new RegistryError('UNAVAILABLE', { status: 500 })
    const all = { 'content-type': 'application/json', ...told.headers }
    const whole = { ...exchange, query: new URLSearchParams() }
    if (request.complete) answer(whole, told.status, all, told.body)
    else answerEarly(whole, { status: told.status, headers: all, body: told.body, clock: this.#parts.clock })
  }
}

/** Of all blobs. */
async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0
  for (const algorithm of await namesIn(folder)) {
    for (const shard of await namesIn(join(folder, algorithm))) {
      for (const name of await namesIn(join(folder, algorithm, shard))) {
        bytes += (await ifThere(stat(join(folder, algorithm, shard, name))))?.size ?? 0
      }
    }
  }
  return bytes
}
