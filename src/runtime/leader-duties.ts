/**
 * What only the leader does: controllers and scheduler, made anew for each term this member leads and ended at once
 * when it does not. Their writes carry the term, so a late one is refused by the store, not merely unlikely; that is
 * why a new term need not wait until the last one's duties have come to an end.
 */
import { abortable } from '../base/abortable.ts'
import { type BackoffConfig, backoffMs } from '../base/backoff.ts'
import { type Clock, sleep } from '../base/clock.ts'
import type { Component, Health } from '../base/component.ts'
import type { Log } from '../base/log.ts'
import type { Leadership, Store } from './store/store.ts'

export interface LeaderDutiesParts {
  readonly store: Pick<Store, 'leadership' | 'onLeadership'>
  /** The components of one term, in the order of starting. */
  readonly dutiesOf: (term: number) => readonly Component[]
  readonly clock: Clock
  readonly log: Log
}

/** A leader whose duties do not start would be worse than none. */
const RETRY: BackoffConfig = { baseMs: 200, maxMs: 5_000 }

export function createLeaderDuties(parts: LeaderDutiesParts): Component {
  let reign: Reign | null = null
  let unsubscribe = () => {}
  const ending = new Set<Promise<void>>()

  const end = () => {
    if (reign === null) return
    const ended = reign.end().finally(() => ending.delete(ended))
    ending.add(ended)
    reign = null
  }
  let begun = false
  const follow = async ({ leader, term }: Leadership) => {
    if (leader && reign?.term === term) return
    end()
    if (!leader) return
    reign = new Reign(term, parts)
    await reign.begin()
  }
  return {
    name: 'controllers',
    async prepare() {},
    async start(signal) {
      unsubscribe = parts.store.onLeadership(leadership => void follow(leadership))
      // Duties that cannot begin, because something cannot be read, must not keep the daemon from ending.
      await abortable(follow(parts.store.leadership), signal)
      begun = true
    },
    async stop() {
      unsubscribe()
      end()
      await Promise.all(ending)
    },
    health() {
      const now = reign?.health() ?? OK
      return now.ok && !begun ? NOT_BEGUN : now
    },
  }
}

const OK: Health = { ok: true, reason: '' }
/** Whether this server leads, and has to run them, is not known before the start. */
const NOT_BEGUN: Health = { ok: false, reason: 'the controllers have not been started yet' }

/** One term of this member's. */
class Reign {
  readonly term: number
  readonly #parts: LeaderDutiesParts
  readonly #aborter = new AbortController()
  #duties: readonly Component[] = []
  #failure = ''

  constructor(term: number, parts: LeaderDutiesParts) {
    this.term = term
    this.#parts = parts
  }

  /** Resolves once the duties run, or the term is over. */
  async begin(): Promise<void> {
    const { clock, log } = this.#parts
    const { signal } = this.#aborter
    const begunMs = clock.monotonic()
    for (let failures = 0; !signal.aborted; ) {
      try {
        await this.#start(signal)
        const ms = Math.round(clock.monotonic() - begunMs)
        log.info('leading: the controllers and the scheduler run', { term: this.term, ms })
        return
      } catch (error) {
        if (signal.aborted) return
        failures += 1
        this.#failure = 'the controllers did not start; the daemon log says why'
        log.error('the leader could not start its duties', { error, failures })
        await this.#stopAll()
        await sleep(clock, backoffMs(RETRY, failures), signal).catch(() => {})
      }
    }
  }

  /** Nothing new is begun from here on; resolves once what was under way has ended. */
  async end(): Promise<void> {
    this.#aborter.abort()
    await this.#stopAll()
  }

  health(): Health {
    if (this.#failure !== '') return { ok: false, reason: this.#failure }
    const bad = this.#duties.map(duty => ({ name: duty.name, ...duty.health() })).find(({ ok }) => !ok)
    return bad ? { ok: false, reason: `${bad.name}: ${bad.reason}` } : { ok: true, reason: '' }
  }

  async #start(signal: AbortSignal): Promise<void> {
    this.#duties = this.#parts.dutiesOf(this.term)
    for (const duty of this.#duties) {
      await duty.prepare(signal)
      signal.throwIfAborted()
      await duty.start(signal)
      signal.throwIfAborted()
    }
    this.#failure = ''
  }

  /** All at once: each one alone may wait for answers that do not come. */
  async #stopAll(): Promise<void> {
    const outcomes = await Promise.allSettled(this.#duties.toReversed().map(duty => duty.stop()))
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected')
        this.#parts.log.warn('a duty of the leader did not end well', { error: outcome.reason })
    }
  }
}
