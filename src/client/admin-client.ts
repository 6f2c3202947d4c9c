/** The client of the admin socket: what `status`, `start`, `stop` and `install` ask a running daemon. */
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import { type ErrorCode, errorCodes, Mk8sError, messageOf, systemCodeOf } from '../base/errors.ts'
import type { AddNodeAnswer, AddNodeRequest } from './add-node.ts'
import type { AuthorityRotationStatus } from './authority-rotation.ts'
import type {
  DatastoreCheck,
  DatastoreCompaction,
  DatastoreCopy,
  DatastoreDefragmentation,
  DatastoreDetails,
} from './datastore-details.ts'
import type { RemovalOutcome, RemovalRequest } from './node-removal.ts'
import type { NodeStatus } from './node-status.ts'

const ANSWER_BYTES_MAX = 4 * 1024 * 1024
/** How long the daemon may take for an answer that involves no waiting. */
const ANSWER_MS_MAX = 10_000
/** How long it may take to read or to rewrite a whole datastore. */
const CHECK_MS_MAX = 10 * 60_000
/** How long a node may take to leave, beside the time for its pods. */
const REMOVAL_MS_MAX = 3 * 60_000
/** A worker asks one server after the other. */
const RENEWAL_MS_MAX = 60_000

export interface AdminClient {
  /** With `waitReadyMs`, the answer comes once the node is ready or that time is over, whichever is first; `answerMs` is for the answer itself. */
  status(options?: { readonly waitReadyMs?: number; readonly answerMs?: number }): Promise<NodeStatus>
  /** Resolves once the workloads have ended (when asked) and the daemon is shutting down. */
  stop(options: {
    readonly workloads: boolean
    /** As when the machine goes down: by priority, and for good. */
    readonly isShutdown?: boolean
    readonly timeoutMs: number
  }): Promise<void>
  datastore(): Promise<DatastoreDetails>
  checkDatastore(): Promise<DatastoreCheck>
  compactDatastore(): Promise<DatastoreCompaction>
  defragmentDatastore(): Promise<DatastoreDefragmentation>
  copyDatastore(): Promise<DatastoreCopy>
  removeNode(request: RemovalRequest): Promise<RemovalOutcome>
  /** Renews these leaves and whatever is due; the names of what is new. */
  renewCertificates(names: readonly string[]): Promise<readonly string[]>
  /** Null when no authority is being replaced. */
  authorityRotation(): Promise<AuthorityRotationStatus | null>
  /** Begins it; the nodes follow by themselves. */
  replaceAuthority(): Promise<void>
  /** False when there was none; otherwise it goes as soon as all nodes can do without. */
  dropEarlierAuthority(): Promise<boolean>
  /** Has a join token made. */
  addNode(request: AddNodeRequest): Promise<AddNodeAnswer>
}

