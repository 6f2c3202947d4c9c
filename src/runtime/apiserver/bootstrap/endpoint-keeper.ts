/**
 * A duty of the leader: the endpoints of the service `kubernetes` are the API servers that have said they serve
 * (see server-presence.ts) and are alive as far as the datastore's heartbeats tell. A server that is silent for a
 * second is taken out; one that was only slow puts itself back.
 */
import { type BackoffConfig, backoffMs } from '../../../base/backoff.ts'
import type { Clock, Timer } from '../../../base/clock.ts'
import type { Component, Health } from '../../../base/component.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import type { Transport } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { followRange } from '../../store/follow-range.ts'
import type { RaftStore, StoreStatus } from '../../store/raft-store.ts'
import type { Watch } from '../../store/store.ts'
import type { ObjectReader } from '../ports.ts'
import { kubernetesEndpoints, surplusSlices } from './kubernetes-endpoints.ts'
import { planBootstrap } from './plan.ts'
import { reconcileBootstrap } from './reconcile.ts'
import { decodePresence, PRESENCE_RANGE, type PresentServer, presenceKey } from './server-presence.ts'

export interface EndpointKeeperParts {
  readonly store: Pick<RaftStore, 'get' | 'range' | 'transact' | 'watch' | 'revision'> & {
    status(): Pick<StoreStatus, 'memberId' | 'progress' | 'timing'>
  }
  readonly objects: ObjectReader
  /** In process, as a user in system:masters. */
  readonly transport: Transport
  /** Every write belongs to it. */
  readonly term: number
  readonly clock: Clock
  readonly log: Log
}

/** How often the others are listened for. */
const LISTEN_MS = 200
const SILENT_MS_MIN = 1_000
/** Where links are so slow that elections take longer, silence has to. */
const ELECTIONS = 2
/** Whether somebody else changed the objects is looked at now and then. */
const LOOK_TURNS = 25
const RETRY: BackoffConfig = { baseMs: 100, maxMs: 5_000 }

type Heard = Pick<StoreStatus, 'memberId' | 'progress' | 'timing'>

/** Members that have been silent for too long. Pure. */
export class Silence {
  /** By member: the key that it put last, and since when this leader knows of it. */
  readonly #known = new Map<number, { readonly revision: number; readonly sinceMs: number }>()

  find(
    servers: readonly PresentServer[],
    { memberId, timing, progress }: Heard,
    nowMs: number,
  ): PresentServer[] {
    const limitMs = Math.max(SILENT_MS_MIN, ELECTIONS * timing.electionMs)
    for (const member of this.#known.keys()) {
      if (!servers.some(server => server.member === member)) this.#known.delete(member)
    }
    return servers.filter(server => {
      const { member } = server
      const silentMs = progress.find(each => each.member === member)?.silentMs ?? Number.POSITIVE_INFINITY
      // Whoever has just put its key, or was just found by a new leader, may yet be heard of.
      return member !== memberId && Math.min(silentMs, nowMs - this.#sinceMs(server, nowMs)) > limitMs
    })
  }

  #sinceMs({ member, revision }: PresentServer, nowMs: number): number {
    const known = this.#known.get(member)
    if (known?.revision === revision) return known.sinceMs
    this.#known.set(member, { revision, sinceMs: nowMs })
    return nowMs
  }
}

export function createEndpointKeeper(parts: EndpointKeeperParts): Component {
  return new EndpointKeeper(parts)
}

class EndpointKeeper implements Component {
  readonly name = 'kubernetes-endpoints'
  readonly #parts: EndpointKeeperParts
  readonly #aborter = new AbortController()
  readonly #silence = new Silence()
  #watch: Watch | null = null
  #timer: Timer | null = null
  #turn = 0
  #writing: Promise<void> | null = null
  #isDirty = false
  #failures = 0
  #notBeforeMs = 0
  #problem = ''

  constructor(parts: EndpointKeeperParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const onChange = () => this.#write()
    this.#watch = followRange({ store, range: PRESENCE_RANGE, onChange, clock })
    this.#write()
    this.#listen()
  }

  async stop(): Promise<void> {
    this.#aborter.abort()
    this.#watch?.close()
    this.#timer?.cancel()
    await this.#writing
  }

  health(): Health {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  #servers(): PresentServer[] {
    return this.#parts.store.range(PRESENCE_RANGE).entries.map(decodePresence)
  }

  #listen(): void {
    const { store, clock, log } = this.#parts
    this.#timer = clock.after(LISTEN_MS, () => {
      for (const server of this.#silence.find(this.#servers(), store.status(), clock.monotonic())) {
        void this.#remove(server).catch(error => log.debug('a silent API server is still listed', { error }))
      }
      this.#turn = (this.#turn + 1) % LOOK_TURNS
      if (this.#turn === 0 || this.#isDirty) this.#write()
      this.#listen()
    })
  }

  async #remove({ member, address, port }: PresentServer): Promise<void> {
    const { store, term, log } = this.#parts
    const key = presenceKey(member)
    const equals = store.get(key)?.modRevision
    if (equals === undefined) return
    const compares = [{ key, target: 'mod-revision', equals }] as const
    const operations = [{ type: 'delete', key }] as const
    const { succeeded } = await store.transact({ compares, operations }, { term })
    if (succeeded)
      log.warn('an API server is silent: the service kubernetes leads there no more', { address, port })
  }

  /** One write at a time; what changes meanwhile is written next. */
  #write(): void {
    if (this.#aborter.signal.aborted) return
    this.#isDirty = true
    if (this.#writing !== null || this.#parts.clock.monotonic() < this.#notBeforeMs) return
    this.#isDirty = false
    this.#writing = this.#writeNow()
      .catch(error => messageOf(error))
      .then(problem => {
        this.#writing = null
        this.#wrote(problem)
      })
  }

  #wrote(problem: string): void {
    const { clock, log } = this.#parts
    if (this.#aborter.signal.aborted) return
    if (problem !== '' && problem !== this.#problem) {
      log.warn('the endpoints of the service kubernetes could not be written', { problem })
    }
    this.#problem = problem
    this.#failures = problem === '' ? 0 : this.#failures + 1
    this.#notBeforeMs = problem === '' ? 0 : clock.monotonic() + backoffMs(RETRY, this.#failures)
    if (this.#isDirty || problem !== '') this.#write()
  }

  /** What is wrong, or nothing. */
  async #writeNow(): Promise<string> {
    const { objects, transport, term } = this.#parts
    const servers = this.#servers()
    if (servers.length === 0) return ''
    const wanted = kubernetesEndpoints(servers)
    const present = objects.list('discovery.k8s.io', 'endpointslices', 'default')
    const surplus = surplusSlices(present, wanted)
    const isThere = (object: KubeObject) => planBootstrap(object, this.#present(object)).kind === 'none'
    if (wanted.every(isThere) && surplus.length === 0) return ''
    const fenced: Transport = { request: request => transport.request({ ...request, term }) }
    const { signal } = this.#aborter
    const { problems } = await reconcileBootstrap({ transport: fenced, objects, wanted, signal })
    for (const { metadata } of surplus) {
      const path = `/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/${metadata.name}`
      await fenced.request({ method: 'DELETE', path, signal })
    }
    return problems[0] ?? ''
  }

  #present({ kind, metadata }: KubeObject): KubeObject | null {
    const [group, resource] =
      kind === 'Endpoints' ? ['', 'endpoints'] : ['discovery.k8s.io', 'endpointslices']
    return this.#parts.objects.get(group, resource, 'default', metadata.name ?? '')
  }
}
