/**
 * What becomes of a join token, decided purely: reserved by an attempt, consumed when the attempt's node is made a
 * member, given back when the attempt fails. `ledger.ts` carries these decisions into the store.
 *
 * Times are those of the server that decides; servers whose clocks differ by minutes let a token or a reservation
 * live minutes more or less, and never count a use twice, because uses are counted by transactions.
 */
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { type KeyValue, prefixEnd } from '../store/store.ts'
import type { JoinerNode } from './protocol.ts'
import { hashSecret, sameHash } from './token-text.ts'

export interface JoinAttempt {
  readonly id: string
  /** SHA-256 of the secret by which the joiner proves that the attempt is its own. */
  readonly secretHash: string
  /** As it said of itself when it reserved the token. */
  readonly node: JoinerNode
  /** Drawn for this attempt; of no use for a worker. */
  readonly memberId: number
  /** A committed one has used the token up, and can still be taken back until the joiner says that it is in. */
  readonly state: 'reserved' | 'committed'
  /** RFC 3339: when a reservation lapses, or a committed attempt that nobody confirmed is looked at. */
  readonly expiresAt: string
}

export interface JoinToken {
  readonly id: string
  readonly salt: string
  /** SHA-256 of salt and token. */
  readonly hash: string
  /** It makes workers only. */
  readonly worker: boolean
  /** How many joins it was made for; null for any number. */
  readonly uses: number | null
  readonly usesLeft: number | null
  /** RFC 3339. */
  readonly createdAt: string
  readonly expiresAt: string
  readonly attempts: readonly JoinAttempt[]
}

export const TOKENS_PREFIX = '/mk8s/join-tokens/'
export const TOKENS_RANGE = { start: TOKENS_PREFIX, end: prefixEnd(TOKENS_PREFIX) }
export const tokenKey = (id: string): string => `${TOKENS_PREFIX}${id}`

/** How long a joiner may take from its reservation to its commit. */
export const RESERVATION_MS = 3 * 60_000
/** How long a committed attempt may stay without a word of its joiner before it is looked at. */
export const UNCONFIRMED_MS = 10 * 60_000
/** Tokens, used or not, that there may be at once. */
export const TOKENS_MAX = 100
/** Attempts that one token remembers at once. */
export const ATTEMPTS_MAX = 64
/** Expired tokens are kept this long, for servers whose clocks are behind and for an answer that says why. */
const KEPT_AFTER_EXPIRY_MS = 60 * 60_000

/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export const encodeRecord = (record: object): Buffer =>
  Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(record))])

export function decodeToken({ key, value }: Pick<KeyValue, 'key' | 'value'>): JoinToken {
  if (value[0] !== FORMAT_PLAIN)
    throw new Mk8sError('store/version', `the record ${key} has the unknown format ${value[0]}`)
  return JSON.parse(value.toString('utf8', 1)) as JoinToken
}

export interface TokenWanted {
  readonly text: string
  readonly worker: boolean
  readonly uses: number | null
  readonly ttlMs: number
  readonly nowMs: number
}

export function makeToken(wanted: TokenWanted, random: Random): JoinToken {
  const salt = hex(random, 16)
  return {
    id: hex(random, 8),
    salt,
    hash: hashSecret(salt, wanted.text),
    worker: wanted.worker,
    uses: wanted.uses,
    usesLeft: wanted.uses,
    createdAt: timeText(wanted.nowMs),
    expiresAt: timeText(wanted.nowMs + wanted.ttlMs),
    attempts: [],
  }
}

export const hex = (random: Random, bytes: number): string => Buffer.from(random.bytes(bytes)).toString('hex')
export const timeText = (ms: number): string => new Date(ms).toISOString()

/** The one that this text opens; all are compared, so that the time tells nothing. */
export function findToken<T extends JoinToken>(tokens: readonly T[], text: string): T | undefined {
  const matches = tokens.filter(token => sameHash(token.hash, hashSecret(token.salt, text)))
  return matches[0]
}

