/** An archive of images into every node of the cluster: this server sends it to the kubelets of the others. */

import { createReadStream } from 'node:fs'
import type { ClientRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { eachAtOnce } from '../base/each-at-once.ts'
import { Mk8sError, messageOf } from '../base/errors.ts'
import { readBounded } from '../base/read-bounded.ts'
import type { ImageHandlers, ImportOptions, NodeImport, RemoveOptions } from '../client/node-images.ts'
import type { Node } from '../kube/types.ts'
import type { NodeImages } from './node-images.ts'
import type { Pki } from './pki/pki.ts'

export interface SpreadParts {
  readonly nodeName: string
  readonly images: NodeImages
  readonly nodes: () => readonly Node[]
  /** As the cluster has them now. */
  readonly pki: () => Pki
}

const NODES_AT_ONCE = 4
/** Without anything moving for so long, a node has failed. */
const STALL_MS = 10 * 60_000
const ANSWER_BYTES_MAX = 64 * 1024
const KUBELET_PORT = 10_250

/** A server's images, and a way into those of all nodes. */
export function imagesOfCluster(parts: SpreadParts): ImageHandlers {
  const { images } = parts
  return {
    list: () => images.list(),
    import: (archive, options) => images.import(archive, options),
    importEverywhere: (archive, options) => importEverywhere(parts, archive, options),
    export: names => images.export(names),
    remove: (names, options) => images.remove(names, options),
    removeEverywhere: (names, options = {}) =>
      onEveryNode(parts, (node, name) =>
        name === parts.nodeName
          ? images.remove(names, { ...options, ifPresent: true })
          : askToRemove(parts.pki(), node, { names, options }),
      ),
  }
}

function importEverywhere(
  parts: SpreadParts,
  archive: AsyncIterable<Uint8Array>,
  options: ImportOptions = {},
): Promise<readonly NodeImport[]> {
  return parts.images.spooled(archive, options, file =>
    onEveryNode(parts, (node, name) =>
      name === parts.nodeName ? parts.images.importFile(file) : send(parts.pki(), node, file),
    ),
  )
}

type Work = (node: Node, name: string) => Promise<readonly string[]>

async function onEveryNode(parts: SpreadParts, work: Work): Promise<readonly NodeImport[]> {
  const done: NodeImport[] = []
  await eachAtOnce(parts.nodes(), NODES_AT_ONCE, async node => {
    const name = node.metadata.name ?? ''
    done.push(
      await work(node, name).then(
        images => ({ node: name, images, problem: '' }),
        error => ({ node: name, images: [], problem: describe(error) }),
      ),
    )
  })
  return done.sort((one, other) => (one.node < other.node ? -1 : 1))
}

const describe = (error: unknown): string =>
  error instanceof Mk8sError && error.why !== undefined ? `${error.message}: ${error.why}` : messageOf(error)

/** Whoever has a certificate of the API server's may bring images. */
const send = (pki: Pki, node: Node, file: string): Promise<readonly string[]> =>
  ask(pki, node, {
    ...{ method: 'POST', path: '/images' },
    write: request => {
      createReadStream(file)
        .once('error', error => request.destroy(error))
        .pipe(request)
    },
  })

interface Removal {
  readonly names: readonly string[]
  readonly options: RemoveOptions
}

function askToRemove(pki: Pki, node: Node, { names, options }: Removal): Promise<readonly string[]> {
  const query = new URLSearchParams(names.map(name => ['name', name]))
  if (options.force) query.set('force', 'true')
  return ask(pki, node, { method: 'DELETE', path: `/images?${query}`, write: request => request.end() })
}

interface Question {
  readonly method: string
  readonly path: string
  readonly write: (request: ClientRequest) => void
}

async function ask(
  { authorities, leaves }: Pki,
  node: Node,
  { method, path, write }: Question,
): Promise<readonly string[]> {
  const address = node.status?.addresses?.find(({ type }) => type === 'InternalIP')?.address
  if (address === undefined) throw new Mk8sError('refused', 'the node has no address yet')
  const { certificate: cert, key } = leaves['apiserver-kubelet-client']
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const request = httpsRequest({
      host: address,
      port: node.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? KUBELET_PORT,
      ...{ method, path, agent: false, cert, key },
      ca: authorities['cluster-ca'].certificate,
      timeout: STALL_MS,
    })
    request.on('timeout', () => request.destroy(new Error('nothing moved for ten minutes')))
    request.on('error', reject)
    request.on('response', response => {
      readBounded(response, ANSWER_BYTES_MAX)
        .then(bytes => resolve({ status: response.statusCode ?? 0, text: bytes.toString('utf8') }))
        .catch(reject)
    })
    write(request)
  })
  if (status === 200) return (JSON.parse(text) as { images: readonly string[] }).images
  throw new Mk8sError('refused', text.slice(0, 1_000))
}
