/** The kubelet's `/v2/…`: this node's images for the other nodes, read only, as the distribution specification has it. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ImageContent } from './runtime/runtime.ts'

const PATH = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/
/** So many transfers at once; who comes on top goes to somebody else. */
const TRANSFERS_MAX = 32
const TYPES = { manifests: 'application/vnd.oci.image.manifest.v1+json', blobs: 'application/octet-stream' }

export class ImageDistribution {
  readonly #content: ImageContent | undefined
  #transfers = 0

  constructor(content: ImageContent | undefined) {
    this.#content = content
  }

  async answer(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    if (request.method !== 'GET' && request.method !== 'HEAD') return end(response, 405)
    if (url.pathname === '/v2/') return end(response, 200)
    if (this.#transfers >= TRANSFERS_MAX) return end(response, 503)
    this.#transfers++
    try {
      await this.#send(request, response, url)
    } finally {
      this.#transfers--
    }
  }

  async #send(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const [, repository = '', kind, reference = ''] = PATH.exec(url.pathname) ?? []
    if (kind !== 'manifests' && kind !== 'blobs') return end(response, 404)
    const part = await this.#content?.find({
      ...{ repository, reference },
      registry: url.searchParams.get('ns') ?? '',
      architecture: url.searchParams.get('architecture') ?? '',
      waits: url.searchParams.get('wait') === 'true',
    })
    if (part === null || part === undefined) return end(response, 404)
    const range = /^bytes=(\d{1,15})-$/.exec(request.headers.range ?? '')?.[1]
    const fromByte = Number(range ?? 0)
    if (fromByte > part.sizeBytes) return end(response, 416)
    response.writeHead(range === undefined ? 200 : 206, {
      'content-type': TYPES[kind],
      'content-length': part.sizeBytes - fromByte,
      'docker-content-digest': part.digest,
      ...(range !== undefined && {
        'content-range': `bytes ${fromByte}-${Math.max(0, part.sizeBytes - 1)}/${part.sizeBytes}`,
      }),
    })
    if (request.method === 'HEAD') return void response.end()
    // Whoever goes away in the middle asks somebody else.
    await pipeline(Readable.from(part.read(fromByte)), response).catch(() => response.destroy())
  }
}

function end(response: ServerResponse, status: number): void {
  response.statusCode = status
  response.end()
}
