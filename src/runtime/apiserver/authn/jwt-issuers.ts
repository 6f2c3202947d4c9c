/**
 * Tokens of other issuers: JSON Web Tokens whose keys are found by OpenID Connect discovery, and whose claims make a
 * user by the mappings of an AuthenticationConfiguration. Keys are fetched when a token asks for one that is not known.
 */
import { constants, createPublicKey, type KeyObject, verify, type webcrypto } from 'node:crypto'
import type { Clock } from '../../../base/clock.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Program } from '../../../kube/cel/cel.ts'
import { fromJson, toJson } from '../../../kube/cel/json-value.ts'
import { DYN } from '../../../kube/cel/types.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { UserInfo } from '../user.ts'
import type { JwtIssuer, Mapping, Rule } from './authentication-configuration.ts'
import { type TokenReviewer, withAuthenticated } from './authn.ts'
import { type Claims, peekClaims } from './jwt.ts'
import type { Verdict } from './service-account-claims.ts'

/** Gets a JSON document; `ca` in PEM, empty: what this machine trusts. */
export type FetchJson = (url: string, ca: string) => Promise<unknown>

export interface JwtIssuersParts {
  readonly issuers: readonly JwtIssuer[]
  /** Audiences of this API server itself. */
  readonly ownAudiences: readonly string[]
  readonly fetchJson: FetchJson
  readonly clock: Pick<Clock, 'now'>
}

const LEEWAY_MS = 10_000
/** How often the keys of one issuer are fetched at most, however many unknown ones tokens name. */
const FETCH_EVERY_MS = 10_000
const COST_MAX = 10_000_000

const ALGORITHMS: Readonly<Record<string, { hash: string; pss?: true; type: 'rsa' | 'ec' }>> = {
  RS256: { hash: 'sha256', type: 'rsa' },
  RS384: { hash: 'sha384', type: 'rsa' },
  RS512: { hash: 'sha512', type: 'rsa' },
  PS256: { hash: 'sha256', type: 'rsa', pss: true },
  PS384: { hash: 'sha384', type: 'rsa', pss: true },
  PS512: { hash: 'sha512', type: 'rsa', pss: true },
  ES256: { hash: 'sha256', type: 'ec' },
  ES384: { hash: 'sha384', type: 'ec' },
  ES512: { hash: 'sha512', type: 'ec' },
}

export function createJwtIssuers(parts: JwtIssuersParts): TokenReviewer {
  const keys = new Map(parts.issuers.map(issuer => [issuer.url, new IssuerKeys(issuer, parts)]))
  return {
    async review(token, audiences) {
      const claims = peekClaims(token)
      const issuer = parts.issuers.find(({ url }) => url === claims?.['iss'])
      if (issuer === undefined || claims === null) return null
      // These tokens speak of no audience of this API server: they are for all of its own.
      const accepted = parts.ownAudiences.filter(one => audiences.includes(one))
      if (accepted.length === 0) return null
      try {
        await keys.get(issuer.url)?.check(token)
        checkTimes(claims, parts.clock.now())
        checkAudience(claims, issuer)
        return { valid: true, user: userOf(claims, issuer), audiences: accepted }
      } catch (error) {
        return { valid: false, reason: `oidc: ${messageOf(error)}` } satisfies Verdict
      }
    },
  }
}

class IssuerKeys {
  readonly #issuer: JwtIssuer
  readonly #parts: JwtIssuersParts
  #keys: readonly { readonly kid: string; readonly key: KeyObject }[] = []
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null

  constructor(issuer: JwtIssuer, parts: JwtIssuersParts) {
    this.#issuer = issuer
    this.#parts = parts
  }

  /** Throws unless one of the issuer's keys signed it. */
  async check(token: string): Promise<void> {
    const [head = '', body = '', signature = ''] = token.split('.')
    const header: unknown = JSON.parse(Buffer.from(head, 'base64url').toString('utf8'))
    const { alg, kid } = isMap(header) ? header : {}
    const algorithm = ALGORITHMS[String(alg)]
    if (algorithm === undefined) throw new Error(`id token signed with unsupported algorithm ${String(alg)}`)
    const isSigned = () =>
      this.#keys
        .filter(one => kid === undefined || one.kid === kid)
        .filter(({ key }) => key.asymmetricKeyType === algorithm.type)
        .some(({ key }) =>
          verify(
            algorithm.hash,
            Buffer.from(`${head}.${body}`),
            algorithm.pss
              ? { key, padding: constants.RSA_PKCS1_PSS_PADDING }
              : { key, dsaEncoding: 'ieee-p1363' },
            Buffer.from(signature, 'base64url'),
          ),
        )
    if (isSigned()) return
    await this.#refresh()
    if (!isSigned()) throw new Error('verify token: failed to verify signature')
  }

