/** An extension API server on loopback: it trusts the front proxy, keeps one kind in memory, tells what it was asked. */
import { randomUUID } from 'node:crypto'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { certificatesFor } from './webhook-server.ts'

export interface ExtensionServer {
  readonly port: number
  /** PEM in base64, as APIServices have it. */
  readonly caBundle: string
  readonly asked: {
    readonly method: string
    readonly path: string
    readonly user: string
    readonly groups: string[]
  }[]
  /** What a watch of a namespace is sent next. */
  tell(event: object): void
  close(): Promise<void>
}

interface Flunder {
  metadata: { name: string; namespace?: string; uid?: string; resourceVersion?: string }
}

export const GROUP = 'wardle.example.com'
const VERSION = 'v1alpha1'
const API = `/apis/${GROUP}/${VERSION}`
const RESOURCE = {
  name: 'flunders',
  singularName: 'flunder',
  namespaced: true,
  kind: 'Flunder',
  verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
}

/** `frontProxyCa`: PEM of the authority whose client certificates are believed. */
export async function startExtensionServer(
  frontProxyCa: string,
  names: readonly string[],
): Promise<ExtensionServer> {
  const { authority, leaf } = await certificatesFor(names)
  const flunders = new Map<string, Flunder>()
  const watches = new Set<{ write(text: string): unknown }>()
  /** Of all namespaces, told by themselves of what comes and goes. */
  const wholeWatches = new Set<{ write(text: string): unknown }>()
  let version = 1
  const happened = (type: string, { metadata, ...rest }: Flunder) => {
    const object = {
      ...kind('Flunder'),
      ...rest,
      metadata: { ...metadata, resourceVersion: String(version) },
    }
    for (const watch of wholeWatches) watch.write(`${JSON.stringify({ type, object })}\n`)
  }
  const asked: ExtensionServer['asked'] = []
  const server = createServer({
    cert: leaf.certificate,
    key: leaf.key,
    ca: frontProxyCa,
    requestCert: true,
    rejectUnauthorized: false,
  })
  server.on('request', async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const url = new URL(request.url ?? '/', 'https://extension')
    const user = String(request.headers['x-remote-user'] ?? '')
    const groups = request.headersDistinct['x-remote-group'] ?? []
    asked.push({ method: request.method ?? '', path: request.url ?? '', user, groups })
    const answer = (status: number, value: unknown) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(value))
    }
    const isTrusted = (request.socket as TLSSocket).authorized
    if (!isTrusted)
      return answer(401, { kind: 'Status', apiVersion: 'v1', code: 401, reason: 'Unauthorized' })
    if (url.pathname === API) return answer(200, resourceList())
    const [, namespace = '', name = ''] =
      /^.*\/namespaces\/([^/]+)\/flunders(?:\/([^/]+))?$/.exec(url.pathname) ?? []
    const isWatch = url.searchParams.get('watch') !== null && url.searchParams.get('watch') !== 'false'
    const isWhole = url.pathname === `${API}/flunders`
    if (isWhole && !isWatch) {
      const metadata = { resourceVersion: String(version) }
      return answer(200, { ...kind('FlunderList'), metadata, items: [...flunders.values()] })
    }
    if (namespace === '' && !isWhole)
      return answer(404, { kind: 'Status', apiVersion: 'v1', code: 404, reason: 'NotFound' })
    if (request.method === 'POST') {
      const flunder = JSON.parse(Buffer.concat(pieces).toString('utf8')) as Flunder
      version += 1
      Object.assign(flunder.metadata, { namespace, uid: randomUUID(), resourceVersion: String(version) })
      flunders.set(flunder.metadata.name, flunder)
      happened('ADDED', flunder)
      return answer(201, flunder)
    }
    if (request.method === 'DELETE') {
      const isMeant = (one: Flunder) => one.metadata.name === name || name === ''
      const inNamespace = [...flunders].filter(([, one]) => one.metadata.namespace === namespace)
      const { preconditions } = JSON.parse(Buffer.concat(pieces).toString('utf8') || '{}')
      const wanted = preconditions?.uid
      if (wanted !== undefined && wanted !== flunders.get(name)?.metadata.uid)
        return answer(409, { kind: 'Status', apiVersion: 'v1', code: 409, reason: 'Conflict' })
      for (const [key, flunder] of inNamespace.filter(([, one]) => isMeant(one))) {
        flunders.delete(key)
        version += 1
        happened('DELETED', flunder)
      }
      return answer(200, { kind: 'Status', apiVersion: 'v1', status: 'Success' })
    }
    if (isWatch) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      const all = isWhole ? wholeWatches : watches
      all.add(response)
      response.once('close', () => all.delete(response))
      return
    }
    if (name === '')
      return answer(200, {
        ...kind('FlunderList'),
        metadata: {},
        items: [...flunders.values()].filter(one => one.metadata.namespace === namespace),
      })
    const found = flunders.get(name)
    return found === undefined
      ? answer(404, {
          kind: 'Status',
          apiVersion: 'v1',
          code: 404,
          reason: 'NotFound',
          message: 'no such flunder',
        })
      : answer(200, found)
  })
  server.on('upgrade', (request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
    )
    socket.pipe(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', () => resolve()))
  return {
    port: (server.address() as AddressInfo).port,
    caBundle: Buffer.from(authority.certificate).toString('base64'),
    asked,
    tell(event) {
      for (const watch of watches) watch.write(`${JSON.stringify(event)}\n`)
    },
    async close() {
      server.closeAllConnections()
      await new Promise<void>(resolve => server.close(() => resolve()))
    },
  }
}

const kind = (name: string) => ({ kind: name, apiVersion: `${GROUP}/${VERSION}` })

const resourceList = () => ({
  kind: 'APIResourceList',
  apiVersion: 'v1',
  groupVersion: `${GROUP}/${VERSION}`,
  resources: [RESOURCE],
})
