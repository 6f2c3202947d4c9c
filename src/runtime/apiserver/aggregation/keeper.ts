/**
 * Keeps APIService objects while this server leads: those of what mk8s serves itself are made and put right, and the
 * servers behind the others are asked whether they answer.
 */
import type { Clock, Timer } from '../../../base/clock.ts'
import type { Component } from '../../../base/component.ts'
import type { Log } from '../../../base/log.ts'
import type { Transport } from '../../../client/transport.ts'
import type { KubeObject } from '../../../kube/object.ts'
import { formatTime } from '../../../kube/time.ts'
import { prefixEnd, type Store } from '../../store/store.ts'
import type { ObjectReader } from '../ports.ts'
import { type Aggregation, API_SERVICES } from './aggregation.ts'
import { remoteServiceOf } from './api-services.ts'
import { availabilityOf, withAvailability } from './availability.ts'
import { customVersions, type LocalVersion, planRegistration } from './registration.ts'

export interface KeeperParts {
  readonly store: Pick<Store, 'watch' | 'revision' | 'leadership' | 'onLeadership'>
  readonly objects: ObjectReader
  /** In process, as a user in system:masters. */
  readonly transport: Transport
  readonly aggregation: Aggregation
  readonly builtIn: readonly LocalVersion[]
  readonly clock: Clock
  readonly log: Log
}

const GROUP = 'apiregistration.k8s.io'
const COLLECTION = `/apis/${GROUP}/v1/apiservices`
const FOLLOWED = [
  API_SERVICES,
  '/registry/apiextensions.k8s.io/customresourcedefinitions/',
  '/registry/addons.mk8s.io/addons/',
  '/registry/core/services/',
  '/registry/discovery.k8s.io/endpointslices/',
]
/** So many of them tell what is served here. */
const OURS = 3
/** Changes are gathered for this time. */
const GATHER_MS = 100
/** A server that does not answer is asked again so soon, one that does so late. */
const AGAIN_MS = 2_000
const RESYNC_MS = 30_000
const CHECK_TIMEOUT_MS = 5_000

export function createApiServiceKeeper(parts: KeeperParts): Component {
  return new ApiServiceKeeper(parts)
}

class ApiServiceKeeper implements Component {
  readonly name = 'api-services'
  readonly #parts: KeeperParts
  readonly #stopped = new AbortController()
  #watches: { close(): void }[] = []
  #timer: Timer | null = null
  #dueMs = Number.POSITIVE_INFINITY
  #running: Promise<void> | null = null
  #isStart = true
  #problem = ''

  constructor(parts: KeeperParts) {
    this.#parts = parts
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store } = this.#parts
    for (const prefix of FOLLOWED) this.#follow(prefix)
    this.#watches.push({
      close: store.onLeadership(({ leader }) => {
        this.#isStart = leader
        if (leader) this.#soon(GATHER_MS)
      }),
    })
    this.#soon(0)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#timer?.cancel()
    for (const watch of this.#watches) watch.close()
    this.#watches = []
    await this.#running
  }

  health() {
    return { ok: this.#problem === '', reason: this.#problem }
  }

  #follow(prefix: string): void {
    const { store } = this.#parts
    const isOurs = FOLLOWED.indexOf(prefix) < OURS
    const watch = store.watch(
      { start: prefix, end: prefixEnd(prefix), after: store.revision },
      {
        onEvents: () => {
          if (isOurs || this.#hasRemote()) this.#soon(GATHER_MS)
        },
        onClosed: () => {
          if (!this.#stopped.signal.aborted) this.#parts.clock.after(AGAIN_MS, () => this.#refollow(prefix))
        },
      },
    )
    this.#watches.push(watch)
  }

  #refollow(prefix: string): void {
    if (this.#stopped.signal.aborted) return
    this.#follow(prefix)
    this.#soon(0)
  }

  #hasRemote(): boolean {
    return this.#apiServices().some(object => remoteServiceOf(object) !== null)
  }

  #apiServices(): readonly KubeObject[] {
    return this.#parts.objects.list(GROUP, 'apiservices')
  }

  /** Runs after this time at the latest. */
  #soon(delayMs: number): void {
    const { clock, store } = this.#parts
    if (this.#stopped.signal.aborted || !store.leadership.leader) return
    const due = clock.monotonic() + delayMs
    if (this.#timer !== null && this.#dueMs <= due) return
    this.#timer?.cancel()
    this.#dueMs = due
    this.#timer = clock.after(delayMs, () => {
      this.#timer = null
      this.#dueMs = Number.POSITIVE_INFINITY
      if (this.#running !== null) {
        this.#soon(GATHER_MS)
        return
      }
      this.#running = this.#run().finally(() => {
        this.#running = null
      })
    })
  }

  async #run(): Promise<void> {
    const { store, log } = this.#parts
    if (!store.leadership.leader) return
    try {
      await this.#register()
      const isGood = await this.#checkAll()
      this.#problem = ''
      if (isGood !== null) this.#soon(isGood ? RESYNC_MS : AGAIN_MS)
    } catch (error) {
      if (this.#stopped.signal.aborted) return
      this.#problem = 'APIService objects cannot be written'
      log.warn('APIService objects could not be kept', { error })
      this.#soon(AGAIN_MS)
    }
  }

  async #register(): Promise<void> {
    const { objects, builtIn } = this.#parts
    const actions = planRegistration({
      builtIn,
      custom: customVersions(objects.list('apiextensions.k8s.io', 'customresourcedefinitions')),
      present: this.#apiServices(),
      isStart: this.#isStart,
    })
    await Promise.all(
      actions.map(action => {
        if (action.kind === 'delete') return this.#send('DELETE', action.name)
        const { name = '' } = action.object.metadata
        return action.kind === 'create'
          ? this.#send('POST', '', action.object)
          : this.#send('PUT', name, action.object)
      }),
    )
    this.#isStart = false
  }

  /** Null when there is nobody to ask. */
  async #checkAll(): Promise<boolean | null> {
    const remote = this.#apiServices().filter(object => remoteServiceOf(object) !== null)
    if (remote.length === 0) return null
    const results = await Promise.all(remote.map(object => this.#checkOne(object)))
    return results.every(isGood => isGood)
  }

  async #checkOne(object: KubeObject): Promise<boolean> {
    const { objects, aggregation, clock } = this.#parts
    const service = remoteServiceOf(object)
    if (service === null) return true
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(CHECK_TIMEOUT_MS)])
    const found = await availabilityOf(service, objects, () => aggregation.check(service, signal))
    this.#stopped.signal.throwIfAborted()
    const next = withAvailability(object, found, formatTime(clock.now()))
    if (next !== null) await this.#send('PUT', `${object.metadata.name}/status`, next)
    return found.status === 'True'
  }

  /** Somebody else who was faster is no problem: the next look finds what there is. */
  async #send(method: string, name: string, object?: KubeObject): Promise<void> {
    const { transport, store } = this.#parts
    const answer = await transport.request({
      method,
      path: name === '' ? COLLECTION : `${COLLECTION}/${name}`,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'user-agent': 'kube-apiserver/mk8s',
      },
      ...(object === undefined ? {} : { body: Buffer.from(JSON.stringify(object)) }),
      signal: this.#stopped.signal,
      term: store.leadership.term,
    })
    if (answer.status < 300 || answer.status === 404 || answer.status === 409) return
    const text = answer.body instanceof Uint8Array ? Buffer.from(answer.body).toString('utf8') : ''
    throw new Error(`${method} of an APIService was answered ${answer.status}: ${text.slice(0, 500)}`)
  }
}
