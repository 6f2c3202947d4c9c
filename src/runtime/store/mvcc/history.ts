/**
 * The events since the last compaction, in order. One structure serves both watches (events after a revision)
 * and reads at an old revision (undo the events after it).
 */
import type { KeyValue, Revision } from '../store.ts'
import type { AppliedEvent } from './command.ts'

/** What an event takes beside values: itself, its key and its entry. */
const EVENT_BYTES = 400

/** An event is there for the value that it made old: the present ones would be kept without any history. */
const bytesOf = ({ previous }: AppliedEvent): number => EVENT_BYTES + (previous?.value.length ?? 0)

export class History {
  #events: AppliedEvent[] = []
  #bytes = 0

  get length(): number {
    return this.#events.length
  }

  /** About what all of it takes in memory. */
  get bytes(): number {
    return this.#bytes
  }

  append(event: AppliedEvent): void {
    this.#events.push(event)
    this.#bytes += bytesOf(event)
  }

  /** The last revision to forget so that not more than `bytes` are left; null when there are not more. */
  revisionBefore(bytes: number): Revision | null {
    let left = this.#bytes
    let revision: Revision | null = null
    for (const event of this.#events) {
      if (left <= bytes) break
      left -= bytesOf(event)
      revision = revisionOf(event)
    }
    return revision
  }

  /** The events with a revision greater than `revision`, oldest first. */
  after(revision: Revision): readonly AppliedEvent[] {
    return this.#events.slice(this.#firstAfter(revision))
  }

  /**
   * What [start, end) held at `revision` for every key that changed since: null where the key was absent.
   */
  undo(revision: Revision, start: string, end: string): Map<string, KeyValue | null> {
    const before = new Map<string, KeyValue | null>()
    const first = this.#firstAfter(revision)
    for (let index = this.#events.length - 1; index >= first; index--) {
      const event = this.#events[index] as AppliedEvent
      const key = keyOf(event)
      if (key >= start && key < end) before.set(key, event.previous)
    }
    return before
  }

  /** Forgets the events at and below `revision`; returns the sequence number of the last one forgotten. */
  forget(revision: Revision): number | null {
    const first = this.#firstAfter(revision)
    if (first === 0) return null
    const last = this.#events[first - 1] as AppliedEvent
    for (let index = 0; index < first; index++) this.#bytes -= bytesOf(this.#events[index] as AppliedEvent)
    this.#events = this.#events.slice(first)
    return last.sequence
  }

  #firstAfter(revision: Revision): number {
    let low = 0
    let high = this.#events.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (revisionOf(this.#events[middle] as AppliedEvent) <= revision) low = middle + 1
      else high = middle
    }
    return low
  }
}

export function keyOf(event: AppliedEvent): string {
  return event.type === 'put' ? event.kv.key : event.key
}

export function revisionOf(event: AppliedEvent): Revision {
  return event.type === 'put' ? event.kv.modRevision : event.revision
}
