/**
 * WATCH: the present state as ADDED events where the request asks for it, then every change, in order and
 * without a gap, with bookmarks; a watcher that reads too slowly is cut off and comes back with its revision.
 */
import type { Timer } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import type { BodySink, KubeResponse, PushedBody } from '../../../client/transport.ts'
import { formatFieldSelector } from '../../../kube/field-selector.ts'
import {
  resourceVersionExpired,
  resourceVersionTooLarge,
  type StatusError,
  statusErrorFrom,
} from '../../../kube/status.ts'
import { type KeyValue, prefixEnd, type StoreEvent } from '../../store/store.ts'
import { prepareEntries } from '../storage/encoding.ts'
import type { Matcher } from '../storage/selection.ts'
import { collectionPrefix } from '../storage/served-resource.ts'
import { PARTIAL_API_VERSION } from '../views/partial-metadata.ts'
import { defaultTable, renderTable } from '../views/table.ts'
import type { View } from '../views/view.ts'
import { parseWatchOptions, type WatchOptions } from './list-options.ts'
import { negotiated, type RequestScope, viewOf } from './scope.ts'
import { waitForRevision } from './wait-for-revision.ts'
import { WatchQueue } from './watch-queue.ts'

const BOOKMARK_INTERVAL_MS = 60_000
/** A watch without timeoutSeconds ends after between one and two of these, as upstream. */
const TIMEOUT_MIN_MS = 1_800_000
const INITIAL_EVENTS_END = 'k8s.io/initial-events-end'
/** So many events may wait for a webhook to convert them. */
const CONVERTING_MAX = 10_000
/** Initial events are encoded in portions of about so many bytes. */
const PORTION_BYTES = 128 * 1024

/** Where a watch begins: with the state (`initial`) or right behind a revision. */
interface WatchStart {
  readonly initial: boolean
  readonly after: number
  /** Why it does not begin: the only event of such a watch. */
  readonly refused?: StatusError
}

async function startOf(scope: RequestScope, options: WatchOptions): Promise<WatchStart> {
  const { store, clock } = scope.context
  const version = options.resourceVersion
  const listed = options.sendInitialEvents === true
  if (version === null || (version === 0 && listed)) {
    if (version === null) await store.barrier(scope.signal)
    return { initial: options.sendInitialEvents !== false, after: store.revision }
  }
  if (version === 0) return { initial: options.sendInitialEvents !== false, after: store.revision }
  if (!listed) return { initial: false, after: version }
  const reached = await waitForRevision(store, clock, version)
  const refused = reached ? {} : { refused: resourceVersionTooLarge(version, store.revision) }
  return { ...refused, initial: true, after: store.revision }
}

/** `/watch/…/name` watches the one object. */
function withName(name: string, options: WatchOptions): WatchOptions {
  if (name === '') return options
  const own = formatFieldSelector([{ field: 'metadata.name', operator: '=', value: name }])
  const fieldSelector = options.fieldSelector === '' ? own : `${own},${options.fieldSelector}`
  return { ...options, fieldSelector }
}

export async function watch(scope: RequestScope): Promise<KubeResponse> {
  const view = viewOf(scope, negotiated(scope, { isWatch: true }))
  const options = withName(scope.info.name, parseWatchOptions(scope.query))
  const matcher = scope.context.selection.matcher(scope.resource, options)
  const start = await startOf(scope, options)
  return {
    status: 200,
    headers: { 'content-type': view.encoding.streamType, 'cache-control': 'no-cache, private' },
    body: new WatchSession({ scope, view, options, matcher, start }).open(),
  }
}

interface SessionParts {
  readonly scope: RequestScope
  readonly view: View
  readonly options: WatchOptions
  readonly matcher: Matcher | null
  readonly start: WatchStart
}

