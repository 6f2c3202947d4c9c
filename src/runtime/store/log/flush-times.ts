/** How long the disk takes to flush: for the timers, for people, and as a histogram for metrics. */
import { SlowDelay } from '../../raft/timing.ts'

/** Upper bounds in seconds, as etcd has them for the same thing: 1 ms and so many doublings. */
export const FLUSH_BUCKETS: readonly number[] = Array.from(
  { length: 14 },
  (_, doublings) => 0.001 * 2 ** doublings,
)
/** The last flushes, of which the median and the worst are told. */
const RECENT_MAX = 128

/** Counts since the log was opened. */
export interface FlushHistogram {
  /** Flushes up to each of FLUSH_BUCKETS, and behind it those that took longer; not cumulative. */
  readonly counts: readonly number[]
  readonly sumSeconds: number
}

export class FlushTimes {
  readonly #counts: number[] = Array.from({ length: FLUSH_BUCKETS.length + 1 }, () => 0)
  readonly #slow = new SlowDelay()
  readonly #recent: number[] = []
  #next = 0
  #sumMs = 0
  #begunAt: number | null = null

  /** When the write under way began; null when none is. */
  get begunAt(): number | null {
    return this.#begunAt
  }

  /** What a slow one takes. */
  get slowMs(): number {
    return this.#slow.ms
  }

  get medianMs(): number {
    return [...this.#recent].sort((a, b) => a - b)[Math.floor(this.#recent.length / 2)] ?? 0
  }

  get worstMs(): number {
    return Math.max(0, ...this.#recent)
  }

  get histogram(): FlushHistogram {
    return { counts: [...this.#counts], sumSeconds: this.#sumMs / 1000 }
  }

  begin(now: number): void {
    this.#begunAt = now
  }

  end(now: number): void {
    const took = now - (this.#begunAt ?? now)
    this.#begunAt = null
    this.#slow.add(took)
    this.#recent[this.#next] = took
    this.#next = (this.#next + 1) % RECENT_MAX
    const bucket = FLUSH_BUCKETS.findIndex(bound => took <= bound * 1000)
    const at = bucket === -1 ? FLUSH_BUCKETS.length : bucket
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sumMs += took
  }
}
