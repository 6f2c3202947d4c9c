/**
 * A mirror on loopback for a containerd of our own: it asks the other nodes for what containerd wants by its digest.
 * Which digest a tag is, and who may have it, containerd asks the registry as ever; what no node has, it gets there.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Clock } from '../../../../base/clock.ts'
import type { Component } from '../../../../base/component.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import type { Random } from '../../../../base/random.ts'
import { PeerSources } from '../oci/images/peers.ts'
import type { ImageSource } from '../oci/images/registry-client.ts'
import type { Peers } from '../runtime.ts'

const PATH = /^\/([0-9a-f]{32})\/v2\/(.+)\/(manifests|blobs)\/(sha256:[0-9a-f]{64})$/
/** A node that does not begin to answer within this time is passed over. */
const ANSWER_MS_MAX = 3_000
/** containerd gives a pull up that has brought nothing for a minute; the registry is asked before that. */
const TRANSFER_MS_MAX = 30_000
const TRIES_MAX = 4
const TRANSFERS_MAX = 32
const SECRET_BYTES = 16

export interface PeerMirrorParts {
  readonly peers: Peers
  /** Of its own: emptied at each start. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
}

export class PeerMirror implements Component {
  readonly name = 'image-mirror'
  readonly #sources: PeerSources
  readonly #clock: Clock
  readonly #secret: string
  readonly #server: Server
  readonly #directory: string
  #transfers = 0
  #files = 0

  constructor({ peers, directory, clock, random }: PeerMirrorParts) {
    this.#sources = new PeerSources(peers, clock)
    this.#directory = directory
    this.#clock = clock
    this.#secret = Buffer.from(random.bytes(SECRET_BYTES)).toString('hex')
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy())
    })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true })
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.#server.once('error', reject)
    this.#server.listen(0, '127.0.0.1', resolve)
    await promise
  }

  async stop(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  health() {
    return { ok: true, reason: '' }
  }

  /** For containerd's eyes: whoever knows it may have what other nodes have. Undefined until it listens. */
  get url(): string | undefined {
    const address = this.#server.address() as AddressInfo | null
    return address === null ? undefined : `http://127.0.0.1:${address.port}/${this.#secret}/v2`
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '', 'http://mirror')
    const [, secret = '', repository = '', kind, digest = ''] = PATH.exec(url.pathname) ?? []
    const isKnown = secret !== '' && timingSafeEqual(Buffer.from(secret), Buffer.from(this.#secret))
    if (!isKnown || request.method !== 'GET') return end(response, 404)
    if (this.#transfers >= TRANSFERS_MAX) return end(response, 404)
    this.#transfers++
    try {
      const name = `${url.searchParams.get('ns') ?? ''}/${repository}`
      const sources = await this.#sources.named({ name, repository })
      if (kind === 'manifests') await this.#sendManifest(sources, digest, response)
      else await this.#sendBlob(sources, digest, response)
    } finally {
      this.#transfers--
    }
  }

  async #sendManifest(sources: readonly ImageSource[], digest: string, response: ServerResponse) {
    const answers = sources.map(async source => {
      const bytes = await source.manifest(digest)
      if (digestOf(bytes) !== digest) throw wrong(digest)
      return bytes
    })
    const bytes = await Promise.any(answers).catch(() => null)
    if (bytes === null) return end(response, 404)
    const { mediaType } = JSON.parse(bytes.toString('utf8')) as { mediaType?: string }
    response.writeHead(200, {
      'content-type': mediaType ?? 'application/vnd.oci.image.manifest.v1+json',
      'content-length': bytes.length,
      'docker-content-digest': digest,
    })
    response.end(bytes)
  }

  /** Checked before the first byte is sent: containerd would go on at the registry behind bytes that are wrong. */
  async #sendBlob(sources: readonly ImageSource[], digest: string, response: ServerResponse) {
    for (const source of sources.slice(0, TRIES_MAX)) {
      const path = join(this.#directory, String(++this.#files))
      try {
        const sizeBytes = await this.#fetch(source, digest, path).catch(() => null)
        if (sizeBytes === null) continue
        response.writeHead(200, {
          'content-type': 'application/octet-stream',
          'content-length': sizeBytes,
          'docker-content-digest': digest,
        })
        return await pipeline(createReadStream(path), response)
      } finally {
        await rm(path, { force: true })
      }
    }
    end(response, 404)
  }

  /** Its size once it lies there whole; rejects when this node does not have it, or not in time. */
  async #fetch(source: ImageSource, digest: string, path: string): Promise<number> {
    const late = new AbortController()
    let begun = false
    const isLate = Promise.withResolvers<never>()
    const fail = () => {
      late.abort()
      isLate.reject(new Mk8sError('kubelet/runtime', `${digest} did not come in time`))
    }
    const timers = [
      this.#clock.after(ANSWER_MS_MAX, () => !begun && fail()),
      this.#clock.after(TRANSFER_MS_MAX, fail),
    ]
    const hash = createHash('sha256')
    let sizeBytes = 0
    const checked = async function* (pieces: AsyncIterable<Uint8Array>) {
      for await (const piece of pieces) {
        begun = true
        hash.update(piece)
        sizeBytes += piece.length
        yield piece
      }
    }
    try {
      const file = createWriteStream(path, { mode: 0o600 })
      const way = pipeline(Readable.from(source.blob(digest, 0)), checked, file, { signal: late.signal })
      // A connection that hangs would hold the end of the way up.
      await Promise.race([way, isLate.promise])
    } finally {
      for (const timer of timers) timer.cancel()
    }
    if (`sha256:${hash.digest('hex')}` !== digest) throw wrong(digest)
    return sizeBytes
  }
}

const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const wrong = (digest: string) => new Mk8sError('kubelet/runtime', `a node has something else as ${digest}`)

function end(response: ServerResponse, status: number): void {
  response.statusCode = status
  response.end()
}
