/** Gets images from registries into the store; who asks for one that is coming waits for it. */
import { createHash } from 'node:crypto'
import { type BackoffConfig, backoffMs } from '../../../../../base/backoff.ts'
import { type Clock, sleep } from '../../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../../base/errors.ts'
import { longImageName, registryOf } from '../../../image-name.ts'
import { credentialsFor } from '../../cri/credentials-for.ts'
import type { RegistryCredentials } from '../../runtime.ts'
import type { ImageRecord, ImageStore } from './image-store.ts'
import { asIndex, asManifest, choosePlatform, type Descriptor, parseDocument } from './manifests.ts'
import { type Fetch, fetchFor } from './proxied-fetch.ts'
import { NotInRegistry, RegistryClient } from './registry-client.ts'

const PULLS_AT_ONCE = 4
const PULLS_WAITING_MAX = 500
const LAYERS_AT_ONCE = 3
const BLOB_TRIES = 4
const RETRY: BackoffConfig = { baseMs: 500, maxMs: 10_000 }
/** The registry that has the images without a registry in their name. */
const DOCKER_SERVER = 'https://registry-1.docker.io'
/** What runs on this machine itself needs no certificate. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/

export class ImagePuller {
  readonly #store: ImageStore
  readonly #clock: Clock
  readonly #fetchImages: Fetch
  readonly #running = new Map<string, Promise<ImageRecord>>()
  readonly #waiting: (() => void)[] = []
  #busy = 0

  /** `env` may name a proxy. */
  constructor(store: ImageStore, clock: Clock, env: Readonly<Record<string, string | undefined>> = {}) {
    this.#store = store
    this.#fetchImages = fetchFor(env)
    this.#clock = clock
  }

  pull(image: string, credentials: readonly RegistryCredentials[]): Promise<ImageRecord> {
    const name = longImageName(image)
    const login = credentialsFor(name, credentials)
    // Whoever has other credentials may not use what these bring.
    const key = `${name} ${createHash('sha256')
      .update(JSON.stringify(login ?? null))
      .digest('hex')}`
    const running = this.#running.get(key)
    if (running !== undefined) return running
    const work = () => this.#store.gate.whileOpen(() => this.#pull(name, login))
    const begun = this.#inTurn(work).finally(() => this.#running.delete(key))
    this.#running.set(key, begun)
    return begun
  }

  /** Of many at once, each would take longer than all one by one. */
  async #inTurn(work: () => Promise<ImageRecord>): Promise<ImageRecord> {
    if (this.#waiting.length >= PULLS_WAITING_MAX) {
      throw new Mk8sError('kubelet/runtime', `more than ${PULLS_WAITING_MAX} pulls of images are waiting`)
    }
    if (this.#busy < PULLS_AT_ONCE) this.#busy++
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#busy--
      else next()
    }
  }

  async #pull(name: string, login: ReturnType<typeof credentialsFor>): Promise<ImageRecord> {
    const fail = (what: string, error: unknown): never => {
      const why = `${what} ${JSON.stringify(name)}: ${error instanceof NotInRegistry ? name : ''}`
      const text = error instanceof NotInRegistry ? `${why}: not found` : `${why}${messageOf(error)}`
      throw new Mk8sError(
        'kubelet/runtime',
        `failed to pull and unpack image ${JSON.stringify(name)}: ${text}`,
        {
          cause: error,
        },
      )
    }
    const { repository, reference } = partsOf(name)
    // This machine itself needs no proxy.
    const asks = LOOPBACK.test(registryOf(name)) ? fetch : this.#fetchImages
    const parts = { server: serverOf(name), repository, login, clock: this.#clock, fetch: asks }
    const client = new RegistryClient(parts)
    const found = await this.#resolve(client, reference).catch(error =>
      fail('failed to resolve reference', error),
    )
    try {
      await this.#fetchBlobs(client, found.manifest)
      return await this.#store.add(name, found.manifest, `${nameOf(name)}@${found.digest}`)
    } catch (error) {
      return fail('failed to fetch', error)
    }
  }

  /** The manifest for this machine, and the digest that the reference stands for. */
  async #resolve(
    client: RegistryClient,
    reference: string,
  ): Promise<{ manifest: Descriptor; digest: string }> {
    const expected = reference.startsWith('sha256:') ? reference : undefined
    const top = await this.#document(client, reference, expected)
    const index = asIndex(top.document)
    if (index === undefined) return { manifest: top.descriptor, digest: top.descriptor.digest }
    const chosen = choosePlatform(index)
    if (chosen === undefined) {
      throw new Mk8sError('kubelet/runtime', 'no match for platform in manifest', { why: process.arch })
    }
    const { descriptor } = await this.#document(client, chosen.digest, chosen.digest)
    return { manifest: descriptor, digest: top.descriptor.digest }
  }

  async #document(
    client: RegistryClient,
    reference: string,
    digest: string | undefined,
  ): Promise<{ document: unknown; descriptor: Descriptor }> {
    const bytes = await client.manifest(reference)
    const document = parseDocument(bytes, 'the manifest')
    const expected = digest === undefined ? undefined : { digest, size: bytes.length }
    const descriptor = await this.#store.blobs.write(once(bytes), expected)
    return { document, descriptor }
  }

  async #fetchBlobs(client: RegistryClient, manifest: Descriptor): Promise<void> {
    const document = parseDocument(await this.#store.blobs.document(manifest.digest), 'the manifest')
    const { config, layers } = asManifest(document)
    const wanted = [config, ...layers].filter(({ digest }) => !this.#store.blobs.has(digest))
    const left = [...new Map(wanted.map(blob => [blob.digest, blob])).values()]
    const worker = async () => {
      for (let blob = left.shift(); blob !== undefined; blob = left.shift()) await this.#fetch(client, blob)
    }
    await Promise.all(Array.from({ length: LAYERS_AT_ONCE }, worker))
  }

  async #fetch(client: RegistryClient, blob: Descriptor): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        await this.#store.blobs.write(client.blob(blob.digest), blob)
        return
      } catch (error) {
        if (tries === BLOB_TRIES || error instanceof NotInRegistry) throw error
        await sleep(this.#clock, backoffMs(RETRY, tries))
      }
    }
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Of a name in its long form: what follows the registry, and the tag or digest. */
function partsOf(name: string): { repository: string; reference: string } {
  const path = name.slice(registryOf(name).length + 1)
  const [plain = '', digest] = path.split('@')
  const [repository = '', tag = 'latest'] = plain.split(':')
  return { repository, reference: digest ?? tag }
}

function nameOf(name: string): string {
  return `${registryOf(name)}/${partsOf(name).repository}`
}

function serverOf(name: string): string {
  const registry = registryOf(name)
  if (registry === 'docker.io') return DOCKER_SERVER
  return `${LOOPBACK.test(registry) ? 'http' : 'https'}://${registry}`
}
