/**
 * The admin socket: HTTP over a unix socket that only root (and the group mk8s, where it exists) can open.
 * It answers when the API server does not, and knows nothing itself: the handlers come from runtime/server.ts.
 */
import { chmodSync, chownSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { type Clock, sleep } from '../../base/clock.ts'
import type { Component, Health } from '../../base/component.ts'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { readBounded } from '../../base/read-bounded.ts'
import type { AddNodeAnswer, AddNodeRequest } from '../../client/add-node.ts'
import type { AuthorityRotationStatus } from '../../client/authority-rotation.ts'
import type { BackupScheduleHandlers } from '../../client/backup-schedules.ts'
import type {
  DatastoreCheck,
  DatastoreCompaction,
  DatastoreCopy,
  DatastoreDefragmentation,
  DatastoreDetails,
} from '../../client/datastore-details.ts'
import { type KeyRotationHandlers, RING_NAMES, type RingName } from '../../client/key-rotation.ts'
import type { ImageHandlers } from '../../client/node-images.ts'
import type { RemovalOutcome, RemovalRequest } from '../../client/node-removal.ts'
import type { NodeStatus } from '../../client/node-status.ts'
import { ENCRYPTION_ACTIONS, type SecretsEncryptionHandlers } from '../../client/secrets-encryption.ts'
import { system } from '../../host/system.ts'
import { isMap } from '../../kube/json-map.ts'
import { isBackupPath, routeBackups } from './backup-routes.ts'
import { isImagePath, routeImages } from './image-routes.ts'

/** How often readiness is looked at while a client waits for it. */
const READY_POLL_MS = 20
/** The longest that one request may wait for readiness; clients that wait longer ask again. */
const READY_WAIT_MS_MAX = 60_000
/** How long requests in flight may take to end when the socket closes. */
const DRAIN_MS = 1_000
const HEADERS_BYTES_MAX = 8_192
const CONNECTIONS_MAX = 64
const BODY_BYTES_MAX = 16 * 1024

export interface AdminHandlers {
  /** Brief ones leave out what takes a look at the whole cluster. */
  status(options?: { readonly brief?: boolean }): Promise<NodeStatus>
  /**
   * Ends the pods' containers when `workloads` is set (with `isShutdown` as when the machine goes down), then asks the daemon to shut down and exit 0.
   * Resolves once the workloads have ended and the shutdown is under way; it need not wait for the shutdown.
   */
  stop(options: { readonly workloads: boolean; readonly isShutdown: boolean }): Promise<void>
  readonly datastore: DatastoreHandlers
  readonly images: () => ImageHandlers
  /** Absent on a worker, and while the node waits for its cluster. */
  readonly backups?: (() => BackupScheduleHandlers) | undefined
  /** Absent on a worker, and while the node waits for its cluster. */
  readonly secretsEncryption?: (() => SecretsEncryptionHandlers) | undefined
  /** Of the keys that all servers share. Absent on a worker. */
  readonly keys?: ((ring: RingName) => KeyRotationHandlers) | undefined
  /** Absent while the node waits for its cluster. */
  readonly certificates?: CertificateHandlers | undefined
  /** Absent on a node that cannot make tokens: a worker, or one that still waits for its cluster. */
  readonly addNode?: (request: AddNodeRequest) => Promise<AddNodeAnswer>
  /** Takes a node out of the cluster; when it is this one, it has left once this resolves. Absent as `addNode` is. */
  readonly removeNode?: (request: RemovalRequest) => Promise<RemovalOutcome>
}

export interface CertificateHandlers {
  /** Renews these leaves, and whatever else is due; resolves to the names of what is new and in use. */
  renew(names: readonly string[]): Promise<readonly string[]>
  /** Of an authority that is being replaced, or null. Absent on a worker, as the others. */
  rotation?(): Promise<AuthorityRotationStatus | null>
  /** Begins it; the cluster goes on with it by itself. */
  replaceAuthority?(): Promise<void>
  dropEarlierAuthority?(): Promise<boolean>
}

export interface DatastoreHandlers {
  details(): Promise<DatastoreDetails>
  check(): Promise<DatastoreCheck>
  compact(): Promise<DatastoreCompaction>
  defragment(): Promise<DatastoreDefragmentation>
  /** For a backup: the caller removes the file. */
  copy(): Promise<DatastoreCopy>
}

export interface AdminParts {
  readonly socketPath: string
  readonly handlers: AdminHandlers
  readonly log: Log
  readonly clock: Clock
  /** The group that may use the socket besides root. */
  readonly groupId?: number
}

export function createAdminServer(parts: AdminParts): Component {
  let server: Server | undefined
  let health: Health = { ok: false, reason: 'the admin socket is not open yet' }
  return {
    name: 'admin',
    async prepare() {},
    async start() {
      server = createServer(
        { maxHeaderSize: HEADERS_BYTES_MAX, keepAliveTimeout: 1_000 },
        (request, response) => {
          void answer(parts, request, response)
        },
      )
      server.maxConnections = CONNECTIONS_MAX
      await listen(server, parts)
      health = { ok: true, reason: '' }
    },
    async stop() {
      const closing = server
      server = undefined
      health = { ok: false, reason: 'the admin socket is closed' }
      if (closing !== undefined) await close(closing, parts.clock)
    },
    health: () => health,
  }
}

async function listen(server: Server, { socketPath, groupId }: AdminParts): Promise<void> {
  const isFile = system !== 'windows'
  if (isFile) rmSync(socketPath, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', error => reject(listenFailure(socketPath, error)))
    server.listen(socketPath, resolve)
  })
  // A pipe of Windows may be written to by the system, administrators and who made it, unless it is told otherwise.
  if (!isFile) return
  if (groupId !== undefined) chownSync(socketPath, 0, groupId)
  chmodSync(socketPath, groupId === undefined ? 0o600 : 0o660)
}

