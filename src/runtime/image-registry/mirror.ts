/**
 * Pull-through: what is missing is fetched from another registry, served while it comes, checked, and kept. What is
 * kept is served when the other registry cannot be reached.
 */
import type { Clock } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { fetchFor } from '../kubelet/runtime/oci/images/proxied-fetch.ts'
import type { RegistryLogin } from '../kubelet/runtime/oci/images/registry-auth.ts'
import { NotInRegistry, RegistryClient } from '../kubelet/runtime/oci/images/registry-client.ts'
import type { Exchange } from './exchange.ts'
import type { ManifestStore, StoredManifest } from './manifest-store.ts'
import { type Digest, parseDigest } from './names.ts'
import { RegistryError } from './registry-error.ts'
import type { Uploads } from './uploads.ts'

export interface MirrorConfig {
  /** `https://registry-1.docker.io`. */
  readonly server: string
  readonly login: RegistryLogin | null
}

export interface MirrorParts {
  readonly config: MirrorConfig
  readonly manifests: ManifestStore
  readonly uploads: Uploads
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly log: Log
}

/** A tag is asked for again after so long. */
const TAG_FRESH_MS = 60_000
const TAGS_REMEMBERED_MAX = 10_000
const CLIENTS_MAX = 1_000

export class Mirror {
  readonly #parts: MirrorParts
  readonly #fetch: ReturnType<typeof fetchFor>
  readonly #clients = new Map<string, RegistryClient>()
  readonly #fresh = new Map<string, number>()
  /** Each blob and manifest comes once, however many wait for it. */
  readonly #coming = new Map<string, Promise<void>>()

  constructor(parts: MirrorParts) {
    this.#parts = parts
    this.#fetch = fetchFor(parts.environment)
  }

  async manifest(repository: string, reference: string): Promise<StoredManifest> {
    const { manifests, log } = this.#parts
    const kept = await manifests.get(repository, reference).catch(() => null)
    const key = `${repository}:${reference}`
    if (kept !== null && (parseDigest(reference) !== undefined || this.#isFresh(key))) return kept
    try {
      await this.#once(`manifest ${key}`, () => this.#fetchManifest(repository, reference))
    } catch (error) {
      if (error instanceof NotInRegistry) throw new RegistryError('MANIFEST_UNKNOWN', { detail: reference })
      if (kept === null) throw this.#unavailable(error)
      log.warn('the mirrored registry did not answer; what is kept is served', { repository, error })
      return kept
    }
    return await manifests.get(repository, reference)
  }

  /** True: the answer is on its way; false: it can be served out of the store now. */
  async bringBlob(exchange: Exchange, repository: string, digest: Digest): Promise<boolean> {
    const { request, response } = exchange
    const key = `blob ${repository} ${digest.text}`
    const isFirst = !this.#coming.has(key)
    const isStreamed = isFirst && request.method === 'GET' && request.headers.range === undefined
    try {
      await this.#once(key, () => this.#fetchBlob(isStreamed ? exchange : null, repository, digest))
    } catch (error) {
      if (isStreamed && response.headersSent) {
        response.destroy()
        return true
      }
      if (error instanceof NotInRegistry) throw new RegistryError('BLOB_UNKNOWN', { detail: digest.text })
      throw error instanceof RegistryError ? error : this.#unavailable(error)
    }
    return isStreamed && response.headersSent
  }

  async #fetchManifest(repository: string, reference: string): Promise<void> {
    const { manifests } = this.#parts
    const content = await this.#client(repository).manifest(reference)
    await manifests.put({ repository, reference, contentType: '', content, isMirrored: true })
    this.#remember(`${repository}:${reference}`)
  }

  /** Goes to whoever asked first while it comes; what nobody waits for any more is kept all the same. */
  async #fetchBlob(exchange: Exchange | null, repository: string, digest: Digest): Promise<void> {
    const { uploads } = this.#parts
    const upload = await uploads.begin(repository, digest.algorithm)
    const source = this.#client(repository).blob(digest.text)
    try {
      await uploads.exclusively(upload, async () => {
        await uploads.append(upload, exchange === null ? source : tee(source, exchange, digest))
        await uploads.finish(upload, digest)
      })
    } catch (error) {
      await uploads.cancel(upload)
      throw error
    }
    if (exchange?.response.headersSent) exchange.response.end()
  }

  #client(repository: string): RegistryClient {
    const { config, clock } = this.#parts
    const known = this.#clients.get(repository)
    if (known !== undefined) return known
    const login = config.login ?? undefined
    const base = `${config.server}/v2`
    const client = new RegistryClient({ base, repository, login, clock, fetch: this.#fetch })
    const oldest = this.#clients.keys().next().value
    if (this.#clients.size >= CLIENTS_MAX && oldest !== undefined) this.#clients.delete(oldest)
    this.#clients.set(repository, client)
    return client
  }

  async #once(key: string, work: () => Promise<void>): Promise<void> {
    const coming = this.#coming.get(key) ?? work().finally(() => this.#coming.delete(key))
    this.#coming.set(key, coming)
    await coming
  }

  #isFresh(key: string): boolean {
    const since = this.#fresh.get(key)
    return since !== undefined && this.#parts.clock.monotonic() - since < TAG_FRESH_MS
  }

  #remember(key: string): void {
    const oldest = this.#fresh.keys().next().value
    if (this.#fresh.size >= TAGS_REMEMBERED_MAX && oldest !== undefined) this.#fresh.delete(oldest)
    this.#fresh.set(key, this.#parts.clock.monotonic())
  }

  #unavailable(error: unknown): RegistryError {
    if (error instanceof RegistryError) return error
    return new RegistryError('UNAVAILABLE', { detail: `${this.#parts.config.server}: ${messageOf(error)}` })
  }
}

/** The answer begins with the first byte; it ends when all has been checked. */
async function* tee(
  source: AsyncIterable<Uint8Array>,
  { response }: Exchange,
  digest: Digest,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of source) {
    if (!response.headersSent) {
      response.writeHead(200, {
        'content-type': 'application/octet-stream',
        'docker-content-digest': digest.text,
      })
    }
    if (!response.destroyed && !response.write(chunk)) await drained(response)
    yield chunk
  }
}

/** Also when the client has gone. */
function drained(response: Exchange['response']): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}
