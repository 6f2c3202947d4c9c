/**
 * Pods that wait for a node: active ones by priority and age; unschedulable ones until something changes, and
 * not before their back-off is over.
 */
import { backoffMs } from '../../base/backoff.ts'
import type { Clock, Timer } from '../../base/clock.ts'

export interface Waiting {
  readonly key: string
  readonly priority: number
}

interface Entry extends Waiting {
  /** Order of arrival. */
  readonly sequence: number
  attempts: number
  lastAttemptMs: number
}

const BACKOFF = { baseMs: 1_000, maxMs: 10_000 } as const
/** Even when nothing seems to have changed, a pod is tried again after so long. */
const UNSCHEDULABLE_MS_MAX = 300_000

export class SchedulingQueue {
  readonly #clock: Clock
  readonly #onReady: () => void
  readonly #entries = new Map<string, Entry>()
  readonly #active = new Set<Entry>()
  readonly #timers = new Map<string, Timer>()
  #sequence = 0

  /** `onReady` is called when a pod becomes active. */
  constructor(parts: { readonly clock: Clock; readonly onReady: () => void }) {
    this.#clock = parts.clock
    this.#onReady = parts.onReady
  }

  /** New, or changed in a way that may help: tried at once. */
  add(waiting: Waiting): void {
    const known = this.#entries.get(waiting.key)
    const entry: Entry = {
      ...waiting,
      sequence: known?.sequence ?? this.#sequence++,
      attempts: known?.attempts ?? 0,
      lastAttemptMs: known?.lastAttemptMs ?? 0,
    }
    if (known !== undefined) this.#active.delete(known)
    this.#entries.set(entry.key, entry)
    this.#activate(entry)
  }

  remove(key: string): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#active.delete(entry)
    this.#entries.delete(key)
    this.#cancel(key)
  }

  /** The most important active pod, the oldest among equals. It stays known until removed. */
  take(): string | null {
    let best: Entry | null = null
    for (const entry of this.#active) {
      const isBetter =
        best === null ||
        entry.priority > best.priority ||
        (entry.priority === best.priority && entry.sequence < best.sequence)
      if (isBetter) best = entry
    }
    if (best === null) return null
    this.#active.delete(best)
    best.attempts += 1
    best.lastAttemptMs = this.#clock.monotonic()
    return best.key
  }

  /** No node fits: waits for `wake`. */
  parkUnschedulable(key: string): void {
    this.#schedule(key, UNSCHEDULABLE_MS_MAX)
  }

  /** The attempt failed for another reason: tried again after the back-off. */
  retry(key: string): void {
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#schedule(key, this.#remainingBackoffMs(entry))
  }

  /** Something changed in the cluster: whoever waits is tried when its back-off is over. */
  wake(isConcerned: (key: string) => boolean = () => true): void {
    for (const entry of this.#entries.values()) {
      if (this.#active.has(entry) || !this.#timers.has(entry.key) || !isConcerned(entry.key)) continue
      this.#schedule(entry.key, this.#remainingBackoffMs(entry))
    }
  }

  stop(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
    this.#active.clear()
    this.#entries.clear()
  }

  #remainingBackoffMs(entry: Entry): number {
    return entry.lastAttemptMs + backoffMs(BACKOFF, entry.attempts) - this.#clock.monotonic()
  }

  #schedule(key: string, delayMs: number): void {
    this.#cancel(key)
    const entry = this.#entries.get(key)
    if (entry === undefined) return
    if (delayMs <= 0) {
      this.#activate(entry)
      return
    }
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(key)
      const current = this.#entries.get(key)
      if (current !== undefined) this.#activate(current)
    })
    this.#timers.set(key, timer)
  }

  #activate(entry: Entry): void {
    this.#cancel(entry.key)
    this.#active.add(entry)
    this.#onReady()
  }

  #cancel(key: string): void {
    this.#timers.get(key)?.cancel()
    this.#timers.delete(key)
  }
}