/** One watch from its first event to its end. */
class WatchSession {
  readonly #parts: SessionParts
  readonly #queue = new WatchQueue()
  /** Events of custom resources wait here for a webhook, in order. */
  #converting: Promise<void> | null = null
  #behind = 0

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  /** Registers at once, so that nothing is missed before the body is read. */
  open(): AsyncIterable<Uint8Array> {
    const { scope, start } = this.#parts
    if (start.refused !== undefined) return this.#refuse(start.refused)
    const { store } = scope.context
    const prefix = collectionPrefix(scope.resource, scope.info.namespace)
    const range = { start: prefix, end: prefixEnd(prefix) }
    let entries: readonly KeyValue[] = []
    let after = start.after
    if (start.initial) {
      const state = store.range(range)
      entries = state.entries
      after = state.revision
    }
    try {
      const watching = store.watch(
        { ...range, after },
        {
          onEvents: events => this.#onEvents(events),
          onClosed: () => this.#queue.end(),
        },
      )
      this.#endWith(() => watching.close())
    } catch (error) {
      this.#queue.push(this.#event('ERROR', tooOld(error, after, store.compactedRevision).status))
      this.#queue.end()
    }
    return this.#stream(entries, after)
  }

  async *#refuse(error: StatusError): AsyncGenerator<Uint8Array> {
    yield this.#event('ERROR', error.status)
  }

  #onEvents(events: readonly StoreEvent[]): void {
    const preparing = this.#prepare(events)
    if (preparing === null) this.#push(events)
    else this.#pushAfter(preparing, events)
  }

  #pushAfter(preparing: Promise<void>, events: readonly StoreEvent[]): void {
    this.#behind += events.length
    if (this.#behind > CONVERTING_MAX) {
      this.#queue.end()
      return
    }
    this.#converting = preparing
      .then(() => this.#push(events))
      .catch(error => {
        this.#queue.push(this.#event('ERROR', statusErrorFrom(error).status))
        this.#queue.end()
      })
      .finally(() => {
        this.#behind -= events.length
        if (this.#behind === 0) this.#converting = null
      })
  }

  /** What has to happen before the events can be shown: a webhook converts, or earlier ones are still at it. */
  #prepare(events: readonly StoreEvent[]): Promise<void> | null {
    const { custom } = this.#parts.scope.resource
    if (custom === undefined) return null
    const entries = events.flatMap(event => [
      ...(event.type === 'put' ? [event.kv] : []),
      ...(event.previous === null ? [] : [event.previous]),
    ])
    const preparing = custom.codec.prepare(entries)
    if (this.#converting === null) return preparing
    return this.#converting.then(() => preparing ?? undefined)
  }

  #push(events: readonly StoreEvent[]): void {
    for (const event of events) {
      const line = this.#lineOf(event)
      if (line !== null) this.#queue.push(line)
    }
  }

  /** What a change is to this watcher: an object can enter and leave its selection. */
  #lineOf(event: StoreEvent): Buffer | null {
    const { matcher } = this.#parts
    const { previous } = event
    const before = previous !== null && (matcher === null || matcher(previous))
    if (event.type === 'delete')
      return before ? this.#encode('DELETED', event.previous, event.revision) : null
    const { kv } = event
    if (matcher === null || matcher(kv))
      return this.#encode(before ? 'MODIFIED' : 'ADDED', kv, kv.modRevision)
    return before && previous !== null ? this.#encode('DELETED', previous, kv.modRevision) : null
  }

  #encode(type: 'ADDED' | 'MODIFIED' | 'DELETED', kv: KeyValue, revision: number): Buffer {
    const { scope, view } = this.#parts
    const now = view.form === 'table' ? { ...view, nowMs: scope.context.clock.now() } : view
    return scope.context.watchEvents.encode(scope.resource, type, kv, revision, now)
  }

  /** Timers and signals; `close` runs once, when the queue ends for whatever reason. */
  #endWith(close: () => void): void {
    const { scope, options } = this.#parts
    const { clock, random } = scope.context
    const end = () => this.#queue.end()
    const seconds = options.timeoutSeconds ?? 0
    const timeoutMs = seconds > 0 ? seconds * 1000 : TIMEOUT_MIN_MS * (1 + random.float())
    const timeout = clock.after(timeoutMs, end)
    let bookmark: Timer | null = null
    const schedule = () => {
      bookmark = clock.after(BOOKMARK_INTERVAL_MS, () => {
        this.#queue.push(this.#bookmark(scope.context.store.revision, {}))
        schedule()
      })
    }
    if (options.allowBookmarks) schedule()
    const gone = scope.resource.custom?.gone
    scope.signal.addEventListener('abort', end, { once: true })
    gone?.addEventListener('abort', end, { once: true })
    this.#queue.onEnd(() => {
      close()
      timeout.cancel()
      bookmark?.cancel()
      scope.signal.removeEventListener('abort', end)
      gone?.removeEventListener('abort', end)
    })
    if (scope.signal.aborted || gone?.aborted) end()
  }

  #event(type: string, object: unknown): Buffer {
    const { encoding } = this.#parts.view
    return encoding.event(type, [encoding.encode(object)])
  }

  /** "You have seen everything up to here": an object of the watched kind with a revision only. */
  #bookmark(revision: number, annotations: Readonly<Record<string, string>>): Buffer {
    const { scope, view } = this.#parts
    const { resource } = scope
    const metadata = {
      resourceVersion: String(revision),
      creationTimestamp: null,
      ...(Object.keys(annotations).length > 0 ? { annotations } : {}),
    }
    const partial = view.form === 'partial-metadata'
    const kind = partial ? 'PartialObjectMetadata' : resource.info.kind
    const apiVersion = partial ? PARTIAL_API_VERSION : resource.apiVersion
    const object = { kind, apiVersion, metadata }
    if (view.form !== 'table') return this.#event('BOOKMARK', object)
    const options = {
      spec: resource.strategy.table ?? defaultTable,
      include: view.include,
      nowMs: view.nowMs,
    }
    return this.#event('BOOKMARK', renderTable([], metadata, options))
  }

  #stream(entries: readonly KeyValue[], after: number): PushedBody {
    return {
      [Symbol.asyncIterator]: () => this.#pieces(entries, after),
      pushTo: sink => this.#pushTo(sink, entries, after),
    }
  }

  async *#pieces(entries: readonly KeyValue[], after: number): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#beginning(entries, after)
      for (;;) {
        const portion = await this.#queue.take()
        if (portion === null) return
        yield portion
      }
    } finally {
      this.#queue.end()
    }
  }

  async #pushTo(sink: BodySink, entries: readonly KeyValue[], after: number): Promise<void> {
    try {
      for await (const portion of this.#beginning(entries, after)) {
        if (!sink.write(portion)) await sink.drained()
        if (this.#parts.scope.signal.aborted) return
      }
      await this.#queue.pushTo(sink)
    } finally {
      this.#queue.end()
    }
  }

  async *#beginning(entries: readonly KeyValue[], after: number): AsyncGenerator<Uint8Array> {
    const { options, scope } = this.#parts
    await prepareEntries(scope.resource, entries)
    for (const portion of this.#initialEvents(entries)) {
      yield portion
      await scope.context.bigLists.turn()
    }
    if (options.sendInitialEvents === true && options.allowBookmarks) {
      yield this.#bookmark(after, { [INITIAL_EVENTS_END]: 'true' })
    }
  }

  *#initialEvents(entries: readonly KeyValue[]): Generator<Uint8Array> {
    const { matcher } = this.#parts
    let lines: Buffer[] = []
    let bytes = 0
    for (const kv of entries) {
      if (matcher !== null && !matcher(kv)) continue
      const line = this.#encode('ADDED', kv, kv.modRevision)
      lines.push(line)
      bytes += line.length
      if (bytes < PORTION_BYTES) continue
      yield Buffer.concat(lines, bytes)
      lines = []
      bytes = 0
    }
    if (bytes > 0) yield Buffer.concat(lines, bytes)
  }
}

function tooOld(error: unknown, after: number, compacted: number): StatusError {
  if (!(error instanceof Mk8sError) || error.code !== 'store/compacted') throw error
  return resourceVersionExpired(`too old resource version: ${after} (${compacted})`)
}
