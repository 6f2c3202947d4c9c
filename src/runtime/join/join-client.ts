/**
 * The joiner's side of port 25000. Nothing is sent over a connection before the server has proven, within that very
 * connection, that it is a server of the cluster with this fingerprint. Every step after the first can be asked of
 * any server, so that a join outlives the server that it began with.
 */
import type { X509Certificate } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { bracketed } from '../../base/bracketed.ts'
import type { Clock } from '../../base/clock.ts'
import { type ErrorCode, errorCodes, Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { fingerprintOf, verifyServer } from './fingerprint.ts'
import {
  type AttemptCredentials,
  type AttemptState,
  type CommitAnswer,
  type CommitRequest,
  JOIN_PATH,
  type JoinAnswer,
  type JoinRequest,
} from './protocol.ts'

export interface JoinClientParts {
  readonly servers: readonly MemberAddress[]
  /** Null to trust the first server that is reached (`--skip-verify`), and only that one's cluster from then on. */
  readonly fingerprint: string | null
  readonly clock: Pick<Clock, 'now'>
}

export interface JoinClient {
  /** Finds out who the server is; sends nothing. */
  connect(signal?: AbortSignal): Promise<Authority>
  begin(request: JoinRequest, signal?: AbortSignal): Promise<JoinAnswer>
  commit(attempt: AttemptCredentials, request: CommitRequest, signal?: AbortSignal): Promise<CommitAnswer>
  /** Null when there is no such attempt (any more). */
  state(attempt: AttemptCredentials, signal?: AbortSignal): Promise<AttemptState | null>
  confirm(attempt: AttemptCredentials): Promise<void>
  /** Whatever there is of it is taken back; there may be nothing. */
  abort(attempt: AttemptCredentials): Promise<void>
  /** Further servers to turn to when the first one does not answer. */
  alsoAsk(servers: readonly MemberAddress[]): void
  close(): void
}

/** The cluster's authority, as the server has shown and proven it. */
export interface Authority {
  /** PEM. */
  readonly certificate: string
  readonly fingerprint: string
}

const CONNECT_MS_MAX = 5_000
/** Dialling back and a change of leader take a while. */
const ANSWER_MS_MAX = 20_000
const ANSWER_BYTES_MAX = 1024 * 1024

export function createJoinClient(parts: JoinClientParts): JoinClient {
  return new Client(parts)
}

interface Sent {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: object
  readonly attempt?: AttemptCredentials
  readonly signal?: AbortSignal | undefined
}

class Client implements JoinClient {
  readonly #clock: Pick<Clock, 'now'>
  #servers: readonly MemberAddress[]
  #fingerprint: string | null
  readonly #agents = new Map<string, Agent>()

  constructor({ servers, fingerprint, clock }: JoinClientParts) {
    this.#servers = servers
    this.#fingerprint = fingerprint
    this.#clock = clock
  }

  async connect(signal?: AbortSignal): Promise<Authority> {
    return this.#withAnyServer(async server => {
      const { socket, authority } = await this.#open(server, signal)
      socket.destroy()
      return { certificate: `${authority.toString().trimEnd()}\n`, fingerprint: fingerprintOf(authority) }
    })
  }

  async begin(request: JoinRequest, signal?: AbortSignal): Promise<JoinAnswer> {
    // Asked twice it would reserve twice, so only of the server that was named.
    const [server] = this.#servers
    if (server === undefined) throw new Mk8sError('usage', 'there is no server to ask')
    return (await this.#ask(server, { method: 'POST', path: JOIN_PATH, body: request, signal })) as JoinAnswer
  }

  async commit(
    attempt: AttemptCredentials,
    request: CommitRequest,
    signal?: AbortSignal,
  ): Promise<CommitAnswer> {
    const sent = { method: 'POST', path: `${JOIN_PATH}/${attempt.id}/commit`, body: request } as const
    return (await this.#askAny({ ...sent, attempt, signal })) as CommitAnswer
  }

  async state(attempt: AttemptCredentials, signal?: AbortSignal): Promise<AttemptState | null> {
    try {
      const path = `${JOIN_PATH}/${attempt.id}`
      return (await this.#askAny({ method: 'GET', path, attempt, signal })) as AttemptState
    } catch (error) {
      if (isOver(error)) return null
      throw error
    }
  }

  async confirm(attempt: AttemptCredentials): Promise<void> {
    await this.#finish(attempt, 'done')
  }

  async abort(attempt: AttemptCredentials): Promise<void> {
    await this.#finish(attempt, 'abort')
  }

  async #finish(attempt: AttemptCredentials, action: 'done' | 'abort'): Promise<void> {
    try {
      await this.#askAny({ method: 'POST', path: `${JOIN_PATH}/${attempt.id}/${action}`, body: {}, attempt })
    } catch (error) {
      if (!isOver(error)) throw error
    }
  }

  alsoAsk(servers: readonly MemberAddress[]): void {
    const known = this.#servers.map(placeOf)
    this.#servers = [...this.#servers, ...servers.filter(server => !known.includes(placeOf(server)))]
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }

  #askAny(sent: Sent): Promise<unknown> {
    return this.#withAnyServer(server => this.#ask(server, sent))
  }

  /** The next server is turned to only when this one cannot be reached, or has no leader. */
  async #withAnyServer<T>(ask: (server: MemberAddress) => Promise<T>): Promise<T> {
    let last: unknown = new Mk8sError('usage', 'there is no server to ask')
    for (const server of this.#servers) {
      try {
        return await ask(server)
      } catch (error) {
        if (!(error instanceof Mk8sError) || !error.info.retry) throw error
        last = error
      }
    }
    throw last
  }

  async #ask(server: MemberAddress, sent: Sent): Promise<unknown> {
    const text = sent.body === undefined ? '' : JSON.stringify(sent.body)
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
    const outgoing = httpRequest({
      agent: this.#agentFor(server),
      method: sent.method,
      path: sent.path,
      headers: {
        host: placeOf(server),
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
        ...(sent.attempt !== undefined && { authorization: `Bearer ${sent.attempt.secret}` }),
      },
      ...(sent.signal !== undefined && { signal: sent.signal }),
    })
    outgoing.once('response', resolve)
    outgoing.setTimeout(ANSWER_MS_MAX, () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', error => {
      if (sent.signal?.aborted) reject(sent.signal.reason)
      else reject(error instanceof Mk8sError ? error : unreachable(server, error))
    })
    outgoing.end(text)
    return readAnswer(await promise, server)
  }

  /** One connection per server, verified before HTTP sees it. */
  #agentFor(server: MemberAddress): Agent {
    const place = placeOf(server)
    const known = this.#agents.get(place)
    if (known !== undefined) return known
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    agent.createConnection = (_options, callback) => {
      this.#open(server).then(
        ({ socket }) => callback?.(null, socket),
        error => callback?.(error, undefined as unknown as Duplex),
      )
      return undefined
    }
    this.#agents.set(place, agent)
    return agent
  }

  async #open(
    server: MemberAddress,
    signal?: AbortSignal,
  ): Promise<{ readonly socket: TLSSocket; readonly authority: X509Certificate }> {
    const socket = await shakeHands(server, signal)
    try {
      const leaf = socket.getPeerX509Certificate()
      if (leaf === undefined) throw unreachable(server, new Error('it shows no certificate'))
      const nowMs = this.#clock.now()
      const authority = verifyServer(
        { leaf, chain: chainOf(leaf) },
        { fingerprint: this.#fingerprint, nowMs },
      )
      this.#fingerprint ??= fingerprintOf(authority)
      return { socket, authority }
    } catch (error) {
      socket.destroy()
      throw error
    }
  }
}

