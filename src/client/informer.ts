/**
 * A reflector with its cache: lists a resource once, follows its watch, and lists again when the history is
 * gone. Readers get objects by key or index and must not change them.
 */
import { type BackoffConfig, backoffMs } from '../base/backoff.ts'
import { type Clock, sleep } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { KubeObject } from '../kube/object.ts'
import type { KubeClient, WatchEvent } from './kube-client.ts'
import { ObjectCache } from './object-cache.ts'
import type { ResourceRef } from './resources.ts'
import { shareParts } from './share-parts.ts'
import { isExpired } from './status-errors.ts'

export interface InformerParts<T extends KubeObject> {
  readonly client: KubeClient
  readonly resource: ResourceRef
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly namespace?: string | undefined
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Ask for PartialObjectMetadata. */
  readonly metadataOnly?: boolean | undefined
  /**
   * Lists take what the server has in memory, without asking the cluster whether that is the latest. For those who
   * know that it is recent enough.
   */
  readonly fromMemory?: boolean | undefined
  /** Drops what nobody reads, before the object is kept. May change and return its argument. */
  readonly transform?: ((object: T) => T) | undefined
}

/** Called with the new and the old object; null for "absent". */
export type ChangeListener<T> = (key: string, next: T | null, previous: T | null) => void

const BACKOFF: BackoffConfig = { baseMs: 250, maxMs: 30_000, jitter: 0.5 }
const LIST_PAGE_ITEMS = 500
/** A watch that lasted so long was fine even if nothing happened. */
const HEALTHY_WATCH_MS = 10_000
/** A write is expected in the cache within this time; after it the caller goes on and tries again. */
const CATCH_UP_MS_MAX = 5_000

/** `namespace/name`, or the name alone for cluster-wide objects. */
export function keyOf(object: {
  readonly metadata: { readonly namespace?: string; readonly name?: string }
}): string {
  const { namespace, name } = object.metadata
  return namespace ? `${namespace}/${name ?? ''}` : (name ?? '')
}

interface Waiter {
  readonly isDone: () => boolean
  readonly resolve: () => void
}

export class Informer<T extends KubeObject> {
  /** Resolves after the first complete list. */
  readonly synced: Promise<void>
  readonly resource: ResourceRef
  readonly #parts: InformerParts<T>
  readonly #cache = new ObjectCache<T>()
  readonly #listeners = new Set<ChangeListener<T>>()
  readonly #waiters = new Set<Waiter>()
  readonly #onSynced: () => void
  /** What objects that come share their parts with: often one of the same template. */
  #latest: T | null = null
  #isSynced = false
  #resourceVersion = ''
  #started = false

