/** What each path of the dashboard's port answers: files, signing in and out, and what is passed on. */
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Clock } from '../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Random } from '../../../base/random.ts'
import { readBounded } from '../../../base/read-bounded.ts'
import type { Transport } from '../../../client/transport.ts'
import { answer, answerJson, refuse } from './answers.ts'
import { encodedFor, type PageFile } from './page-files.ts'
import { refusalOf } from './plan-relay.ts'
import { readRequest } from './read-request.ts'
import { Relay } from './relay.ts'
import { SESSION_MS_MAX, type Session, Sessions, tokenExpiryMs } from './sessions.ts'
import { SignInLimits } from './sign-in-limits.ts'

/** The prefix makes browsers refuse it without Secure, from a subdomain, or for a part of the paths. */
const COOKIE = '__Host-mk8s-dashboard'
export const KEY_HEADER = 'x-mk8s-dashboard-key'
const TOKEN_BYTES_MAX = 32 * 1024
/** At a time; each is a question to the API server. */
const SIGN_INS_MAX = 8
const WHO_AM_I = '/apis/authentication.k8s.io/v1/selfsubjectreviews'

export interface SiteParts {
  readonly files: ReadonlyMap<string, PageFile>
  /** Without credentials of its own. */
  readonly transport: Transport
  /** The token of a link that signs in once; null when it does not any more. */
  readonly takeLink: (code: string) => Promise<string | null>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

interface Exchange {
  readonly request: Http2ServerRequest
  readonly response: Http2ServerResponse
}

export class Site {
  readonly #parts: SiteParts
  readonly #sessions: Sessions
  readonly #limits: SignInLimits
  readonly #relay: Relay
  #signIns = 0

  constructor(parts: SiteParts) {
    this.#parts = parts
    this.#sessions = new Sessions(parts.clock, parts.random)
    this.#limits = new SignInLimits(parts.clock)
    this.#relay = new Relay(parts.transport, parts.clock)
  }

  /** Ends all sessions and what they have open. */
  close(): void {
    this.#sessions.closeAll()
  }

  async handle(request: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    try {
      await this.#route({ request, response })
    } catch (error) {
      if (response.destroyed || response.stream?.destroyed) return
      if (response.headersSent) return void response.destroy()
      const isKnown = error instanceof Mk8sError
      if (!isKnown) this.#parts.log.warn('a request to the dashboard failed', { why: messageOf(error) })
      refuse(response, isKnown ? error.info.status : 500, isKnown ? error.message : 'the dashboard failed')
    }
  }

  async #route(exchange: Exchange): Promise<void> {
    const { request, response } = exchange
    const url = new URL(request.url, 'https://dashboard')
    if (url.pathname === '/session') return this.#session(exchange)
    if (url.pathname.startsWith('/kube/')) return this.#pass(exchange, url)
    if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(response, 405, 'only GET')
    const file = this.#parts.files.get(url.pathname === '/' ? '/index.html' : url.pathname)
    if (file === undefined) return refuse(response, 404, 'the dashboard has no such page')
    sendFile(exchange, file)
  }

