/**
 * Carries what tokens.ts decides into the store: every step is one transaction that holds only if nothing it was
 * decided on has changed, and is decided anew if something has.
 */
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import {
  decodeMember,
  encodeMember,
  MEMBERS_RANGE,
  type MemberRecord,
  memberKey,
} from '../members/member-record.ts'
import { removedNodeKey } from '../members/removed-nodes.ts'
import type { Compare, Operation, Store } from '../store/store.ts'
import { hashSecret, sameHash } from './token-text.ts'
import {
  commit,
  confirm,
  decodeToken,
  encodeRecord,
  findToken,
  type JoinAttempt,
  type JoinToken,
  makeToken,
  type Reservation,
  release,
  reserve,
  TOKENS_MAX,
  TOKENS_RANGE,
  type TokenWanted,
  tokenKey,
  upkeep,
} from './tokens.ts'

export type LedgerStore = Pick<Store, 'barrier' | 'get' | 'range' | 'transact'>

export interface StoredToken extends JoinToken {
  readonly modRevision: number
}

export interface FoundAttempt {
  readonly token: StoredToken
  readonly attempt: JoinAttempt
}

/** Written with every member that is added, so that two additions never overlook each other. */
const SERIAL_KEY = '/mk8s/join-serial'
/** Decisions that are made anew because somebody else was faster. */
const TRIES_MAX = 50

export class Ledger {
  readonly #store: LedgerStore
  readonly #random: Random

  constructor(store: LedgerStore, random: Random) {
    this.#store = store
    this.#random = random
  }

  tokens(): readonly StoredToken[] {
    return this.#store
      .range(TOKENS_RANGE)
      .entries.map(kv => ({ ...decodeToken(kv), modRevision: kv.modRevision }))
  }

  members(): readonly MemberRecord[] {
    return this.#store.range(MEMBERS_RANGE).entries.map(decodeMember)
  }

  find(text: string): StoredToken | undefined {
    return findToken(this.tokens(), text)
  }

  /** The attempt with this id and this secret. */
  attempt({ id, secret }: { readonly id: string; readonly secret: string }): FoundAttempt | undefined {
    const found = this.#attemptById(id)
    return found !== undefined && sameHash(found.attempt.secretHash, hashSecret(id, secret))
      ? found
      : undefined
  }

