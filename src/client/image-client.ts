/** Images over the admin socket: archives go in and out as streams, so that their size does not matter. */
import { request as httpRequest, type IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Mk8sError } from '../base/errors.ts'
import { askAdmin, parseAnswer, unreachable } from './admin-client.ts'
import type { NodeImage, NodeImport, RemoveOptions } from './node-images.ts'

const LIST_MS_MAX = 60_000
/** Unpacking large images on a slow disk takes its time. */
const ARCHIVE_MS_MAX = 2 * 60 * 60_000
const ERROR_BYTES_MAX = 64 * 1024

const query = (names: readonly string[]) => new URLSearchParams(names.map(name => ['name', name]))

export async function listNodeImages(socketPath: string): Promise<readonly NodeImage[]> {
  const answer = await askAdmin(socketPath, 'GET', '/v1/images', LIST_MS_MAX)
  return (answer as { images: readonly NodeImage[] }).images
}

export async function removeNodeImages(
  socketPath: string,
  names: readonly string[],
  { force = false }: RemoveOptions = {},
): Promise<readonly string[]> {
  const path = `/v1/images?${query(names)}${force ? '&force=true' : ''}`
  const answer = await askAdmin(socketPath, 'DELETE', path, LIST_MS_MAX)
  return (answer as { removed: readonly string[] }).removed
}

/** From all nodes of the cluster; what became of it on each. */
export async function removeEverywhere(
  socketPath: string,
  names: readonly string[],
  { force = false }: RemoveOptions = {},
): Promise<readonly NodeImport[]> {
  const path = `/v1/images?${query(names)}&all-nodes=true${force ? '&force=true' : ''}`
  const answer = await askAdmin(socketPath, 'DELETE', path, LIST_MS_MAX)
  return (answer as { nodes: readonly NodeImport[] }).nodes
}

export async function importNodeImages(socketPath: string, archive: Readable): Promise<readonly string[]> {
  const answer = await askAdmin(socketPath, 'POST', '/v1/images', ARCHIVE_MS_MAX, archive)
  return (answer as { images: readonly string[] }).images
}

/** Into all nodes of the cluster; what became of it on each. */
export async function importEverywhere(
  socketPath: string,
  archive: Readable,
): Promise<readonly NodeImport[]> {
  const answer = await askAdmin(socketPath, 'POST', '/v1/images?all-nodes=true', ARCHIVE_MS_MAX, archive)
  return (answer as { nodes: readonly NodeImport[] }).nodes
}

/** The bytes of an OCI archive; they end with an error when not all of them came. */
export async function exportNodeImages(socketPath: string, names: readonly string[]): Promise<Readable> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const path = `/v1/images/archive?${query(names)}`
    const request = httpRequest({ socketPath, method: 'GET', path, agent: false }, resolve)
    request.on('error', error => reject(unreachable(socketPath, error))).end()
  })
  if (response.statusCode === 200) return response
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response) {
    size += (chunk as Buffer).length
    if (size <= ERROR_BYTES_MAX) chunks.push(chunk as Buffer)
  }
  parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))
  throw new Mk8sError('refused', 'the daemon does not send the archive')
}