/** TLS proves that the server has the key of its certificate; whose certificate that is, is for the caller to judge. */
function shakeHands(server: MemberAddress, signal?: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...server,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ...(isIP(server.host) === 0 && { servername: server.host }),
    })
    const fail = (error: unknown) => {
      socket.destroy()
      reject(signal?.aborted ? signal.reason : unreachable(server, error))
    }
    const abort = () => fail(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    socket.setTimeout(CONNECT_MS_MAX, () => fail(new Error(`no answer within ${CONNECT_MS_MAX / 1000} s`)))
    socket.once('error', fail)
    socket.once('secureConnect', () => {
      signal?.removeEventListener('abort', abort)
      socket.setTimeout(0)
      socket.removeListener('error', fail)
      socket.on('error', () => socket.destroy())
      resolve(socket)
    })
  })
}

const CHAIN_MAX = 8

/** What came behind the leaf, as far as each certificate names the next. */
function chainOf(leaf: X509Certificate): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = leaf.issuerCertificate
  while (next !== undefined && chain.length < CHAIN_MAX) {
    chain.push(next)
    if (next.issuerCertificate?.fingerprint256 === next.fingerprint256) break
    next = next.issuerCertificate
  }
  return chain
}

const placeOf = ({ host, port }: MemberAddress): string => `${bracketed(host)}:${port}`

async function readAnswer(message: IncomingMessage, server: MemberAddress): Promise<unknown> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of message) {
      size += (chunk as Buffer).length
      if (size > ANSWER_BYTES_MAX) throw new Error('its answer is too large')
      chunks.push(chunk as Buffer)
    }
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as AnswerBody
    if (message.statusCode === 200) return body
    throw failureIn(body, message.statusCode ?? 0)
  } catch (error) {
    throw error instanceof Mk8sError ? error : unreachable(server, error)
  }
}

interface AnswerBody {
  readonly error?: {
    readonly code?: string
    readonly message?: string
    readonly why?: string
    readonly hint?: string
  }
}

const UNAUTHORIZED = 401

function failureIn({ error = {} }: AnswerBody, status: number): Mk8sError {
  const { code = '', message = `the server answered ${status}`, why = '', hint = '' } = error
  const known = Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'api/refused'
  return new Mk8sError(known, message, {
    ...(why !== '' && { why }),
    ...(hint !== '' && { hint }),
    fields: { status },
  })
}

const isOver = (error: unknown): boolean =>
  error instanceof Mk8sError && error.fields['status'] === UNAUTHORIZED

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there: mk8s does not run on it, or listens at another address or port',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name cannot be looked up at this moment',
  EHOSTUNREACH: 'there is no way to that host',
  ENETUNREACH: 'there is no way to that network',
}

function unreachable(server: MemberAddress, error: unknown): Mk8sError {
  return new Mk8sError('api/unreachable', `the server at ${placeOf(server)} cannot be reached`, {
    why: reasons[systemCodeOf(error) ?? ''] ?? messageOf(error),
    hint: `check the address, that mk8s runs there, and that no firewall keeps TCP port ${server.port} closed`,
    cause: error,
  })
}
