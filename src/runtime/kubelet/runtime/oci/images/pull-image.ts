/** Gets images from registries into the store; who asks for one that is coming waits for it. */

import { createHash } from 'node:crypto'
import type { Clock } from '../../../../../base/clock.ts'
import { eachAtOnce } from '../../../../../base/each-at-once.ts'
import { Mk8sError, messageOf } from '../../../../../base/errors.ts'
import { NO_REGISTRIES, type Registries } from '../../../../../kube/registries/registries.ts'
import { longImageName, registryOf } from '../../../image-name.ts'
import type { Peers, RegistryCredentials } from '../../runtime.ts'
import { sourcesOf } from './image-sources.ts'
import type { ImageRecord, ImageStore } from './image-store.ts'
import {
  asIndex,
  asManifest,
  checkIsImage,
  choosePlatform,
  type Descriptor,
  isOtherContent,
  parseDocument,
} from './manifests.ts'
import { PeerSources, type WantedImage } from './peers.ts'
import { type ImageSource, NotInRegistry, Unavailable } from './registry-client.ts'
import { wholeBlob } from './resumed-blob.ts'

const PULLS_AT_ONCE = 4
const PULLS_WAITING_MAX = 500
const LAYERS_AT_ONCE = 3

export interface ImagePullerParts {
  readonly store: ImageStore
  readonly clock: Clock
  /** May name a proxy. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** As the cluster has them configured now. */
  readonly registries?: () => Promise<Registries>
  /** Whoever else may have an image. */
  readonly peers?: Peers
}

export class ImagePuller {
  readonly #parts: ImagePullerParts
  readonly #store: ImageStore
  readonly #running = new Map<string, Promise<ImageRecord>>()
  readonly #waiting: (() => void)[] = []
  /** Blobs on their way. */
  readonly #coming = new Map<string, Promise<void>>()
  readonly #peers: PeerSources | undefined
  #busy = 0

  constructor(parts: ImagePullerParts) {
    this.#parts = parts
    this.#store = parts.store
    this.#peers = parts.peers && new PeerSources(parts.peers, parts.clock)
  }

  /** The end of a blob's way into the store; undefined when it is not on it. */
  coming(digest: string): Promise<void> | undefined {
    return this.#coming.get(digest)
  }

  pull(image: string, credentials: readonly RegistryCredentials[]): Promise<ImageRecord> {
    const name = longImageName(image)
    // Whoever has other credentials may not use what these bring.
    const key = `${name} ${createHash('sha256').update(JSON.stringify(credentials)).digest('hex')}`
    const running = this.#running.get(key)
    if (running !== undefined) return running
    const work = () => this.#store.gate.whileOpen(() => this.#pull(name, credentials))
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

  async #pull(name: string, credentials: readonly RegistryCredentials[]): Promise<ImageRecord> {
    const { repository, reference } = partsOf(name)
    const { clock, env = {}, registries = async () => NO_REGISTRIES } = this.#parts
    const known = { registries: await registries(), env, clock }
    const sources = sourcesOf({ ...known, name, repository, credentials })
    const { manifest, digest, source } = await this.#resolveAnywhere(sources, reference)
      .catch(error => this.#resolveNearby({ name, repository }, reference, error))
      .catch(error => fail(name, 'failed to resolve reference', error))
    try {
      const nearby = (await this.#peers?.having({ name, repository }, manifest.digest)) ?? []
      await this.#fetchBlobs([...new Set([...nearby, source, ...sources])], manifest)
      const record = await this.#store.unpack(name, manifest, `${nameOf(name)}@${digest}`)
      return await this.#store.keep(source.usedLogin ? { ...record, isPrivate: true } : record)
    } catch (error) {
      return fail(name, 'failed to fetch', error)
    }
  }

  /** The registry itself comes last, and what it says is what counts when nobody has it. */
  async #resolveAnywhere(sources: readonly ImageSource[], reference: string): Promise<Resolved> {
    let problem: unknown
    for (const source of sources) {
      try {
        return { ...(await this.#resolve(source, reference)), source }
      } catch (error) {
        problem = error
      }
    }
    throw problem
  }

  /** Only where no registry answers: what one says of a tag, or of credentials, counts. */
  async #resolveNearby(image: WantedImage, reference: string, problem: unknown): Promise<Resolved> {
    if (!(problem instanceof Unavailable)) throw problem
    const nearby = (await this.#peers?.named(image)) ?? []
    return this.#resolveAnywhere(nearby, reference).catch(() => {
      throw problem
    })
  }

  /** The manifest for this machine, and the digest that the reference stands for. */
  async #resolve(source: ImageSource, reference: string): Promise<{ manifest: Descriptor; digest: string }> {
    const expected = reference.startsWith('sha256:') ? reference : undefined
    const top = await this.#document(source, reference, expected)
    const index = asIndex(top.document)
    if (index === undefined) return { manifest: top.descriptor, digest: top.descriptor.digest }
    const chosen = choosePlatform(index)
    if (chosen === undefined) {
      throw new Mk8sError('kubelet/runtime', 'no match for platform in manifest', { why: process.arch })
    }
    const { descriptor } = await this.#document(source, chosen.digest, chosen.digest)
    return { manifest: descriptor, digest: top.descriptor.digest }
  }

