/** How a worker leaves: it may change nothing in the cluster itself, so it asks a server, showing its certificate. */
import { Mk8sError } from '../base/errors.ts'
import type { RemovalOutcome, RemovalRequest } from '../client/node-removal.ts'
import { askServer, refusalIn } from '../client/server-call.ts'
import { LEAVE_PATH } from './join/join-server.ts'
import type { MemberAddress } from './members/member-record.ts'
import type { WorkerPki } from './pki/worker-certificates.ts'
import { credentialsOf } from './worker-certificates.ts'

/** A server that still drains the node is asked again, because no answer is waited for so long. */
const TRIES_MAX = 4
const OK = 200

export interface WorkerLeaveParts {
  /** Join listeners; asked in turn. */
  readonly servers: readonly MemberAddress[]
  readonly pki: WorkerPki
  readonly nodeName: string
}

export async function leaveAsWorker(
  parts: WorkerLeaveParts,
  request: RemovalRequest,
): Promise<RemovalOutcome> {
  if (request.name !== undefined && request.name !== parts.nodeName)
    throw new Mk8sError('refused', 'a worker may not take other nodes out of the cluster', {
      hint: `mk8s remove-node ${request.name} on a server`,
    })
  let last: unknown = new Mk8sError('api/unreachable', 'no server is known that could be asked')
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    for (const server of parts.servers) {
      try {
        return await ask(server, parts.pki, request)
      } catch (error) {
        if (error instanceof Mk8sError && error.code !== 'api/unreachable') throw error
        last = error
      }
    }
  }
  throw last
}

async function ask(
  server: MemberAddress,
  pki: WorkerPki,
  { force, drainMs }: RemovalRequest,
): Promise<RemovalOutcome> {
  const query = new URLSearchParams({ force: String(force), drain: String(drainMs) })
  const answered = await askServer(server, credentialsOf(pki), { method: 'POST', path: LEAVE_PATH, query })
  if (answered.status === OK) return answered.answer as RemovalOutcome
  const { message, hint } = refusalIn(answered)
  throw new Mk8sError('api/refused', `the server at ${server.host} does not let this node go`, {
    why: message,
    ...(hint && { hint }),
  })
}