function listenFailure(socketPath: string, error: Error): Mk8sError {
  const hint =
    systemCodeOf(error) === 'EINVAL'
      ? 'the path of a unix socket has at most 107 bytes; use a shorter --data-dir'
      : undefined
  return new Mk8sError('host/disk', `the admin socket ${socketPath} cannot be opened`, {
    why: messageOf(error),
    cause: error,
    ...(hint && { hint }),
  })
}

async function close(server: Server, clock: Clock): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeIdleConnections()
  const deadline = clock.after(DRAIN_MS, () => server.closeAllConnections())
  await closed
  deadline.cancel()
}

async function answer(parts: AdminParts, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    const url = new URL(request.url ?? '/', 'http://mk8s')
    const path = `${request.method} ${url.pathname}`
    const body = isBackupPath(url.pathname)
      ? await answerBackups(parts, request, url)
      : path === 'POST /v1/join-tokens'
        ? await makeToken(parts.handlers, request)
        : isImagePath(url.pathname)
          ? await routeImages(parts.handlers.images(), { request, response, url })
          : await route(parts, path, url.searchParams, gone.signal)
    if (body === null) return
    reply(response, body === undefined ? 404 : 200, body ?? { error: { message: 'no such path' } })
  } catch (error) {
    if (gone.signal.aborted) return
    parts.log.warn('an admin request failed', { path: request.url, error })
    const known = error instanceof Mk8sError
    reply(response, known ? error.info.status : 500, { error: describeFailure(error) })
  }
}

function answerBackups({ handlers }: AdminParts, request: IncomingMessage, url: URL) {
  return routeBackups(handlers.backups?.(), {
    method: request.method ?? '',
    path: url.pathname,
    query: url.searchParams,
    body: () => readJson(request),
  })
}

function describeFailure(error: unknown): Record<string, unknown> {
  if (!(error instanceof Mk8sError)) return { message: messageOf(error) }
  return { code: error.code, message: error.message, why: error.why, hint: error.hint }
}