export type Reservation =
  | { readonly kind: 'reserved'; readonly token: JoinToken }
  /** `reserved`: it would have a use left if the attempts under way came to nothing. */
  | { readonly kind: 'expired' | 'used' | 'busy' | 'reserved'; readonly by?: string }

/** Reservations that have lapsed, or that an earlier attempt for this very node left, make room. */
export function reserve(token: JoinToken, attempt: JoinAttempt, nowMs: number): Reservation {
  if (nowMs >= Date.parse(token.expiresAt)) return { kind: 'expired' }
  const others = token.attempts.filter(
    each => each.state === 'committed' || (isLive(each, nowMs) && each.node.name !== attempt.node.name),
  )
  const reserved = others.filter(each => each.state === 'reserved')
  if (token.usesLeft === 0) return { kind: 'used' }
  if (token.usesLeft !== null && reserved.length >= token.usesLeft) {
    const [first] = reserved
    return { kind: 'reserved', ...(first !== undefined && { by: first.node.name }) }
  }
  if (others.length >= ATTEMPTS_MAX) return { kind: 'busy' }
  return { kind: 'reserved', token: { ...token, attempts: [...others, attempt] } }
}

const isLive = ({ expiresAt }: JoinAttempt, nowMs: number): boolean => nowMs < Date.parse(expiresAt)

/** The attempt counts against the token from now on. A reservation that has lapsed still holds if it was not given away. */
export function commit(token: JoinToken, attemptId: string, nowMs: number): JoinToken {
  const expiresAt = timeText(nowMs + UNCONFIRMED_MS)
  const attempts = token.attempts.map(each =>
    each.id === attemptId ? { ...each, state: 'committed' as const, expiresAt } : each,
  )
  return { ...token, usesLeft: token.usesLeft === null ? null : Math.max(0, token.usesLeft - 1), attempts }
}

/** As if the attempt had not been: a use that it took is there again. */
export function release(token: JoinToken, attemptId: string): JoinToken {
  const attempt = token.attempts.find(({ id }) => id === attemptId)
  const given = attempt?.state === 'committed' && token.usesLeft !== null ? 1 : 0
  const usesLeft = token.usesLeft === null ? null : token.usesLeft + given
  return { ...withoutAttempt(token, attemptId), usesLeft }
}

/** The joiner is in: the attempt need not be remembered, nor, when nothing is left of it, the token. */
export function confirm(token: JoinToken, attemptId: string): JoinToken | null {
  const after = withoutAttempt(token, attemptId)
  return after.usesLeft === 0 && after.attempts.length === 0 ? null : after
}

function withoutAttempt(token: JoinToken, attemptId: string): JoinToken {
  return { ...token, attempts: token.attempts.filter(({ id }) => id !== attemptId) }
}

export interface Upkeep {
  /** What the token is to become; null when it is to go. */
  readonly token: JoinToken | null
  /** Attempts to take back, member record and all. */
  readonly abandoned: readonly JoinAttempt[]
}

/**
 * What time does to a token; undefined when nothing. `isIn` says of a committed attempt whether its node has come
 * into the cluster, in which case it stays; one that never came is taken back.
 */
export function upkeep(
  token: JoinToken,
  nowMs: number,
  isIn: (attempt: JoinAttempt) => boolean,
): Upkeep | undefined {
  const lapsed = token.attempts.filter(attempt => !isLive(attempt, nowMs))
  const abandoned = lapsed.filter(attempt => attempt.state === 'committed' && !isIn(attempt))
  let after = token
  for (const attempt of lapsed) {
    const isOver = attempt.state === 'committed' && !abandoned.includes(attempt)
    after = isOver ? withoutAttempt(after, attempt.id) : release(after, attempt.id)
  }
  const isOver =
    after.attempts.length === 0 &&
    (after.usesLeft === 0 || nowMs >= Date.parse(token.expiresAt) + KEPT_AFTER_EXPIRY_MS)
  if (lapsed.length === 0 && !isOver) return undefined
  return { token: isOver ? null : after, abandoned }
}
