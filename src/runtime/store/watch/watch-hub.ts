/**
 * Hands each applied transaction to the watchers of its keys, in order and synchronously, so that nobody
 * sees a later state before an earlier event. A new watcher gets the kept history first: no gap.
 */
import { messageOf } from '../../../base/errors.ts'
import type { AppliedEvent } from '../mvcc/command.ts'
import { keyOf, revisionOf } from '../mvcc/history.ts'
import type { Revision, StoreEvent, Watch, WatchListener, WatchRequest } from '../store.ts'

interface Watcher {
  readonly start: string
  readonly end: string
  readonly listener: WatchListener
  /** Events at or below this revision are not for this watcher (any more). */
  seen: Revision
}

export interface WatchHubParts {
  readonly eventsAfter: (revision: Revision) => readonly AppliedEvent[]
  readonly revision: () => Revision
}

export class WatchHub {
  readonly #parts: WatchHubParts
  readonly #watchers = new Set<Watcher>()

  constructor(parts: WatchHubParts) {
    this.#parts = parts
  }

  get size(): number {
    return this.#watchers.size
  }

  watch(request: WatchRequest, listener: WatchListener): Watch {
    const missed = this.#parts.eventsAfter(request.after)
    const watcher: Watcher = { start: request.start, end: request.end, listener, seen: request.after }
    this.#watchers.add(watcher)
    this.#deliver(watcher, new Choice(missed), Math.max(request.after, this.#parts.revision()))
    return { close: () => void this.#watchers.delete(watcher) }
  }

  /** The events of one transaction; all share one revision. */
  publish(events: readonly AppliedEvent[]): void {
    const first = events[0]
    if (first === undefined) return
    const revision = revisionOf(first)
    const chosen = new Choice(events)
    for (const watcher of this.#watchers) this.#deliver(watcher, chosen, revision)
  }

  /** The state has jumped ahead: whoever cannot be given all events in between is told that the watch is over. */
  catchUp(): void {
    for (const watcher of [...this.#watchers]) {
      try {
        this.#deliver(watcher, new Choice(this.#parts.eventsAfter(watcher.seen)), this.#parts.revision())
      } catch (error) {
        this.#watchers.delete(watcher)
        watcher.listener.onClosed(error instanceof Error ? error : new Error(messageOf(error)))
      }
    }
  }

  closeAll(error: Error): void {
    const watchers = [...this.#watchers]
    this.#watchers.clear()
    for (const watcher of watchers) watcher.listener.onClosed(error)
  }

  #deliver(watcher: Watcher, choice: Choice, revision: Revision): void {
    const wanted = choice.of(watcher)
    watcher.seen = Math.max(watcher.seen, revision)
    if (wanted.length === 0) return
    try {
      watcher.listener.onEvents(wanted, revisionOf(wanted.at(-1) as AppliedEvent))
    } catch (error) {
      this.#watchers.delete(watcher)
      watcher.listener.onClosed(
        new Error(`the watch's listener failed: ${messageOf(error)}`, { cause: error }),
      )
    }
  }
}

/** Which events a watcher wants. Watchers of the same keys follow each other, and get one and the same list. */
class Choice {
  readonly #events: readonly AppliedEvent[]
  #last: (Pick<Watcher, 'start' | 'end' | 'seen'> & { readonly wanted: readonly StoreEvent[] }) | null = null

  constructor(events: readonly AppliedEvent[]) {
    this.#events = events
  }

  of({ start, end, seen }: Watcher): readonly StoreEvent[] {
    const last = this.#last
    if (last !== null && last.start === start && last.end === end && last.seen === seen) return last.wanted
    const wanted: StoreEvent[] = []
    for (const event of this.#events) {
      const key = keyOf(event)
      if (revisionOf(event) > seen && key >= start && key < end) wanted.push(event)
    }
    this.#last = { start, end, seen, wanted }
    return wanted
  }
}