  constructor(parts: InformerParts<T>) {
    this.#parts = parts
    this.resource = parts.resource
    const { promise, resolve } = Promise.withResolvers<void>()
    this.synced = promise
    this.#onSynced = resolve
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  get size(): number {
    return this.#cache.size
  }

  get(key: string): T | undefined {
    return this.#cache.get(key)
  }

  list(): T[] {
    return this.#cache.list()
  }

  byIndex(name: string, value: string): T[] {
    return this.#cache.byIndex(name, value)
  }

  addIndex(name: string, valuesOf: (object: T) => readonly string[]): void {
    this.#cache.addIndex(name, valuesOf)
  }

  /** Present objects are not announced again: read `list()` after `synced`. Returns an unsubscribe. */
  onChange(listener: ChangeListener<T>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Lists and watches until the signal fires. */
  start(signal: AbortSignal): void {
    if (this.#started) return
    this.#started = true
    void this.#run(signal)
  }

  /** Resolves once the cache holds everything up to this revision, so that one's own writes are seen. */
  async caughtUp(resourceVersion: string | undefined, signal?: AbortSignal): Promise<void> {
    const target = Number(resourceVersion)
    if (!Number.isFinite(target)) return
    await this.until(() => Number(this.#resourceVersion) >= target, signal)
  }

  /** Resolves once `isDone` holds; it is asked again after every change. Rejects after some seconds. */
  async until(isDone: () => boolean, signal?: AbortSignal): Promise<void> {
    if (isDone()) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const waiter = { isDone, resolve }
    this.#waiters.add(waiter)
    const over = new AbortController()
    const signals = signal === undefined ? [over.signal] : [over.signal, signal]
    const late = sleep(this.#parts.clock, CATCH_UP_MS_MAX, AbortSignal.any(signals)).then(() => {
      throw new Error(`the cache of ${this.resource.resource} did not follow in time`)
    })
    try {
      await Promise.race([promise, late])
    } finally {
      this.#waiters.delete(waiter)
      late.catch(() => {})
      over.abort()
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      try {
        if (this.#resourceVersion === '') await this.#relist(signal)
        const startedMs = this.#parts.clock.monotonic()
        const events = await this.#follow(signal)
        const isHealthy = events > 0 || this.#parts.clock.monotonic() - startedMs > HEALTHY_WATCH_MS
        failures = isHealthy ? 0 : failures + 1
      } catch (error) {
        if (signal.aborted) return
        if (isExpired(error)) this.#resourceVersion = ''
        else this.#logFailure(error, failures)
        failures += 1
      }
      if (failures > 0) await this.#pause(failures, signal)
    }
  }

  #logFailure(error: unknown, failures: number): void {
    const { log, resource } = this.#parts
    const fields = { group: resource.group, resource: resource.resource, failures, error }
    if (failures < 3) log.debug('Following a resource failed and is tried again', fields)
    else log.warn('Following a resource keeps failing', fields)
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const delayMs = backoffMs(BACKOFF, failures, this.#parts.random)
    await sleep(this.#parts.clock, delayMs, signal).catch(() => {})
  }

  async #relist(signal: AbortSignal): Promise<void> {
    const { client, resource, namespace, labelSelector, fieldSelector, metadataOnly } = this.#parts
    const found = new Map<string, T>()
    const anyVersion = this.#parts.fromMemory ? { resourceVersion: '0' } : {}
    let token: string | undefined
    let resourceVersion = ''
    do {
      const selection = { namespace, labelSelector, fieldSelector, metadataOnly, signal, ...anyVersion }
      const page = await client.list<T>(resource, { ...selection, limit: LIST_PAGE_ITEMS, continue: token })
      for (const item of page.items) found.set(keyOf(item), this.#trim(item))
      resourceVersion = page.resourceVersion
      token = page.continue
    } while (token)
    this.#replace(found, resourceVersion)
  }

  #replace(found: ReadonlyMap<string, T>, resourceVersion: string): void {
    this.#resourceVersion = resourceVersion
    for (const key of this.#cache.keys()) {
      if (!found.has(key)) this.#put(key, null)
    }
    for (const [key, object] of found) {
      const known = this.#cache.get(key)
      if (known?.metadata.resourceVersion !== object.metadata.resourceVersion || known === undefined) {
        this.#put(key, object)
      }
    }
    this.#isSynced = true
    this.#onSynced()
    this.#wakeWaiters()
  }

  /** Takes events until the server ends the watch; returns how many there were. */
  async #follow(signal: AbortSignal): Promise<number> {
    let count = 0
    const { client, resource, namespace, labelSelector, fieldSelector, metadataOnly } = this.#parts
    const selection = { namespace, labelSelector, fieldSelector, metadataOnly }
    const resourceVersion = this.#resourceVersion
    const events = client.watch<T>(resource, { ...selection, resourceVersion, signal, allowBookmarks: true })
    for await (const event of events) {
      count += 1
      this.#take(event)
    }
    return count
  }

  #take(event: WatchEvent<T>): void {
    const { object } = event
    const resourceVersion = object.metadata.resourceVersion
    if (resourceVersion !== undefined) this.#resourceVersion = resourceVersion
    if (event.type === 'DELETED') this.#put(keyOf(object), null)
    else if (event.type !== 'BOOKMARK') this.#put(keyOf(object), this.#trim(object))
    this.#wakeWaiters()
  }

  #put(key: string, next: T | null): void {
    const kept = next === null ? null : shareParts(next, this.#cache.get(key) ?? this.#latest)
    if (kept !== null) this.#latest = kept
    const previous = this.#cache.put(key, kept)
    if (next === null && previous === null) return
    for (const listener of this.#listeners) listener(key, kept, previous)
  }

  #trim(object: T): T {
    // Not `delete`, which would leave a hash table of five times the size.
    const { managedFields: _, ...metadata } = object.metadata
    object.metadata = metadata
    return this.#parts.transform?.(object) ?? object
  }

  #wakeWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.isDone()) waiter.resolve()
  }
}