async function route(
  { handlers, clock, log }: AdminParts,
  path: string,
  query: URLSearchParams,
  gone: AbortSignal,
): Promise<object | undefined> {
  if (path === 'GET /v1/status') {
    const waitMs =
      query.get('wait') === 'ready' ? Math.min(Number(query.get('timeout')) || 0, READY_WAIT_MS_MAX) : 0
    return waitForReady(handlers, clock, clock.monotonic() + waitMs, gone)
  }
  if (path === 'POST /v1/stop') {
    const workloads = query.get('workloads') === 'true'
    const isShutdown = query.get('shutdown') === 'true'
    log.info('asked to stop', { workloads, isShutdown })
    await handlers.stop({ workloads, isShutdown })
    return { stopping: true }
  }
  if (path === 'POST /v1/remove-node') return removeNode(handlers, query)
  if (/^(GET|POST) \/v1\/certificates\//.test(path))
    return routeCertificates(handlers.certificates, path, query)
  if (path.includes(' /v1/keys/')) return routeKeys(handlers.keys, path)
  if (path.includes(' /v1/secrets-encryption')) return routeEncryption(handlers.secretsEncryption, path)
  return routeDatastore(handlers.datastore, path)
}

async function routeEncryption(
  handlers: AdminHandlers['secretsEncryption'],
  path: string,
): Promise<object | undefined> {
  if (handlers === undefined)
    throw new Mk8sError('refused', 'this node does not hold Secrets', { hint: 'run the command on a server' })
  if (path === 'GET /v1/secrets-encryption') return handlers().status()
  const action = ENCRYPTION_ACTIONS.find(one => path === `POST /v1/secrets-encryption/${one}`)
  return action === undefined ? undefined : handlers()[action]()
}

async function routeKeys(handlers: AdminHandlers['keys'], path: string): Promise<object | undefined> {
  if (handlers === undefined)
    throw new Mk8sError('refused', 'a worker holds no keys of the cluster', {
      hint: 'run the command on a server',
    })
  const ring = RING_NAMES.find(one => path.split('/')[3] === one)
  if (ring === undefined) return undefined
  const of = handlers(ring)
  if (path === `GET /v1/keys/${ring}`) return { rotation: of.status() }
  if (path === `POST /v1/keys/${ring}/drop-earlier`) return { dropped: await of.dropEarlier() }
  if (path !== `POST /v1/keys/${ring}/replace`) return undefined
  await of.begin()
  return { begun: true }
}

async function routeCertificates(
  certificates: CertificateHandlers | undefined,
  path: string,
  query: URLSearchParams,
): Promise<object | undefined> {
  if (certificates === undefined)
    throw new Mk8sError('refused', 'this node cannot renew certificates now', {
      why: 'it still waits for the datastore; what is due is renewed as soon as it has it',
      hint: 'mk8s status',
    })
  if (path === 'POST /v1/certificates/renew')
    return { renewed: await certificates.renew(query.getAll('name')) }
  const { rotation, replaceAuthority, dropEarlierAuthority } = certificates
  if (rotation === undefined || replaceAuthority === undefined || dropEarlierAuthority === undefined)
    throw new Mk8sError('refused', 'a worker holds no authority', { hint: 'run the command on a server' })
  if (path === 'GET /v1/certificates/authority') return { rotation: await rotation() }
  if (path === 'POST /v1/certificates/authority') {
    await replaceAuthority()
    return { begun: true }
  }
  if (path === 'POST /v1/certificates/drop-earlier') return { dropped: await dropEarlierAuthority() }
  return undefined
}

async function removeNode(handlers: AdminHandlers, query: URLSearchParams): Promise<RemovalOutcome> {
  if (handlers.removeNode === undefined)
    throw new Mk8sError('refused', 'this node cannot take a node out of the cluster now', {
      why: 'it is a worker, or still waits for the datastore',
      hint: 'run mk8s remove-node on a server that is ready; for what is missing here: mk8s status',
    })
  const name = query.get('name')
  const drainMs = Number(query.get('drain')) || 0
  return handlers.removeNode({
    ...(name !== null && { name }),
    force: query.get('force') === 'true',
    drainMs,
  })
}

async function makeToken(handlers: AdminHandlers, request: IncomingMessage): Promise<AddNodeAnswer> {
  if (handlers.addNode === undefined)
    throw new Mk8sError('refused', 'this node cannot add others to the cluster', {
      why: 'it is a worker, or still waits for the datastore',
      hint: 'run mk8s add-node on a server that is ready',
    })
  return handlers.addNode(parseAddNode(await readJson(request)))
}

function parseAddNode(body: unknown): AddNodeRequest {
  const { token, worker = false, uses = 1, ttlSeconds } = isMap(body) ? body : {}
  const good =
    (token === undefined || typeof token === 'string') &&
    typeof worker === 'boolean' &&
    (uses === null || typeof uses === 'number') &&
    typeof ttlSeconds === 'number'
  if (!good) throw new Mk8sError('usage', 'the request for a join token is not valid')
  return { worker, uses, ttlSeconds, ...(token !== undefined && { token }) }
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const tooLarge = () => new Mk8sError('usage', 'the request is too large')
  const bytes = await readBounded(request, BODY_BYTES_MAX, tooLarge)
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    throw new Mk8sError('usage', 'the request is not JSON', { cause: error })
  }
}

async function routeDatastore(datastore: DatastoreHandlers, path: string): Promise<object | undefined> {
  if (path === 'GET /v1/datastore') return datastore.details()
  if (path === 'POST /v1/datastore/check') return datastore.check()
  if (path === 'POST /v1/datastore/defrag') return datastore.defragment()
  if (path === 'POST /v1/datastore/compact') return datastore.compact()
  if (path === 'POST /v1/backup') return datastore.copy()
  return undefined
}

async function waitForReady(
  handlers: AdminHandlers,
  clock: Clock,
  deadline: number,
  gone: AbortSignal,
): Promise<NodeStatus> {
  for (;;) {
    const { ready } = await handlers.status({ brief: true })
    if (ready || clock.monotonic() >= deadline) return handlers.status()
    await sleep(clock, READY_POLL_MS, gone)
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  })
  response.end(text)
}
