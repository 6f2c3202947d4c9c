/** Speaks to one repository of a registry, as the distribution specification says it: tokens, manifests, blobs. */
import type { Clock, Timer } from '../../../../../base/clock.ts'
import { Mk8sError, messageOf } from '../../../../../base/errors.ts'
import { readBounded } from '../../../../../base/read-bounded.ts'
import { DOCUMENT_BYTES_MAX, MANIFEST_TYPES } from './manifests.ts'
import type { Fetch } from './proxied-fetch.ts'
import { basicAuthorization, type Challenge, parseChallenge, type RegistryLogin } from './registry-auth.ts'

export interface RegistryClientParts {
  /** `https://registry-1.docker.io/v2`. */
  readonly base: string
  /** `library/busybox`. */
  readonly repository: string
  /** Behind every path. */
  readonly query?: string
  readonly login: RegistryLogin | undefined
  readonly clock: Clock
  readonly fetch: Fetch
}

/** Without a byte for so long, a transfer has failed. */
const STALL_MS = 60_000
const ERROR_BYTES_MAX = 64 * 1024
const ERROR_CHARACTERS_MAX = 300

/** The registry has no such thing; or says so to hide it. */
export class NotInRegistry extends Mk8sError {
  constructor(what: string) {
    super('kubelet/runtime', `${what}: not found`)
  }
}

/** The registry does not answer, or says that it cannot now. */
export class Unavailable extends Mk8sError {}

/** Where an image can be got from: a registry, a mirror of it, another node. */
export interface ImageSource {
  readonly usedLogin?: boolean
  manifest(reference: string): Promise<Buffer>
  /** From this byte on. */
  blob(digest: string, fromByte: number): AsyncIterable<Uint8Array>
}

export class RegistryClient implements ImageSource {
  readonly #parts: RegistryClientParts
  #usedLogin = false
  #authorization: string | undefined

  constructor(parts: RegistryClientParts) {
    this.#parts = parts
  }

  /** It gave something for credentials that it did not give without. */
  get usedLogin(): boolean {
    return this.#usedLogin
  }

  async manifest(reference: string): Promise<Buffer> {
    const path = `manifests/${reference}`
    const { body, done } = await this.#get(path, { accept: MANIFEST_TYPES.join(', ') })
    try {
      return await readBounded(body, DOCUMENT_BYTES_MAX)
    } finally {
      done()
    }
  }

  async *blob(digest: string, fromByte = 0): AsyncGenerator<Uint8Array> {
    const headers: Record<string, string> = fromByte === 0 ? {} : { range: `bytes=${fromByte}-` }
    const { body, done, isPart } = await this.#get(`blobs/${digest}`, headers)
    try {
      yield* isPart ? body : behind(body, fromByte)
    } finally {
      done()
    }
  }

  async #get(path: string, headers: Readonly<Record<string, string>>): Promise<Body> {
    const { base, repository, query } = this.#parts
    const url = `${base}/${repository}/${path}${query === undefined ? '' : `?${query}`}`
    const first = await this.#fetch(url, headers, this.#authorization)
    if (first.response.status !== 401) return accepted(first, path)
    const challenge = parseChallenge(first.response.headers.get('www-authenticate') ?? '')
    first.done()
    this.#authorization = await this.#authorize(challenge)
    return accepted(await this.#fetch(url, headers, this.#authorization), path)
  }

  async #authorize(challenge: Challenge | undefined): Promise<string | undefined> {
    const { login, repository } = this.#parts
    const basic = login === undefined ? undefined : basicAuthorization(login)
    this.#usedLogin ||= basic !== undefined
    if (challenge === undefined) throw denied('the registry does not say how it wants to be asked')
    if (challenge.scheme === 'basic') {
      if (basic === undefined) throw denied('no basic auth credentials')
      return basic
    }
    const url = new URL(challenge.realm)
    if (challenge.service !== '') url.searchParams.set('service', challenge.service)
    url.searchParams.set('scope', challenge.scope || `repository:${repository}:pull`)
    const { body, done } = accepted(await this.#fetch(url.href, {}, basic), 'a token')
    try {
      const text = (await readBounded(body, ERROR_BYTES_MAX)).toString('utf8')
      const { token, access_token: access } = JSON.parse(text) as { token?: string; access_token?: string }
      return `Bearer ${token ?? access ?? ''}`
    } finally {
      done()
    }
  }

  async #fetch(
    url: string,
    headers: Readonly<Record<string, string>>,
    authorization: string | undefined,
  ): Promise<Exchange> {
    const { clock } = this.#parts
    const stalled = new AbortController()
    let timer: Timer | undefined
    const alive = () => {
      timer?.cancel()
      timer = clock.after(STALL_MS, () => stalled.abort(new Error(`nothing came for ${STALL_MS} ms`)))
    }
    alive()
    const done = () => {
      timer?.cancel()
      stalled.abort()
    }
    try {
      const signed = authorization === undefined ? headers : { ...headers, authorization }
      const response = await this.#parts.fetch(url, { headers: signed, signal: stalled.signal })
      return { response, alive, done }
    } catch (error) {
      done()
      const why = messageOf((error as Error).cause ?? error)
      throw new Unavailable('kubelet/runtime', `failed to do request: Get ${JSON.stringify(url)}: ${why}`)
    }
  }
}

interface Exchange {
  readonly response: Response
  readonly alive: () => void
  readonly done: () => void
}

interface Body {
  readonly body: AsyncIterable<Uint8Array>
  /** It begins where it was asked to; else at the first byte. */
  readonly isPart: boolean
  readonly done: () => void
}

const denied = (why: string) =>
  new Mk8sError(
    'kubelet/runtime',
    `pull access denied, repository does not exist or may require authorization: ${why}`,
  )

function accepted({ response, alive, done }: Exchange, what: string): Body {
  const { status, body } = response
  if ((status === 200 || status === 206) && body !== null) {
    return { body: watched(body, alive), isPart: status === 206, done }
  }
  done()
  if (status === 404) throw new NotInRegistry(what)
  if (status === 401 || status === 403) throw denied(`the registry answers ${status}`)
  const text = `${status} ${response.statusText}`.slice(0, ERROR_CHARACTERS_MAX)
  const message = `unexpected status from the registry for ${what}: ${text}`
  if (status === 429 || status >= 500) throw new Unavailable('kubelet/runtime', message)
  throw new Mk8sError('kubelet/runtime', message)
}

async function* watched(body: AsyncIterable<Uint8Array>, alive: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    alive()
    yield chunk
  }
}

async function* behind(body: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes
  for await (const chunk of body) {
    if (left < chunk.length) yield chunk.subarray(left)
    left = Math.max(0, left - chunk.length)
  }
}
