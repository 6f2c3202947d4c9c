/** Who may pull and push: decided by where a request comes from and by what it shows. */
import { createHmac } from 'node:crypto'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import { type Cidr, cidrContains, parseAddress, parseCidr } from '../../kube/cidr.ts'
import { RegistryError } from './registry-error.ts'
import type { Verb } from './routes.ts'
import { shaCryptMatches } from './sha-crypt.ts'

/** Without credentials: nobody, what comes from the cluster's own nodes and pods, or everybody. */
export type Anonymous = 'none' | 'cluster' | 'everyone'

export interface AccessRules {
  readonly anonymousPull: Anonymous
  readonly anonymousPush: Anonymous
  /** By name: `$5$…` or `$6$…` as crypt(3) has them. Each may do everything. */
  readonly users: Readonly<Record<string, string>>
}

export interface Asked {
  readonly verb: Verb
  /** Null: of no repository. */
  readonly repository: string | null
}

/** Asks the cluster whether the owner of a token may. */
export type Review = (token: string, asked: Asked) => Promise<boolean>

export interface AccessParts {
  readonly rules: AccessRules
  readonly review: Review
  readonly clock: Clock
  readonly random: Random
}

export interface Caller {
  readonly remoteAddress: string
  readonly authorization: string | undefined
}

const LOOPBACK = ['127.0.0.0/8', '::1/128']
/** What was found out holds for so long, and for so many. */
const REMEMBER_MS = 60_000
const REMEMBERED_MAX = 1_000
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]+$/

export class Access {
  readonly #parts: AccessParts
  readonly #key: Uint8Array
  readonly #remembered = new Map<string, { readonly until: number; readonly verdict: boolean }>()
  #trusted: readonly Cidr[] = networksOf(LOOPBACK)

  constructor(parts: AccessParts) {
    this.#parts = parts
    this.#key = parts.random.bytes(32)
  }

  /** Networks of the cluster; loopback is always one. */
  trust(networks: readonly string[]): void {
    this.#trusted = networksOf([...LOOPBACK, ...networks])
  }

  /** Throws when the caller may not. `base`: the request by which clients find out whether they must log in. */
  async expect(caller: Caller, asked: Asked | 'base'): Promise<void> {
    const shown = credentialsOf(caller.authorization)
    if (shown === null) {
      const verbs: readonly Verb[] = asked === 'base' ? ['pull', 'push'] : [asked.verb]
      if (verbs.every(verb => this.#mayAnyone(caller.remoteAddress, verb))) return
      throw unauthorized('')
    }
    const needed: Asked = asked === 'base' ? { verb: 'pull', repository: null } : asked
    if (shown.username !== null && Object.hasOwn(this.#parts.rules.users, shown.username)) {
      if (this.#isUser(shown.username, shown.secret)) return
      throw unauthorized('the name or the password is wrong')
    }
    if (!TOKEN.test(shown.secret)) throw unauthorized('the name or the password is wrong')
    if (await this.#isGranted(shown.secret, needed)) return
    throw new RegistryError('DENIED', { detail: `the token's owner may not ${needed.verb}` })
  }

  #mayAnyone(remoteAddress: string, verb: Verb): boolean {
    const { anonymousPull, anonymousPush } = this.#parts.rules
    const rule = verb === 'pull' ? anonymousPull : anonymousPush
    if (rule !== 'cluster') return rule === 'everyone'
    const address = parseAddress(remoteAddress.replace(/^::ffff:/i, ''))
    return address !== null && this.#trusted.some(network => cidrContains(network, address))
  }

  #isUser(username: string, password: string): boolean {
    const hash = this.#parts.rules.users[username] ?? ''
    const mark = this.#markOf('user', username, password)
    const known = this.#recall(mark)
    if (known !== undefined) return known
    const verdict = shaCryptMatches(password, hash)
    this.#remember(mark, verdict)
    return verdict
  }

  async #isGranted(token: string, asked: Asked): Promise<boolean> {
    const mark = this.#markOf('token', `${asked.verb} ${asked.repository ?? ''}`, token)
    const known = this.#recall(mark)
    if (known !== undefined) return known
    const verdict = await this.#parts.review(token, asked)
    this.#remember(mark, verdict)
    return verdict
  }

  /** No secret is kept: only what one makes of it with a key of this thread's. */
  #markOf(...words: readonly string[]): string {
    return createHmac('sha256', this.#key).update(JSON.stringify(words)).digest('base64')
  }

  #recall(mark: string): boolean | undefined {
    const found = this.#remembered.get(mark)
    return found === undefined || found.until < this.#parts.clock.monotonic() ? undefined : found.verdict
  }

  #remember(mark: string, verdict: boolean): void {
    const oldest = this.#remembered.keys().next().value
    if (this.#remembered.size >= REMEMBERED_MAX && oldest !== undefined) this.#remembered.delete(oldest)
    this.#remembered.delete(mark)
    this.#remembered.set(mark, { until: this.#parts.clock.monotonic() + REMEMBER_MS, verdict })
  }
}

const networksOf = (texts: readonly string[]): Cidr[] =>
  texts.flatMap(text => {
    const whole = text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}`
    const cidr = parseCidr(whole)
    return cidr === null ? [] : [cidr]
  })

const unauthorized = (detail: string) =>
  new RegistryError('UNAUTHORIZED', {
    ...(detail === '' ? {} : { detail }),
    headers: { 'www-authenticate': 'Basic realm="mk8s registry"' },
  })

/** Null: none; clients that were told of Basic show an empty name when they have none. */
function credentialsOf(header = ''): { readonly username: string | null; readonly secret: string } | null {
  const [scheme = '', value = ''] = header.trim().split(/\s+/)
  if (scheme.toLowerCase() === 'bearer' && value !== '') return { username: null, secret: value }
  if (scheme.toLowerCase() !== 'basic') return null
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0 || text === ':') return null
  return { username: text.slice(0, colon), secret: text.slice(colon + 1) }
}
