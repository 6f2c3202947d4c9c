/**
 * etcd's Watch service: many watches on one stream. Events wait while the client does not take them; a watch that
 * falls too far behind gives up its place and reads the kept history again when the client has caught up.
 */
import type { WireWriter } from '../../../base/wire-writer.ts'
import type { Revision, StoreEvent, Watch } from '../../store/store.ts'
import { type EtcdContext, newAnswer } from '../context.ts'
import { etcdErrors } from '../errors.ts'
import type { Method, StreamCall, StreamHandler } from '../grpc/call.ts'
import { type KeyRange, readKeyRange } from '../keys.ts'
import { encodeEvent, readWatchRequest, type WatchCreateRequest } from '../messages/watch-messages.ts'

/** Watches of one stream. */
const WATCHES_MAX = 10_000
/** Bytes that may wait in the stream before events wait in the watch. */
const UNSENT_BYTES_MAX = 1024 * 1024
/** Events that may wait in one watch before it gives up its place. */
const WAITING_EVENTS_MAX = 10_000
/** A message is cut behind the revision that takes it past this size. */
const MESSAGE_BYTES = 512 * 1024
/** How often a watch that asked for it is told of progress while nothing happens. */
const PROGRESS_MS = 10 * 60_000
/** The watch id of an answer that is about no single watch. */
const NO_WATCH = -1

export function watchMethods(context: EtcdContext): [string, Method][] {
  const open = (call: StreamCall) => new WatchStream(context, call)
  return [['/etcdserverpb.Watch/Watch', { kind: 'stream', open }]]
}

/** What an answer of the stream says besides header and events. */
interface WatchAnswer {
  readonly watchId: number
  readonly created?: boolean
  readonly canceled?: boolean
  readonly compactRevision?: Revision
  readonly reason?: string
  readonly fragment?: boolean
}

interface ActiveWatch {
  readonly id: number
  readonly request: WatchCreateRequest
  readonly range: KeyRange
  /** Null while it has given up its place. */
  store: Watch | null
  waiting: StoreEvent[]
  /** Everything up to here is in `waiting` or was sent. */
  seen: Revision
  /** Something was sent since the last round of progress. */
  active: boolean
}

class WatchStream implements StreamHandler {
  readonly #context: EtcdContext
  readonly #call: StreamCall
  readonly #watches = new Map<number, ActiveWatch>()
  #nextId = 0
  #flushScheduled = false
  #progressWanted = false
  #progressTimer: { cancel(): void } | null = null

  constructor(context: EtcdContext, call: StreamCall) {
    this.#context = context
    this.#call = call
    call.onDrain(() => this.#flush())
  }

  onMessage(bytes: Buffer): void {
    const request = readWatchRequest(bytes)
    if (request?.type === 'create') this.#create(request.create)
    else if (request?.type === 'cancel') this.#cancel(request.watchId)
    else if (request?.type === 'progress') {
      this.#progressWanted = true
      this.#flush()
    }
  }

  onClosed(): void {
    this.#progressTimer?.cancel()
    for (const watch of this.#watches.values()) watch.store?.close()
    this.#watches.clear()
  }

  #create(request: WatchCreateRequest): void {
    const range = this.#rangeOf(request)
    const refused = this.#refusalOf(request, range)
    if (range === null || refused !== null) {
      this.#send({ watchId: NO_WATCH, created: true, canceled: true, reason: refused ?? '' })
      return
    }
    const id = request.watchId !== 0 ? request.watchId : this.#freeId()
    const { revision } = this.#context.store
    const after = request.startRevision > 0 ? request.startRevision - 1 : revision
    const watch: ActiveWatch = {
      id,
      request,
      range,
      store: null,
      waiting: [],
      seen: after,
      active: false,
    }
    this.#watches.set(id, watch)
    this.#send({ watchId: id, created: true }, revision)
    this.#open(watch)
    if (request.progressNotify) this.#armProgress()
  }

  #rangeOf({ key, rangeEnd }: WatchCreateRequest): KeyRange | null {
    // An empty key stands for the first one there can be.
    const range = readKeyRange(key.length === 0 ? Buffer.from([0]) : key, rangeEnd)
    return range.start < range.end ? range : null
  }