  async #refresh(): Promise<void> {
    const now = this.#parts.clock.now()
    if (this.#fetching === null && now - this.#fetchedAtMs < FETCH_EVERY_MS) return
    this.#fetchedAtMs = this.#fetching === null ? now : this.#fetchedAtMs
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = null
    })
    await this.#fetching
  }

  async #fetch(): Promise<void> {
    const { url, discoveryUrl, certificateAuthority } = this.#issuer
    const { fetchJson } = this.#parts
    const provider = await fetchJson(discoveryUrl, certificateAuthority)
    if (!isMap(provider) || provider['issuer'] !== url)
      throw new Error(`issuer did not match: expected ${JSON.stringify(url)}`)
    const jwksUri = String(provider['jwks_uri'])
    if (!jwksUri.startsWith('https://')) throw new Error('jwks_uri is not an https URL')
    const set = await fetchJson(jwksUri, certificateAuthority)
    const found = isMap(set) && Array.isArray(set['keys']) ? set['keys'].filter(isMap) : []
    this.#keys = found.flatMap(jwk => {
      if (jwk['use'] !== undefined && jwk['use'] !== 'sig') return []
      try {
        const key = createPublicKey({ key: jwk as webcrypto.JsonWebKey, format: 'jwk' })
        return [{ kid: String(jwk['kid']), key }]
      } catch {
        return []
      }
    })
  }
}

function checkTimes(claims: Claims, nowMs: number): void {
  if (!(Number(claims['exp']) * 1000 > nowMs - LEEWAY_MS)) throw new Error('verify token: token is expired')
  const notBefore = claims['nbf']
  if (notBefore !== undefined && !(Number(notBefore) * 1000 <= nowMs + LEEWAY_MS))
    throw new Error('verify token: current time is before the nbf (not before) time')
}

function checkAudience({ aud }: Claims, { audiences }: JwtIssuer): void {
  const given: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (given.some(one => audiences.includes(String(one)))) return
  throw new Error(
    `verify token: expected audience in ${JSON.stringify(audiences)} got ${JSON.stringify(given)}`,
  )
}

/** Throws when the claims do not hold, or make no user. */
export function userOf(claims: Claims, issuer: JwtIssuer): UserInfo {
  for (const { claim, value } of issuer.requiredClaims) {
    if (claims[claim] === undefined) throw new Error(`required claim ${claim} not present in ID token`)
    if (claims[claim] !== value) throw new Error(`required claim ${claim} value does not match`)
  }
  checkRules(issuer.claimRules, 'claims', claims)
  const username = mapped(issuer.username, claims)
  if (typeof username !== 'string' || username === '')
    throw new Error('username claim is not a text, or empty')
  checkEmail(issuer.username, claims)
  const groups = issuer.groups === null ? [] : textsOf(mapped(issuer.groups, claims), 'groups')
  const uid = issuer.uid === null ? '' : mapped(issuer.uid, claims)
  if (typeof uid !== 'string') throw new Error('uid claim is not a text')
  const extra = issuer.extra.flatMap(({ key, program }) => {
    const values = textsOf(evaluate(program, 'claims', claims), key).filter(one => one !== '')
    return values.length === 0 ? [] : [[key, values] as const]
  })
  const user: UserInfo = {
    username,
    ...(uid === '' ? {} : { uid }),
    groups: withAuthenticated(groups),
    ...(extra.length === 0 ? {} : { extra: Object.fromEntries(extra) }),
  }
  checkRules(issuer.userRules, 'user', { ...user, groups, uid, extra: user.extra ?? {} })
  return user
}

function checkEmail(mapping: Mapping, claims: Claims): void {
  if (mapping.kind !== 'claim' || mapping.claim !== 'email') return
  const verified = claims['email_verified']
  if (verified !== undefined && verified !== true) throw new Error('email not verified')
}

function checkRules(rules: readonly Rule[], variable: 'claims' | 'user', value: unknown): void {
  for (const { program, message } of rules) {
    if (evaluate(program, variable, value) !== true)
      throw new Error(`validation expression failed: ${message}`)
  }
}

function mapped(mapping: Mapping, claims: Claims): unknown {
  if (mapping.kind === 'expression') return evaluate(mapping.program, 'claims', claims)
  const value = claims[mapping.claim]
  if (typeof value === 'string') return `${mapping.prefix}${value}`
  return Array.isArray(value) ? value.map(one => `${mapping.prefix}${String(one)}`) : value
}

function textsOf(value: unknown, what: string): readonly string[] {
  if (value === undefined || value === null || value === '') return []
  if (typeof value === 'string') return [value]
  if (Array.isArray(value) && value.every(one => typeof one === 'string')) return value
  throw new Error(`${what} is neither a text nor a list of texts`)
}

function evaluate(program: Program, variable: 'claims' | 'user', value: unknown): unknown {
  const outcome = program.evaluate({ [variable]: fromJson(value, DYN) }, COST_MAX)
  if (!outcome.ok) throw new Error(outcome.error)
  return toJson(outcome.value)
}
