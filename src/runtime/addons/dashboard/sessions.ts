/**
 * Who is signed in: a session has two secrets, of which the browser keeps one in a cookie that no script can read, and
 * the page the other one in its own storage. Cookies go to every port of a host, storage belongs to one origin; so
 * neither another page on this host nor a script alone has both. Only in memory: a restart signs everybody out.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import type { Random } from '../../../base/random.ts'

export interface Session {
  readonly user: string
  /** The user's own; nothing is asked with another one. */
  readonly token: string
  readonly expiresAtMs: number
  /** Requests under way, streams among them. */
  requests: number
  lastSeenMs: number
  /** Fires when it ends, so that its streams do. */
  readonly ended: AbortController
}

interface Secrets {
  /** In the cookie. */
  readonly id: string
  /** In the page. */
  readonly key: string
}

const SESSIONS_MAX = 500
export const SESSION_MS_MAX = 12 * 60 * 60 * 1000
export const IDLE_MS_MAX = 60 * 60 * 1000
const SECRET_BYTES = 32

interface Kept extends Session {
  readonly keyHash: Buffer
}

export class Sessions {
  readonly #clock: Clock
  readonly #random: Random
  readonly #byHash = new Map<string, Kept>()

  constructor(clock: Clock, random: Random) {
    this.#clock = clock
    this.#random = random
  }

  /** Null: there are too many. */
  open({ user, token, expiresAtMs }: Pick<Session, 'user' | 'token' | 'expiresAtMs'>): Secrets | null {
    this.#forget()
    if (this.#byHash.size >= SESSIONS_MAX) return null
    const now = this.#clock.now()
    const [id, key] = [this.#secret(), this.#secret()]
    this.#byHash.set(hashOf(id).toString('hex'), {
      ...{ user, token, keyHash: hashOf(key) },
      expiresAtMs: Math.min(expiresAtMs, now + SESSION_MS_MAX),
      ...{ requests: 0, lastSeenMs: now, ended: new AbortController() },
    })
    return { id, key }
  }

  /** Undefined unless both secrets are those of one session that has not ended. */
  find({ id, key }: Partial<Secrets>): Session | undefined {
    this.#forget()
    if (!id || !key) return undefined
    const session = this.#byHash.get(hashOf(id).toString('hex'))
    if (session === undefined || !timingSafeEqual(session.keyHash, hashOf(key))) return undefined
    session.lastSeenMs = this.#clock.now()
    return session
  }

  close(session: Session): void {
    for (const [hash, each] of this.#byHash) if (each === session) this.#byHash.delete(hash)
    session.ended.abort()
  }

  closeAll(): void {
    for (const session of this.#byHash.values()) session.ended.abort()
    this.#byHash.clear()
  }

  /** One with a request under way is not idle. */
  #forget(): void {
    const now = this.#clock.now()
    for (const session of this.#byHash.values()) {
      const isIdle = session.requests === 0 && now - session.lastSeenMs > IDLE_MS_MAX
      if (isIdle || now >= session.expiresAtMs) this.close(session)
    }
  }

  #secret(): string {
    return Buffer.from(this.#random.bytes(SECRET_BYTES)).toString('base64url')
  }
}

const hashOf = (secret: string): Buffer => createHash('sha256').update(secret).digest()

/** When a token says that it ends; null for one that says nothing. Whether it is true the API server has found out. */
export function tokenExpiryMs(token: string): number | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    const { exp } = claims as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : null
  } catch {
    return null
  }
}