  #attemptById(id: string): FoundAttempt | undefined {
    for (const token of this.tokens()) {
      const attempt = token.attempts.find(each => each.id === id)
      if (attempt !== undefined) return { token, attempt }
    }
    return undefined
  }

  /** Throws `refused` when there are too many, or one with this very text. */
  async add(wanted: TokenWanted): Promise<JoinToken> {
    await this.#store.barrier()
    const tokens = this.tokens()
    if (findToken(tokens, wanted.text) !== undefined)
      throw new Mk8sError('refused', 'there is a join token with this text already', {
        hint: 'choose another, or leave --token out',
      })
    if (tokens.length >= TOKENS_MAX)
      throw new Mk8sError('refused', `there are ${TOKENS_MAX} join tokens already`, {
        hint: 'use one of them, or wait until some have expired',
      })
    const token = makeToken(wanted, this.#random)
    await this.#transact([{ key: tokenKey(token.id), target: 'mod-revision', equals: 0 }], [put(token)])
    return token
  }

  /** Takes a use of the token for this attempt, for as long as a reservation lasts. */
  async reserve(tokenId: string, attempt: JoinAttempt, nowMs: number): Promise<Reservation> {
    return this.#again(async () => {
      const token = this.tokens().find(({ id }) => id === tokenId)
      if (token === undefined) return { kind: 'used' }
      const outcome = reserve(token, attempt, nowMs)
      if (outcome.kind !== 'reserved' || !('token' in outcome)) return outcome
      return (await this.#replace(token, outcome.token)) ? outcome : undefined
    })
  }

  /**
   * Consumes the token and puts the member's record, in one transaction. `decide` sees the members and attempts that
   * the transaction builds on and returns the record (null for a worker) or throws. False: the attempt is gone.
   */
  async commit(
    attemptId: string,
    nowMs: number,
    decide: (members: readonly MemberRecord[], attempts: readonly JoinAttempt[]) => MemberRecord | null,
  ): Promise<boolean> {
    return this.#again(async () => {
      const serial = this.#store.get(SERIAL_KEY)
      const found = this.#attemptById(attemptId)
      if (found === undefined) return false
      if (found.attempt.state === 'committed') return true
      const others = this.tokens().flatMap(({ attempts }) => attempts.filter(({ id }) => id !== attemptId))
      const record = decide(this.members(), others)
      const compares = [
        { key: SERIAL_KEY, target: 'mod-revision' as const, equals: serial?.modRevision ?? 0 },
        unchanged(found.token),
      ]
      const operations: Operation[] = [
        { type: 'put', key: SERIAL_KEY, value: encodeRecord({ attempt: attemptId }) },
        put(commit(found.token, attemptId, nowMs)),
        // A node of this name may have been taken out before.
        { type: 'delete', key: removedNodeKey(found.attempt.node.name) },
      ]
      if (record !== null)
        operations.push({ type: 'put', key: memberKey(record.id), value: encodeMember(record) })
      return (await this.#transact(compares, operations)) || undefined
    })
  }

  /** The node is in: the attempt is over. Doing it again changes nothing. */
  async confirm(attemptId: string): Promise<void> {
    await this.#again(async () => {
      const found = this.#attemptById(attemptId)
      if (found === undefined) return true
      return (await this.#replace(found.token, confirm(found.token, attemptId))) || undefined
    })
  }

  /** Gives the use back and has the member, if it was made one, taken out again. Returns what the attempt was. */
  async abort(attemptId: string): Promise<JoinAttempt | undefined> {
    return this.#again(async () => {
      const found = this.#attemptById(attemptId)
      if (found === undefined) return { attempt: undefined }
      const operations = [put(release(found.token, attemptId)), ...this.#leaving(found.attempt)]
      const done = await this.#transact([unchanged(found.token)], operations)
      return done ? { attempt: found.attempt } : undefined
    }).then(({ attempt }) => attempt)
  }

  /** Lets time act on one token. Returns the attempts that were taken back. */
  async keepUp(
    token: StoredToken,
    nowMs: number,
    isIn: (attempt: JoinAttempt) => boolean,
    term: number,
  ): Promise<readonly JoinAttempt[]> {
    const outcome = upkeep(token, nowMs, isIn)
    if (outcome === undefined) return []
    const after: Operation =
      outcome.token === null ? { type: 'delete', key: tokenKey(token.id) } : put(outcome.token)
    const operations = [after, ...outcome.abandoned.flatMap(attempt => this.#leaving(attempt))]
    const { succeeded } = await this.#store.transact({ compares: [unchanged(token)], operations }, { term })
    return succeeded ? outcome.abandoned : []
  }

  /** The record is kept until the member is out of Raft's membership; the role keeper sees to both. */
  #leaving({ memberId, state }: JoinAttempt): Operation[] {
    const kv = state === 'committed' ? this.#store.get(memberKey(memberId)) : null
    if (kv === null) return []
    return [{ type: 'put', key: kv.key, value: encodeMember({ ...decodeMember(kv), leaving: true }) }]
  }

  #replace(token: StoredToken, after: JoinToken | null): Promise<boolean> {
    const operation: Operation = after === null ? { type: 'delete', key: tokenKey(token.id) } : put(after)
    return this.#transact([unchanged(token)], [operation])
  }

  async #transact(compares: readonly Compare[], operations: readonly Operation[]): Promise<boolean> {
    return (await this.#store.transact({ compares, operations })).succeeded
  }

  /** Until the step has an outcome; undefined means that somebody else was faster. */
  async #again<T>(step: () => Promise<T | undefined>): Promise<T> {
    await this.#store.barrier()
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const outcome = await step()
      if (outcome !== undefined) return outcome
    }
    throw new Mk8sError('store/overloaded', 'too many nodes join at once', { hint: 'try again in a moment' })
  }
}

function put(token: JoinToken & { readonly modRevision?: number }): Operation {
  const { modRevision: _, ...record } = token
  return { type: 'put', key: tokenKey(token.id), value: encodeRecord(record) }
}

const unchanged = ({ id, modRevision }: StoredToken): Compare => ({
  key: tokenKey(id),
  target: 'mod-revision',
  equals: modRevision,
})
