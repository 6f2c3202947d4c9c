/**
 * Pods that wait for a node: active ones by priority and age; unschedulable ones until something changes that may
 * help them, and not before their back-off is over.
 */

import { type BackoffConfig, backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'
import { Heap } from './heap.ts'
import type { Plugin } from './profile.ts'

export interface Waiting {
  readonly key: string
  readonly priority: number
}

/** Where an entry is; a place in a heap that is no longer the entry's own counts for nothing. */
interface Place {
  readonly entry: Entry
  /** When it is to become active. */
  readonly dueMs: number
}

interface Entry {
  readonly key: string
  priority: number
  /** Order of arrival, or of the last failure. */
  sequence: number
  attempts: number
  lastAttemptMs: number
  /** Null while it is being tried. */
  place: Place | null
  /** Who objected to the last attempt; null when it was nobody's objection. */
  plugins: ReadonlySet<Plugin> | null
}

/** Even when nothing seems to have changed, a pod is tried again after so long. */
const UNSCHEDULABLE_MS_MAX = 300_000
const NOBODY: ReadonlySet<Plugin> = new Set()

export class SchedulingQueue {
  readonly #clock: Clock
  readonly #onReady: () => void
  readonly #backoff: BackoffConfig
  readonly #entries = new Map<string, Entry>()
  /** Those that only a change can help. */
  readonly #parked = new Set<Entry>()
  readonly #active = new Heap<Place>(
    (a, b) => b.entry.priority - a.entry.priority || a.entry.sequence - b.entry.sequence,
  )
  readonly #later = new Heap<Place>((a, b) => a.dueMs - b.dueMs)
  #timer: Timer | null = null
  #timerMs = Number.POSITIVE_INFINITY
  #sequence = 0

  /** `onReady` is called when a pod becomes active. */
  constructor(parts: {
    readonly clock: Clock
    readonly onReady: () => void
    readonly initialBackoffMs?: number
    readonly maxBackoffMs?: number
  }) {
    const { initialBackoffMs: baseMs = 1_000, maxBackoffMs: maxMs = 10_000 } = parts
    this.#backoff = { baseMs, maxMs }
    this.#clock = parts.clock
    this.#onReady = parts.onReady
  }

  /** New, or changed in a way that may help. */
  add({ key, priority }: Waiting): void {
    const known = this.#entries.get(key)
    if (known === undefined) {
      const sequence = this.#sequence++
      const entry = { key, priority, sequence, attempts: 0, lastAttemptMs: 0, place: null, plugins: null }
      this.#entries.set(key, entry)
      this.#activate(entry)
      return
    }
    known.priority = priority
    this.#schedule(known, this.#afterBackoffMs(known))
  }

  remove(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.place = null
    this.#parked.delete(entry)
    this.#entries.delete(key)
  }

  /** The most important active pod, the oldest among equals. It stays known until removed. */
  take(): string | null {
    for (let place = this.#active.pop(); place !== undefined; place = this.#active.pop()) {
      const { entry } = place
      if (entry.place !== place) continue
      entry.place = null
      entry.attempts += 1
      entry.lastAttemptMs = this.#clock.monotonic()
      return entry.key
    }
    return null
  }

  /** No node fits: waits for a `wake` that concerns those who objected. */
  parkUnschedulable(key: string, plugins: ReadonlySet<Plugin> = NOBODY): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.sequence = this.#sequence++
    entry.plugins = plugins
    this.#schedule(entry, this.#clock.monotonic() + UNSCHEDULABLE_MS_MAX)
    this.#parked.add(entry)
  }

  /** The attempt failed for another reason: tried again after the back-off. */
  retry(key: string): void {
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    entry.sequence = this.#sequence++
    this.#schedule(entry, this.#afterBackoffMs(entry))
  }

  /** Something changed in the cluster: whoever it may help is tried when its back-off is over. */
  wake(isConcerned: (key: string, plugins: ReadonlySet<Plugin>) => boolean = () => true): void {
    for (const entry of this.#parked) {
      if (!isConcerned(entry.key, entry.plugins ?? NOBODY)) continue
      this.#schedule(entry, this.#afterBackoffMs(entry))
    }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#active.clear()
    this.#later.clear()
    this.#parked.clear()
    this.#entries.clear()
  }

  #afterBackoffMs(entry: Entry): number {
    return entry.attempts === 0 ? 0 : entry.lastAttemptMs + backoffMs(this.#backoff, entry.attempts)
  }

  #schedule(entry: Entry, dueMs: number): void {
    this.#parked.delete(entry)
    if (dueMs <= this.#clock.monotonic()) {
      this.#activate(entry)
      return
    }
    entry.place = { entry, dueMs }
    this.#later.push(entry.place)
    this.#arm()
  }

  #activate(entry: Entry): void {
    this.#parked.delete(entry)
    entry.place = { entry, dueMs: 0 }
    this.#active.push(entry.place)
    this.#onReady()
  }

  /** One timer, for whoever is due first. */
  #arm(): void {
    let next = this.#later.peek()
    for (; next !== undefined && next.entry.place !== next; next = this.#later.peek()) this.#later.pop()
    if (next === undefined || next.dueMs >= this.#timerMs) return
    this.#timer?.cancel()
    this.#timerMs = next.dueMs
    this.#timer = this.#clock.after(next.dueMs - this.#clock.monotonic(), () => this.#onDue())
  }

  #onDue(): void {
    this.#timer = null
    this.#timerMs = Number.POSITIVE_INFINITY
    const nowMs = this.#clock.monotonic()
    for (let next = this.#later.peek(); next !== undefined; next = this.#later.peek()) {
      if (next.entry.place === next && next.dueMs > nowMs) break
      this.#later.pop()
      if (next.entry.place === next) this.#activate(next.entry)
    }
    this.#arm()
  }
}