/** Errors: `node/not-running` when nobody listens, `host/not-root` without permission, else the daemon's own. */
export function createAdminClient(socketPath: string): AdminClient {
  return {
    async status({ waitReadyMs = 0, answerMs = ANSWER_MS_MAX } = {}) {
      const query = waitReadyMs > 0 ? `?wait=ready&timeout=${Math.ceil(waitReadyMs)}` : ''
      const path = `/v1/status${query}`
      const answer = (await askAdmin(socketPath, 'GET', path, waitReadyMs + answerMs)) as NodeStatus
      // A daemon from before an upgrade does not know of them yet.
      return { ...answer, problems: answer.problems ?? [], backups: answer.backups ?? [] }
    },
    async stop({ workloads, isShutdown = false, timeoutMs }) {
      const path = `/v1/stop?workloads=${workloads}${isShutdown ? '&shutdown=true' : ''}`
      await askAdmin(socketPath, 'POST', path, timeoutMs)
    },
    async datastore() {
      return (await askAdmin(socketPath, 'GET', '/v1/datastore', ANSWER_MS_MAX)) as DatastoreDetails
    },
    async checkDatastore() {
      return (await askAdmin(socketPath, 'POST', '/v1/datastore/check', CHECK_MS_MAX)) as DatastoreCheck
    },
    async defragmentDatastore() {
      const path = '/v1/datastore/defrag'
      return (await askAdmin(socketPath, 'POST', path, CHECK_MS_MAX)) as DatastoreDefragmentation
    },
    async compactDatastore() {
      return (await askAdmin(
        socketPath,
        'POST',
        '/v1/datastore/compact',
        ANSWER_MS_MAX,
      )) as DatastoreCompaction
    },
    async copyDatastore() {
      return (await askAdmin(socketPath, 'POST', '/v1/backup', CHECK_MS_MAX)) as DatastoreCopy
    },
    async removeNode({ name, force, drainMs }) {
      const query = new URLSearchParams({
        force: String(force),
        drain: String(drainMs),
        ...(name && { name }),
      })
      const path = `/v1/remove-node?${query}`
      return (await askAdmin(socketPath, 'POST', path, drainMs + REMOVAL_MS_MAX)) as RemovalOutcome
    },
    async renewCertificates(names) {
      const query = new URLSearchParams(names.map(name => ['name', name]))
      const answer = await askAdmin(socketPath, 'POST', `/v1/certificates/renew?${query}`, RENEWAL_MS_MAX)
      return (answer as { renewed: readonly string[] }).renewed
    },
    async authorityRotation() {
      const answer = await askAdmin(socketPath, 'GET', '/v1/certificates/authority', ANSWER_MS_MAX)
      return (answer as { rotation: AuthorityRotationStatus | null }).rotation
    },
    async replaceAuthority() {
      await askAdmin(socketPath, 'POST', '/v1/certificates/authority', RENEWAL_MS_MAX)
    },
    async dropEarlierAuthority() {
      const answer = await askAdmin(socketPath, 'POST', '/v1/certificates/drop-earlier', RENEWAL_MS_MAX)
      return (answer as { dropped: boolean }).dropped
    },
    async addNode(request) {
      return (await askAdmin(socketPath, 'POST', '/v1/join-tokens', ANSWER_MS_MAX, request)) as AddNodeAnswer
    },
  }
}

/** Asks for a path, and returns its answer. */
export function askAdmin(
  socketPath: string,
  method: string,
  path: string,
  timeoutMs: number,
  body?: object | Readable,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, method, path, agent: false }, response => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > ANSWER_BYTES_MAX) request.destroy(new Error('the answer is too large'))
        else chunks.push(chunk)
      })
      response.on('error', error => reject(unreachable(socketPath, error)))
      response.on('end', () => {
        try {
          resolve(parseAnswer(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8')))
        } catch (error) {
          reject(error)
        }
      })
    })
    const timer = setTimeout(() => request.destroy(slow(timeoutMs)), timeoutMs)
    request.on('close', () => clearTimeout(timer))
    request.on('error', error => reject(error instanceof Mk8sError ? error : unreachable(socketPath, error)))
    if (body instanceof Readable) body.once('error', error => request.destroy(error)).pipe(request)
    else request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const slow = (timeoutMs: number): Mk8sError =>
  new Mk8sError('timeout', `the daemon did not answer within ${Math.round(timeoutMs / 1000)} s`, {
    hint: 'mk8s inspect; if it goes on, mk8s stop, then mk8s start',
  })

export function unreachable(socketPath: string, error: Error): Mk8sError {
  const code = systemCodeOf(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new Mk8sError('host/not-root', 'the admin socket may not be opened by this user', {
      why: `${socketPath} belongs to root and the group mk8s`,
      hint: 'run the command with sudo',
      cause: error,
    })
  }
  return new Mk8sError('node/not-running', 'mk8s is not running', {
    why:
      code === 'ENOENT' || code === 'ECONNREFUSED' ? 'nobody listens on its admin socket' : messageOf(error),
    hint: 'mk8s start',
    cause: error,
  })
}

export function parseAnswer(status: number, text: string): unknown {
  const body = JSON.parse(text) as {
    error?: { code?: string; message?: string; why?: string; hint?: string }
  }
  if (status === 200) return body
  const { code = '', message = `the daemon answered ${status}`, why, hint } = body.error ?? {}
  if (!isErrorCode(code)) throw new Error(message)
  throw new Mk8sError(code, message, { ...(why && { why }), ...(hint && { hint }) })
}

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(errorCodes, code)
