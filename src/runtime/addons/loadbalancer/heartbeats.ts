/**
 * Who lives, by an object of each node that it renews like a lease. It counts from when it was seen to change, on the
 * own clock, so that clocks need not agree; a node that cannot renew its own takes itself for dead before others do.
 */
import { sleep } from '../../../base/clock.ts'
import { Informer } from '../../../client/informer.ts'
import { isNotFound } from '../../../client/kube-client.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatMicroTime } from '../../../kube/time.ts'
import type { PartContext } from '../part.ts'
import { ANNOUNCER, ANNOUNCERS } from './address-pool.ts'

const RENEW_MS = 400
/** Behind the start of its last renewal that succeeded, a node takes its addresses off. */
const LET_GO_MS = 1_200
/** Behind the last renewal that was seen, others take them over. */
const DEAD_MS = 1_500
/** A lease that was given up long ago is another node's to delete. */
const FORGET_MS = 600_000
const RENEWAL_MS_MAX = 800

interface HeartbeatsParts extends Pick<PartContext, 'client' | 'nodeName' | 'clock' | 'random' | 'log'> {
  readonly onChange: () => void
}

export class Heartbeats {
  readonly #parts: HeartbeatsParts
  readonly #leases: Informer<KubeObject>
  readonly #aborter = new AbortController()
  /** When each lease was last seen to change. */
  readonly #seen = new Map<string, number>()
  #renewedMs = -Infinity
  #isNeeded = false
  #problem = ''
  #running: Promise<void> = Promise.resolve()

  constructor(parts: HeartbeatsParts) {
    this.#parts = parts
    this.#leases = new Informer<KubeObject>({ ...parts, resource: ANNOUNCERS })
  }

  get problem(): string {
    return this.#problem
  }

  get synced(): Promise<void> {
    return this.#leases.synced
  }

  start(): void {
    const { clock, onChange, nodeName } = this.#parts
    this.#leases.onChange((name, next) => {
      const wasAlive = this.#isAlive(name)
      if (next === null) this.#seen.delete(name)
      else this.#seen.set(name, clock.monotonic())
      if (name !== nodeName && (next === null || !wasAlive)) onChange()
    })
    this.#leases.start(this.#aborter.signal)
    this.#running = this.#beat()
  }

  /** Others take over at once. */
  async stop(): Promise<void> {
    this.#aborter.abort()
    await this.#running
    const { client, nodeName: name } = this.#parts
    await client.delete(ANNOUNCERS, { name }).catch(() => {})
  }

  /** Nothing is renewed where nothing is announced. */
  need(isNeeded: boolean): void {
    this.#isNeeded = isNeeded
  }

  /** Nobody else is there to take anything over. */
  get isAlone(): boolean {
    return [...this.#seen.keys()].every(name => name === this.#parts.nodeName)
  }

  alive(): ReadonlySet<string> {
    const names = [...this.#seen.keys()].filter(name => this.#isAlive(name))
    const others = names.filter(name => name !== this.#parts.nodeName)
    return new Set(this.#isSelfAlive() ? [...others, this.#parts.nodeName] : others)
  }

  /** Milliseconds until somebody who lives is taken for dead unless he says something. */
  nextMs(): number {
    const now = this.#parts.clock.monotonic()
    const others = [...this.#seen].filter(([name]) => name !== this.#parts.nodeName)
    const ends = [this.#renewedMs + LET_GO_MS, ...others.map(([, atMs]) => atMs + DEAD_MS)]
    return Math.min(...ends.filter(atMs => atMs > now).map(atMs => atMs - now), DEAD_MS)
  }

  #isAlive(name: string): boolean {
    return this.#parts.clock.monotonic() - (this.#seen.get(name) ?? -Infinity) < DEAD_MS
  }

  #isSelfAlive(): boolean {
    const age = this.#parts.clock.monotonic() - this.#renewedMs
    return age < LET_GO_MS || (this.isAlone && this.#renewedMs !== -Infinity)
  }

  async #beat(): Promise<void> {
    const { clock, log } = this.#parts
    const { signal } = this.#aborter
    while (!signal.aborted) {
      const startMs = clock.monotonic()
      if (this.#isNeeded) {
        const wasAlive = this.#isSelfAlive()
        try {
          await this.#renew()
          this.#renewedMs = startMs
          this.#problem = ''
          if (!wasAlive) this.#parts.onChange()
        } catch (error) {
          if (signal.aborted) return
          this.#problem = `the lease of this node cannot be renewed: ${String(error)}`
          log.debug('the lease of the load balancer could not be renewed', { error })
        }
        this.#forgetOld()
      }
      const pauseMs = Math.max(RENEW_MS - (clock.monotonic() - startMs), RENEW_MS / 5)
      await sleep(clock, pauseMs, signal).catch(() => {})
    }
  }

  async #renew(): Promise<void> {
    const { client, clock, nodeName: name } = this.#parts
    const spec = { renewTime: formatMicroTime(clock.now()) }
    const late = sleep(clock, RENEWAL_MS_MAX, this.#aborter.signal).then(() => {
      throw new Error('it takes too long')
    })
    late.catch(() => {})
    const patched = client.patch(ANNOUNCERS, { name, type: 'merge', patch: { spec } })
    const written = patched.catch(error => {
      if (!isNotFound(error)) throw error
      return client.create(ANNOUNCERS, { ...ANNOUNCER, metadata: { name }, spec })
    })
    written.catch(() => {})
    await Promise.race([written, late])
  }

  /** Of nodes that are no more, so that the one that is left is alone. */
  #forgetOld(): void {
    const { client, clock } = this.#parts
    const before = clock.monotonic() - FORGET_MS
    for (const [name, atMs] of this.#seen) {
      if (atMs > before || name === this.#parts.nodeName) continue
      void client.delete(ANNOUNCERS, { name }).catch(() => {})
      this.#seen.set(name, clock.monotonic() - DEAD_MS)
    }
  }
}