  #refusalOf(request: WatchCreateRequest, range: KeyRange | null): string | null {
    if (range === null) return 'mvcc: watcher range is empty'
    if (request.watchId !== 0 && this.#watches.has(request.watchId)) {
      return 'mvcc: duplicate watch ID provided on the WatchStream'
    }
    if (!Number.isSafeInteger(request.watchId)) return 'mk8s: a watch id lies below 2^53'
    return this.#watches.size >= WATCHES_MAX ? `mk8s: a stream has at most ${WATCHES_MAX} watches` : null
  }

  #freeId(): number {
    while (this.#watches.has(this.#nextId)) this.#nextId++
    return this.#nextId++
  }

  #cancel(id: number): void {
    if (!this.#watches.has(id)) return
    this.#flush()
    this.#remove(id)
    this.#send({ watchId: id, canceled: true })
  }

  #remove(id: number): void {
    this.#watches.get(id)?.store?.close()
    this.#watches.delete(id)
  }

  /** Takes its place among the store's watches, behind what it has seen. */
  #open(watch: ActiveWatch): void {
    const { start, end } = watch.range
    const { store } = this.#context
    if (watch.seen < store.compactedRevision) {
      this.#remove(watch.id)
      const compactRevision = store.compactedRevision + 1
      const reason = etcdErrors.compacted().message
      this.#send({ watchId: watch.id, canceled: true, compactRevision, reason })
      return
    }
    watch.store = store.watch(
      { start, end, after: watch.seen },
      {
        onEvents: (events, revision) => this.#onEvents(watch, events, revision),
        onClosed: () => this.#call.end(etcdErrors.stopped()),
      },
    )
    watch.seen = Math.max(watch.seen, store.revision)
  }

  #onEvents(watch: ActiveWatch, events: readonly StoreEvent[], revision: Revision): void {
    if (watch.waiting.length + events.length > WAITING_EVENTS_MAX && watch.waiting.length > 0) {
      // These events are read again from the history.
      const [first] = events
      if (first !== undefined) watch.seen = Math.max(watch.seen, revisionOf(first) - 1)
      watch.store?.close()
      watch.store = null
      return
    }
    const { noPut, noDelete } = watch.request
    for (const event of events) {
      if (event.type === 'put' ? !noPut : !noDelete) watch.waiting.push(event)
    }
    watch.seen = revision
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    // Behind everything that is applied together, and in one write with the answers to it.
    queueMicrotask(() => {
      this.#flushScheduled = false
      this.#flush()
    })
  }

  /** Sends what waits, as far as the client takes it. */
  #flush(): void {
    for (const watch of this.#watches.values()) {
      while (watch.waiting.length > 0) {
        if (this.#call.unsentBytes > UNSENT_BYTES_MAX) return
        this.#sendEvents(watch)
        if (watch.waiting.length === 0 && watch.store === null) this.#open(watch)
      }
    }
    if (!this.#progressWanted) return
    this.#progressWanted = false
    this.#send({ watchId: NO_WATCH })
  }

  /** One message: events of whole revisions, or of a part of one for a client that puts fragments together. */
  #sendEvents(watch: ActiveWatch): void {
    const { prevKv, fragment } = watch.request
    const { waiting } = watch
    const parts: Buffer[] = []
    let bytes = 0
    let cut = false
    for (const [at, event] of waiting.entries()) {
      const previous = waiting[at - 1]
      const sameRevision = previous !== undefined && revisionOf(previous) === revisionOf(event)
      if (bytes >= MESSAGE_BYTES && (fragment || !sameRevision)) {
        cut = sameRevision
        break
      }
      const part = encodeEvent(event, prevKv)
      bytes += part.length
      parts.push(part)
    }
    watch.waiting = waiting.slice(parts.length)
    watch.active = true
    this.#send({ watchId: watch.id, fragment: cut }, undefined, parts)
  }

  #send(answer: WatchAnswer, revision?: Revision, events: readonly Buffer[] = []): void {
    const bytes = events.reduce((sum, event) => sum + event.length, 0)
    const writer: WireWriter = newAnswer(this.#context, revision, 128 + bytes)
    writer.int64(2, answer.watchId)
    writer.bool(3, answer.created ?? false)
    writer.bool(4, answer.canceled ?? false)
    writer.int64(5, answer.compactRevision ?? 0)
    writer.string(6, answer.reason ?? '')
    writer.bool(7, answer.fragment ?? false)
    for (const event of events) writer.raw(event)
    this.#call.send(writer)
  }

  #armProgress(): void {
    this.#progressTimer ??= this.#context.clock.after(PROGRESS_MS, () => {
      this.#progressTimer = null
      for (const watch of this.#watches.values()) {
        const idle = !watch.active && watch.waiting.length === 0 && watch.store !== null
        if (watch.request.progressNotify && idle) this.#send({ watchId: watch.id })
        watch.active = false
      }
      this.#armProgress()
    })
  }
}

function revisionOf(event: StoreEvent): Revision {
  return event.type === 'put' ? event.kv.modRevision : event.revision
}
