/** What one watcher saw: every event of its keys, in order, from where it began, without gap or duplicate. */
import { revisionOf } from '../../../src/runtime/store/mvcc/history.ts'
import type { StoreEvent } from '../../../src/runtime/store/store.ts'
import { Violation } from '../world.ts'
import { keyOf } from './checkers.ts'

/** All that happened, in order; it may still grow. */
export interface FullHistory {
  readonly events: readonly StoreEvent[]
}

export class WatchChecker {
  readonly #history: FullHistory
  readonly #prefix: string
  /** How many of all events were looked at. */
  #position = 0
  seen: number
  delivered = 0

  constructor(history: FullHistory, prefix: string, after: number) {
    this.#history = history
    this.#prefix = prefix
    this.seen = after
    this.#skipTo(after)
  }

  /** History was compacted, so it begins again somewhere later. */
  beginAgain(after: number): void {
    this.seen = Math.max(this.seen, after)
    this.#skipTo(this.seen)
  }

  #skipTo(revision: number): void {
    const { events } = this.#history
    while (this.#position < events.length && at(events[this.#position]) <= revision) this.#position++
  }

  take(events: readonly StoreEvent[], revision: number): void {
    for (const event of events) {
      const expected = this.#next()
      if (expected === undefined)
        throw new Violation(`a watcher saw revision ${at(event)}, which never happened`)
      if (describe(expected) !== describe(event)) {
        throw new Violation(`a watcher saw ${describe(event)} where ${describe(expected)} was next`)
      }
      this.delivered++
    }
    this.seen = Math.max(this.seen, revision)
  }

  #next(): StoreEvent | undefined {
    const { events } = this.#history
    while (this.#position < events.length) {
      const event = events[this.#position++] as StoreEvent
      if (keyOf(event).startsWith(this.#prefix)) return event
    }
    return undefined
  }
}

function at(event: StoreEvent | undefined): number {
  return event ? revisionOf({ ...event, sequence: 0 }) : 0
}

function describe(event: StoreEvent): string {
  return event.type === 'put'
    ? `${at(event)} ${event.kv.key}=${event.kv.value}`
    : `${at(event)} ${event.key} deleted`
}