  async #session(exchange: Exchange): Promise<void> {
    const { request, response } = exchange
    if (request.method === 'POST') return this.#signIn(exchange)
    const session = this.#sessionOf(request)
    if (session === undefined) return refuse(response, 401, SIGNED_OUT)
    if (request.method === 'GET') return answerJson(response, 200, told(session))
    if (request.method !== 'DELETE') return refuse(response, 405, 'only GET, POST and DELETE')
    this.#sessions.close(session)
    answer(response, 204, { headers: { 'set-cookie': cookie('', 0), 'cache-control': 'no-store' } })
  }

  async #signIn(exchange: Exchange): Promise<void> {
    const { request, response } = exchange
    const address = request.socket.remoteAddress ?? ''
    if (!isOfOwnPage(request)) return refuse(response, 403, 'only the dashboard’s own page may sign in')
    const wait = this.#limits.waitSeconds(address)
    if (wait > 0 || this.#signIns >= SIGN_INS_MAX) {
      const message = `too many attempts to sign in; try again in ${wait || 1} s`
      return refuse(response, 429, message, { 'retry-after': String(wait || 1) })
    }
    const given = givenIn(await readRequest(request, TOKEN_BYTES_MAX, this.#parts.clock))
    this.#signIns += 1
    try {
      const token = given.code === '' ? given.token : await this.#parts.takeLink(given.code)
      if (token === null) {
        this.#limits.failed(address)
        return refuse(response, 401, LINK_OVER)
      }
      await this.#admit(token, exchange, address)
    } finally {
      this.#signIns -= 1
    }
  }

  async #admit(token: string, { response }: Exchange, address: string): Promise<void> {
    const user = token === '' ? undefined : await this.#whoIs(token)
    if (user === undefined) {
      this.#limits.failed(address)
      const message =
        'the cluster does not know this token, or it has expired; mk8s dashboard prints a new one'
      return refuse(response, 401, message)
    }
    const { clock, log } = this.#parts
    const expiresAtMs = tokenExpiryMs(token) ?? clock.now() + SESSION_MS_MAX
    const secrets = this.#sessions.open({ user, token, expiresAtMs })
    const session = this.#sessions.find(secrets ?? {})
    if (secrets === null || session === undefined)
      return refuse(response, 503, 'too many people are signed in; try again later')
    log.info('somebody signed in to the dashboard', { user, address })
    const seconds = Math.ceil((session.expiresAtMs - clock.now()) / 1000)
    answerJson(
      response,
      200,
      { ...told(session), key: secrets.key },
      {
        'set-cookie': cookie(secrets.id, seconds),
      },
    )
  }

  async #whoIs(token: string): Promise<string | undefined> {
    const { status, body } = await this.#parts.transport.request({
      method: 'POST',
      path: WHO_AM_I,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: Buffer.from('{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}'),
    })
    const bytes = await readBounded(body, TOKEN_BYTES_MAX)
    if (status === 401) return undefined
    if (status >= 300) throw new Mk8sError('api/unreachable', `the API server answers ${status}`)
    const review = JSON.parse(bytes.toString('utf8')) as { status?: { userInfo?: { username?: string } } }
    return review.status?.userInfo?.username
  }

  async #pass(exchange: Exchange, url: URL): Promise<void> {
    const { request, response } = exchange
    const session = this.#sessionOf(request)
    if (session === undefined) return refuse(response, 401, SIGNED_OUT)
    const asked = {
      method: request.method,
      path: url.pathname.slice('/kube'.length),
      query: url.searchParams,
    }
    const refusal = refusalOf(asked)
    if (refusal !== undefined) return refuse(response, 403, refusal)
    const status = await this.#relay.pass(asked, session, exchange)
    // The token has expired, or its account is gone.
    if (status === 401) this.#sessions.close(session)
  }

  #sessionOf(request: Http2ServerRequest): Session | undefined {
    if (!isSameOrigin(request)) return undefined
    const id = cookieIn(request.headers.cookie ?? '')
    const key = request.headers[KEY_HEADER]
    return this.#sessions.find({ id, ...(typeof key === 'string' && { key }) })
  }
}

function sendFile({ request, response }: Exchange, file: PageFile): void {
  const { encoding, body } = encodedFor(file, String(request.headers['accept-encoding'] ?? ''))
  const tag = `"${file.tag}-${encoding}"`
  const headers = {
    ...{ 'content-type': file.type, etag: tag, vary: 'accept-encoding' },
    ...(encoding === 'identity' ? {} : { 'content-encoding': encoding }),
    'cache-control': file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache',
  }
  const isKnown = request.headers['if-none-match'] === tag
  const hasBody = !isKnown && request.method !== 'HEAD'
  answer(response, isKnown ? 304 : 200, { headers, ...(hasBody && { body }) })
}

const LINK_OVER = 'this link has been used, or is too old; mk8s dashboard prints a new one'
const SIGNED_OUT = 'you are not signed in any more'

const told = ({ user, expiresAtMs }: Session) => ({ user, expiresAt: new Date(expiresAtMs).toISOString() })

const cookie = (value: string, seconds: number): string =>
  `${COOKIE}=${value}; Path=/; Max-Age=${seconds}; Secure; HttpOnly; SameSite=Strict`

function cookieIn(header: string): string {
  const found = header.split(';').find(each => each.trim().startsWith(`${COOKIE}=`))
  return found?.trim().slice(COOKIE.length + 1) ?? ''
}

/** Browsers say where a request comes from; other clients need not. */
function isSameOrigin({ headers }: Http2ServerRequest): boolean {
  const site = headers['sec-fetch-site']
  return site === undefined || site === 'same-origin'
}

/** A form of another page cannot send JSON. */
const isOfOwnPage = (request: Http2ServerRequest): boolean =>
  isSameOrigin(request) && request.headers['content-type'] === 'application/json'

/** A token, or the code of a link. */
function givenIn(bytes: Buffer): { readonly token: string; readonly code: string } {
  try {
    const { token, code } = JSON.parse(bytes.toString('utf8')) as { token?: unknown; code?: unknown }
    // A header can bear nothing else.
    const isToken = typeof token === 'string' && /^[!-~]+$/.test(token.trim())
    return { token: isToken ? token.trim() : '', code: typeof code === 'string' ? code : '' }
  } catch {
    return { token: '', code: '' }
  }
}