  async #document(
    source: ImageSource,
    reference: string,
    digest: string | undefined,
  ): Promise<{ document: unknown; descriptor: Descriptor }> {
    const bytes = await source.manifest(reference)
    const document = parseDocument(bytes, 'the manifest')
    const expected = digest === undefined ? undefined : { digest, size: bytes.length }
    const descriptor = await this.#store.blobs.write(once(bytes), expected)
    return { document, descriptor }
  }

  async #fetchBlobs(sources: readonly ImageSource[], manifest: Descriptor): Promise<void> {
    const document = parseDocument(await this.#store.blobs.document(manifest.digest), 'the manifest')
    checkIsImage(document)
    const { config, layers } = asManifest(document)
    const wanted = [config, ...layers].filter(({ digest }) => !this.#store.blobs.has(digest))
    const blobs = new Map(wanted.map(blob => [blob.digest, blob])).values()
    await eachAtOnce(blobs, LAYERS_AT_ONCE, blob => this.#fetchOnce(sources, blob))
  }

  /** Images that are pulled at once may share layers; one that fails leaves it to the other. */
  async #fetchOnce(sources: readonly ImageSource[], blob: Descriptor): Promise<void> {
    await this.#coming.get(blob.digest)?.catch(() => {})
    if (this.#store.blobs.has(blob.digest)) return
    const fetched = this.#fetch(sources, blob).finally(() => this.#coming.delete(blob.digest))
    this.#coming.set(blob.digest, fetched)
    await fetched
  }

  /** Whoever sends other bytes than those of the digest is asked no more. */
  async #fetch(sources: readonly ImageSource[], blob: Descriptor): Promise<void> {
    const { clock } = this.#parts
    let problem: unknown
    for (let first = 0; first < sources.length; first++) {
      const bytes = wholeBlob({ sources: sources.slice(first), blob, clock })
      try {
        await this.#store.blobs.write(bytes, blob)
        return
      } catch (error) {
        problem ??= error
        if (!isOtherContent(error)) throw error
      }
    }
    throw problem
  }
}

interface Resolved {
  readonly manifest: Descriptor
  readonly digest: string
  readonly source: ImageSource
}

function fail(name: string, what: string, error: unknown): never {
  const about = `${what} ${JSON.stringify(name)}`
  const why = error instanceof NotInRegistry ? `${name}: not found` : messageOf(error)
  const message = `failed to pull and unpack image ${JSON.stringify(name)}: ${about}: ${why}`
  throw new Mk8sError('kubelet/runtime', message, { cause: error })
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
