/**
 * The door of authentication: from a client certificate or a bearer token to a user.
 * Bound tokens are judged against the objects in memory at every request, so that deleting a pod ends them.
 */
import type { Clock } from '../../../base/clock.ts'
import type { Authenticator, ObjectReader } from '../ports.ts'
import type { UserInfo } from '../user.ts'
import { type Claims, peekClaims, readVerifyingKey, type SigningKey, verifyJwt } from './jwt.ts'
import { judgeClaims, type Verdict } from './service-account-claims.ts'

export interface AuthenticatorParts {
  readonly serviceAccounts: {
    readonly issuer: string
    /** PEM; another array once they are others. */
    readonly publicKeys: () => readonly string[]
    /** Audiences that a token for this API server may name; the issuer when left out. */
    readonly audiences?: readonly string[]
  }
  /** What is configured, as it is now; absent: nothing. */
  readonly present?: () => Configured
  readonly objects: ObjectReader
  readonly clock: Pick<Clock, 'now'>
}

interface Configured {
  /** Asked in turn, after service accounts. */
  readonly others: readonly TokenReviewer[]
  /** Null: everybody may come without credentials; otherwise, if enabled, to these paths, or to all if there are none. */
  readonly anonymous: { readonly enabled: boolean; readonly paths: readonly string[] } | null
}

/** Judges a bearer token; what TokenReview answers. */
export type ReviewToken = (token: string, audiences?: readonly string[]) => Verdict

/** Judges one kind of bearer token. */
export interface TokenReviewer {
  /** Null: nothing that it knows; invalid with a reason: one of its own that is not good. */
  review(token: string, audiences: readonly string[]): Promise<Verdict | null>
}

export type TokenAuthenticator = Authenticator & {
  /** Of service accounts. */
  readonly reviewToken: ReviewToken
  /** Of whatever kind. */
  readonly reviewAnyToken: (token: string, audiences?: readonly string[]) => Promise<Verdict>
}

export const ANONYMOUS: UserInfo = { username: 'system:anonymous', groups: ['system:unauthenticated'] }

/** Tells which of a user's credentials a request came with, in upstream's words. */
const CREDENTIAL_ID = 'authentication.kubernetes.io/credential-id'
/** Tokens whose signature was checked lately; the claims are judged anew each time. */
const VERIFIED_TOKENS_MAX = 2_048
const TOKEN_LENGTH_MAX = 16_384

export function createAuthenticator(parts: AuthenticatorParts): TokenAuthenticator {
  const { issuer, publicKeys } = parts.serviceAccounts
  const ownAudiences = parts.serviceAccounts.audiences ?? [issuer]
  const verified = new Map<string, Claims>()
  let known: readonly string[] = []
  let keys: readonly SigningKey[] = []
  /** What an earlier key signed is judged again. */
  const presentKeys = (): readonly SigningKey[] => {
    const present = publicKeys()
    if (present === known) return keys
    keys = present.map(readVerifyingKey)
    known = present
    verified.clear()
    return keys
  }

  const claimsOf = (token: string): Claims | null => {
    const keys = presentKeys()
    const before = verified.get(token)
    if (before !== undefined) return before
    if (token.length > TOKEN_LENGTH_MAX || peekClaims(token)?.['iss'] !== issuer) return null
    const claims = verifyJwt(token, keys)
    if (claims === null) return null
    if (verified.size >= VERIFIED_TOKENS_MAX) forgetOldest(verified)
    verified.set(token, claims)
    return claims
  }

  const reviewToken: ReviewToken = (token, audiences = ownAudiences) => {
    const claims = claimsOf(token)
    if (claims === null) return { valid: false, reason: '' }
    const nowMs = parts.clock.now()
    const verdict = judgeClaims(claims, { issuer, audiences, nowMs, objects: parts.objects })
    if (!verdict.valid) verified.delete(token)
    return verdict
  }

  const reviewAnyToken = async (token: string, audiences = ownAudiences): Promise<Verdict> => {
    const verdict = reviewToken(token, audiences)
    if (verdict.valid || token.length > TOKEN_LENGTH_MAX) return verdict
    const reasons = [verdict.reason]
    for (const other of parts.present?.().others ?? []) {
      const found = await other.review(token, audiences)
      if (found?.valid) return found
      reasons.push(found?.reason ?? '')
    }
    return { valid: false, reason: reasons.filter(reason => reason !== '').join(', ') }
  }

  return {
    reviewToken,
    reviewAnyToken,
    async authenticate({ certificate, bearerToken, path }) {
      if (certificate !== undefined && certificate.commonName !== '') {
        const { commonName, organizations, sha256 } = certificate
        const extra = { [CREDENTIAL_ID]: [`X509SHA256=${sha256}`] }
        return { username: commonName, groups: withAuthenticated(organizations), extra }
      }
      if (bearerToken === undefined) return mayBeAnonymous(parts, path) ? ANONYMOUS : null
      const verdict = await reviewAnyToken(bearerToken)
      return verdict.valid ? verdict.user : null
    },
  }
}

function mayBeAnonymous({ present }: AuthenticatorParts, path = ''): boolean {
  const anonymous = present?.().anonymous ?? null
  if (anonymous === null) return true
  return anonymous.enabled && (anonymous.paths.length === 0 || anonymous.paths.includes(path))
}

/** `system:authenticated` stands in every user's groups, once. */
export function withAuthenticated(groups: readonly string[]): readonly string[] {
  return groups.includes('system:authenticated') ? groups : [...groups, 'system:authenticated']
}

function forgetOldest(tokens: Map<string, unknown>): void {
  const oldest = tokens.keys().next()
  if (oldest.done !== true) tokens.delete(oldest.value)
}
