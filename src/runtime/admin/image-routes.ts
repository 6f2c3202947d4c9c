/** The paths of the admin socket that are about the node's images; archives go through it as streams. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Mk8sError } from '../../base/errors.ts'
import type { ImageHandlers } from '../../client/node-images.ts'

const IMAGES = '/v1/images'
const NAMES_MAX = 100

export const isImagePath = (path: string): boolean => path === IMAGES || path.startsWith(`${IMAGES}/`)

/** Undefined: there is no such path; null: it has been answered. */
export async function routeImages(
  images: ImageHandlers,
  { request, response, url }: { request: IncomingMessage; response: ServerResponse; url: URL },
): Promise<object | undefined | null> {
  const path = `${request.method} ${url.pathname}`
  if (path === `GET ${IMAGES}`) return { images: await images.list() }
  if (path === `DELETE ${IMAGES}`) return removeImages(images, url)
  if (path === `GET ${IMAGES}/archive`) {
    const archive = await images.export(namesIn(url))
    response.writeHead(200, { 'content-type': 'application/x-tar' })
    await pipeline(Readable.from(archive), response).catch(() => response.destroy())
    return null
  }
  if (path !== `POST ${IMAGES}`) return undefined
  try {
    return await importImages(images, request, url.searchParams.get('all-nodes') === 'true')
  } finally {
    // Whoever still sends has to get to the end before it reads the answer.
    request.resume()
  }
}

async function importImages(
  images: ImageHandlers,
  request: IncomingMessage,
  everywhere: boolean,
): Promise<object> {
  const length = request.headers['content-length']
  const options = length === undefined ? {} : { sizeBytes: Number(length) }
  // Left open when it fails: the answer goes over the same connection.
  const archive = request.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>
  if (!everywhere) return { images: await images.import(archive, options) }
  if (images.importEverywhere === undefined) throw onWorker('import')
  return { nodes: await images.importEverywhere(archive, options) }
}

async function removeImages(images: ImageHandlers, url: URL): Promise<object> {
  const options = { force: url.searchParams.get('force') === 'true' }
  const names = namesIn(url)
  if (url.searchParams.get('all-nodes') !== 'true') return { removed: await images.remove(names, options) }
  if (images.removeEverywhere === undefined) throw onWorker('remove')
  return { nodes: await images.removeEverywhere(names, options) }
}

const onWorker = (command: string) =>
  new Mk8sError('refused', 'a worker cannot reach the other nodes', {
    hint: `run mk8s images ${command} --all-nodes on a server`,
  })

function namesIn(url: URL): string[] {
  const names = url.searchParams.getAll('name')
  if (names.length === 0 || names.length > NAMES_MAX)
    throw new Mk8sError('usage', `one to ${NAMES_MAX} images have to be named`)
  return names
}
