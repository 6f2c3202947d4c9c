/**
 * What the join port answers beside what servers ask each other: joins by token, and workers that renew their
 * certificates or leave. Whoever shows neither a token nor a certificate gets 401.
 */
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { Component, Health } from '../../base/component.ts'
import type { RemovalOutcome, RemovalRequest } from '../../client/node-removal.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { type AttemptParts, Attempts } from './attempts.ts'
import {
  type Answer,
  PeerListener,
  type PeerRoute,
  readJson,
  refusal,
  type ServerCredentials,
  unauthorized,
} from './peer-listener.ts'
import {
  type AttemptCredentials,
  JOIN_PATH,
  parseCommitRequest,
  parseJoinRequest,
  tokenOf,
} from './protocol.ts'
import { type NodeAddresses, nodeOf, RENEW_PATH, renewWorker } from './renewals.ts'
import { WrongTokens } from './wrong-tokens.ts'

/** `POST`, by a worker about itself. */
export const LEAVE_PATH = '/v1/leave'

export interface JoinServerParts extends AttemptParts {
  readonly listen: MemberAddress
  readonly credentials: ServerCredentials
  readonly peerRoutes: readonly PeerRoute[]
  readonly removeNode: (request: RemovalRequest) => Promise<RemovalOutcome>
  /** Who the cluster's nodes are: their certificates are renewed here. */
  readonly nodeAddresses: NodeAddresses
}

export interface JoinServer extends Component {
  /** After a renewal: connections from now on see these. */
  useCredentials(credentials: ServerCredentials): void
  /** Where it listens, once it does. */
  readonly port: number
}

export function createJoinServer(parts: JoinServerParts): JoinServer {
  return new Server(parts)
}

class Server implements JoinServer {
  readonly name = 'join'
  readonly #parts: JoinServerParts
  readonly #attempts: Attempts
  readonly #wrong: WrongTokens
  readonly #listener: PeerListener

  constructor(parts: JoinServerParts) {
    this.#parts = parts
    this.#attempts = new Attempts(parts)
    this.#wrong = new WrongTokens(parts.clock)
    this.#listener = new PeerListener({ ...parts, others: (request, url) => this.#route(request, url) })
  }

  get port(): number {
    return this.#listener.port
  }

  async prepare(): Promise<void> {}

  start(): Promise<void> {
    return this.#listener.start()
  }

  stop(): Promise<void> {
    return this.#listener.stop()
  }

  health(): Health {
    return this.#listener.health()
  }

  useCredentials(credentials: ServerCredentials): void {
    this.#listener.useCredentials(credentials)
  }

  async #route(request: IncomingMessage, url: URL): Promise<Answer> {
    const path = url.pathname
    if (request.method === 'POST' && path === RENEW_PATH) return this.#renew(request)
    if (request.method === 'POST' && path === LEAVE_PATH) return this.#leave(request, url.searchParams)
    if (request.method === 'POST' && path === JOIN_PATH) return this.#begin(request)
    const [, id, action = ''] = /^\/v1\/join\/([0-9a-f]{1,64})(?:\/(commit|done|abort))?$/.exec(path) ?? []
    const method = action === '' ? 'GET' : 'POST'
    if (id !== undefined && request.method === method) return this.#proceed(request, id, action)
    return unauthorized
  }

  async #renew(request: IncomingMessage): Promise<Answer> {
    const name = nodeOf(request.socket as TLSSocket)
    if (name === undefined) return unauthorized
    const { keys, clock, random, log, nodeAddresses: nodes, store } = this.#parts
    const body = await readJson(request)
    await store.barrier()
    const authority = keys().authorities['cluster-ca']
    const answer = await renewWorker(name, body, { nodes, authority, clock, random })
    log.info("renewed a worker's certificates", { node: name })
    return { status: 200, body: answer }
  }

  /** A worker that may not change the cluster itself asks to be taken out of it. */
  async #leave(request: IncomingMessage, query: URLSearchParams): Promise<Answer> {
    const name = nodeOf(request.socket as TLSSocket)
    if (name === undefined) return unauthorized
    const drainMs = Number(query.get('drain')) || 0
    const force = query.get('force') === 'true'
    return { status: 200, body: await this.#parts.removeNode({ name, force, drainMs }) }
  }

  async #begin(request: IncomingMessage): Promise<Answer> {
    const from = request.socket.remoteAddress ?? ''
    if (this.#wrong.isBlocked(from)) return tooMany
    const body = await readJson(request)
    if (!(await this.#attempts.knows(tokenOf(body)))) {
      this.#wrong.count(from)
      this.#parts.log.warn('somebody showed a join token that is none', { from })
      return unknownToken
    }
    return { status: 200, body: await this.#attempts.begin(parseJoinRequest(body)) }
  }

  async #proceed(request: IncomingMessage, id: string, action: string): Promise<Answer> {
    const from = request.socket.remoteAddress ?? ''
    if (this.#wrong.isBlocked(from)) return tooMany
    const credentials = credentialsOf(request, id)
    if (credentials !== undefined) await this.#parts.store.barrier()
    const attempt = credentials === undefined ? undefined : this.#attempts.find(credentials)
    if (attempt === undefined) {
      // Whoever was in an attempt asks a few times more after its end; whoever guesses asks more often.
      this.#wrong.count(from)
      return attemptOver
    }
    switch (action) {
      case 'commit': {
        const body = parseCommitRequest(await readJson(request))
        return { status: 200, body: await this.#attempts.commit(attempt, body) }
      }
      case 'done':
        await this.#attempts.confirm(attempt)
        return { status: 200, body: {} }
      case 'abort':
        await this.#attempts.abort(attempt.id)
        return { status: 200, body: {} }
      default:
        return { status: 200, body: this.#attempts.state(attempt) }
    }
  }
}

const unknownToken = refusal(
  401,
  'the join token is not known to the cluster',
  'it has been used, has expired, or was mistyped',
  'make another on a server: mk8s add-node',
)
const attemptOver = refusal(
  401,
  'this attempt to join is over',
  'it took too long, or another attempt for the same node took its place',
  'run mk8s join again',
)
const tooMany = refusal(429, 'too many wrong join tokens came from this address', '', 'try again in a minute')

const BEARER = /^Bearer ([0-9a-f]{1,128})$/

function credentialsOf(request: IncomingMessage, id: string): AttemptCredentials | undefined {
  const secret = BEARER.exec(request.headers.authorization ?? '')?.[1]
  return secret === undefined ? undefined : { id, secret }
}
