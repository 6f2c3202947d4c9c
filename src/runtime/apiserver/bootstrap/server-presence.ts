/**
 * The keys by which API servers say that they serve: each puts its own while it lives, and puts it again when
 * somebody takes it away too soon; the leader takes away those of the dead (see endpoint-keeper.ts). Nothing is
 * written while nothing changes.
 */
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import { type Clock, sleep } from '../../../base/clock.ts'
import type { Component } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import { followRange } from '../../store/follow-range.ts'
import { type KeyValue, prefixEnd, type Store, type Watch } from '../../store/store.ts'
import type { ServerAddress } from './kubernetes-endpoints.ts'

export const PRESENCE_PREFIX = '/mk8s/api-servers/'
export const PRESENCE_RANGE = { start: PRESENCE_PREFIX, end: prefixEnd(PRESENCE_PREFIX) }

/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export interface PresentServer extends ServerAddress {
  /** As the datastore calls it. */
  readonly member: number
  /** Of the key. */
  readonly revision: number
}

export const presenceKey = (member: number): string => `${PRESENCE_PREFIX}${member.toString(16)}`

export function encodePresence({ address, port }: ServerAddress): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify({ address, port }))])
}

export function decodePresence({ key, value, modRevision }: KeyValue): PresentServer {
  const { address, port } = JSON.parse(value.toString('utf8', 1)) as ServerAddress
  const member = Number.parseInt(key.slice(PRESENCE_PREFIX.length), 16)
  return { member, address, port, revision: modRevision }
}

export interface ServerPresenceParts {
  readonly store: Pick<Store, 'get' | 'transact' | 'watch' | 'revision'>
  readonly memberId: number
  /** Where this server is reached by the others and by pods. */
  readonly server: ServerAddress
  readonly clock: Clock
  readonly log: Log
}

const RETRY: BackoffConfig = { baseMs: 100, maxMs: 2_000 }
/** A server that stops tells the others, but does not wait long for them to hear it. */
const GOODBYE_MS_MAX = 1_000

/** To be started once the API server listens, and stopped before it does not. */
export function createServerPresence(parts: ServerPresenceParts): Component {
  return new ServerPresence(parts)
}

class ServerPresence implements Component {
  readonly name = 'api-server-presence'
  readonly #parts: ServerPresenceParts
  readonly #key: string
  readonly #value: Buffer
  readonly #aborter = new AbortController()
  #watch: Watch | null = null
  #putting: Promise<void> | null = null

  constructor(parts: ServerPresenceParts) {
    this.#parts = parts
    this.#key = presenceKey(parts.memberId)
    this.#value = encodePresence(parts.server)
  }

  async prepare(): Promise<void> {}

  /** Does not wait: without a leader nobody could be told. */
  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const range = { start: this.#key, end: `${this.#key}\0` }
    this.#watch = followRange({ store, range, onChange: () => this.#ensure(), clock })
    this.#ensure()
  }

  async stop(): Promise<void> {
    if (this.#aborter.signal.aborted) return
    this.#aborter.abort()
    this.#watch?.close()
    await this.#putting
    const { store, clock } = this.#parts
    if (store.get(this.#key) === null) return
    const over = new AbortController()
    const goodbye = store.transact({ compares: [], operations: [{ type: 'delete', key: this.#key }] })
    await Promise.race([goodbye.catch(() => {}), sleep(clock, GOODBYE_MS_MAX, over.signal).catch(() => {})])
    over.abort()
  }

  health(): ReturnType<Component['health']> {
    return { ok: true, reason: '' }
  }

  get #isPresent(): boolean {
    return this.#parts.store.get(this.#key)?.value.equals(this.#value) === true
  }

  #ensure(): void {
    if (this.#aborter.signal.aborted || this.#isPresent) return
    this.#putting ??= this.#put().finally(() => {
      this.#putting = null
      // What was taken away in the meantime.
      this.#ensure()
    })
  }

  async #put(): Promise<void> {
    const { store, clock, log } = this.#parts
    const { signal } = this.#aborter
    const operations = [{ type: 'put', key: this.#key, value: this.#value }] as const
    for (let failures = 0; !signal.aborted && !this.#isPresent; ) {
      try {
        await store.transact({ compares: [], operations }, { signal })
      } catch (error) {
        failures += 1
        log.debug('this API server could not be announced yet', { error })
        await sleep(clock, backoffMs(RETRY, failures), signal).catch(() => {})
      }
    }
  }
}
