/** A little registry of images on loopback, as the distribution specification has it: tags, digests, ranges. */
import { createHash, randomBytes } from 'node:crypto'
import { createServer as createPlain, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecure } from 'node:https'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { renderTar } from '../../src/base/tar.ts'

export interface SampleImage {
  /** Of the manifest, which every tag leads to. */
  readonly digest: string
  readonly configDigest: string
  readonly blobs: ReadonlyMap<string, Buffer>
}

export interface RegistryOptions {
  /** Nothing is told without. */
  readonly login?: { readonly username: string; readonly password: string }
  readonly tls?: { readonly cert: string; readonly key: string }
  /** Each answer with a blob ends so early. */
  readonly breaksAfterBytes?: number
  /** Each answer with a blob begins so late. */
  readonly blobDelayMs?: number
  /** Blobs have other bytes than they should. */
  readonly damages?: boolean
}

export interface TestRegistry {
  readonly url: string
  readonly host: string
  /** Every request, in order. */
  readonly asked: { path: string; range?: string | undefined; authorization?: string | undefined }[]
  close(): Promise<void>
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const digestOf = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const json = (value: object) => Buffer.from(JSON.stringify(value))

/** One layer with so many bytes that cannot be compressed. */
export function sampleImage(
  name: string,
  bytes: number,
  { configType = 'application/vnd.oci.image.config.v1+json' } = {},
): SampleImage {
  const tar = renderTar([
    { type: 'file', name: 'named', mode: 0o644, content: Buffer.from(name) },
    { type: 'file', name: 'filler', mode: 0o644, content: randomBytes(bytes) },
  ])
  const layer = gzipSync(tar)
  const config = json({
    architecture: process.arch === 'x64' ? 'amd64' : process.arch,
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [digestOf(tar)] },
  })
  const refer = (blob: Buffer, mediaType: string) => ({
    mediaType,
    digest: digestOf(blob),
    size: blob.length,
  })
  const manifest = json({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: refer(config, configType),
    layers: [refer(layer, 'application/vnd.oci.image.layer.v1.tar+gzip')],
  })
  return {
    digest: digestOf(manifest),
    configDigest: digestOf(config),
    blobs: new Map([manifest, config, layer].map(blob => [digestOf(blob), blob])),
  }
}

/** Images by their repository; on `address`, or the loopback. */
export async function startRegistry(
  images: Readonly<Record<string, SampleImage>>,
  options: RegistryOptions = {},
  address = '127.0.0.1',
): Promise<TestRegistry> {
  const asked: TestRegistry['asked'] = []
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname: path } = new URL(request.url ?? '', 'http://registry')
    const { range, authorization } = request.headers
    asked.push({ path, range, authorization })
    const { login } = options
    const wanted = login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`
    if (wanted !== undefined && authorization !== wanted) {
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="registry"' }).end()
    }
    const [, repository = '', kind, reference = ''] =
      /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? []
    const image = images[repository]
    const digest = reference.startsWith('sha256:') ? reference : (image?.digest ?? '')
    const blob = image?.blobs.get(digest)
    if (blob === undefined) return void response.writeHead(404).end()
    if (kind === 'manifests') {
      response.writeHead(200, {
        'content-type': MANIFEST_TYPE,
        'content-length': blob.length,
        'docker-content-digest': digest,
      })
      return void response.end(request.method === 'HEAD' ? undefined : blob)
    }
    setTimeout(() => send(response, blob, range, options), options.blobDelayMs ?? 0)
  }
  const server = options.tls === undefined ? createPlain(answer) : createSecure({ ...options.tls }, answer)
  await new Promise<void>(resolve => server.listen(0, address, resolve))
  const host = `${address}:${(server.address() as AddressInfo).port}`
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host}`,
    host,
    asked,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function send(
  response: ServerResponse,
  blob: Buffer,
  range: string | undefined,
  { breaksAfterBytes = Number.POSITIVE_INFINITY, damages = false }: RegistryOptions,
): void {
  const from = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
  const rest = damages ? Buffer.alloc(blob.length - from) : blob.subarray(from)
  response.writeHead(range === undefined ? 200 : 206, { 'content-length': rest.length })
  if (rest.length <= breaksAfterBytes) return void response.end(rest)
  response.write(rest.subarray(0, breaksAfterBytes), () => setImmediate(() => response.destroy()))
}
