/** One priority level at work: its queues, how many seats it may use right now, and what has been counted. */
import type { Clock } from '../../../base/clock.ts'
import { tooManyRequests } from '../../../kube/status.ts'
import { SeatDemand } from './borrowing.ts'
import type { LevelConfig } from './config.ts'
import { type FairRequest, QueueSet } from './queue-set.ts'

/** A quarter of what a request may take altogether, as upstream's. */
const WAIT_MAX_MS = 15_000
const WAIT_BOUNDS = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30]

export interface Flow {
  readonly schema: string
  readonly distinguisher: string
  readonly hash: number
  readonly seats: number
}

export type Refusal = 'queue-full' | 'concurrency-limit' | 'time-out' | 'cancelled'

/** Gives the seats back; once. */
export type Leave = () => void

/** Counted per flow schema; bounded by the number of schemas. */
export interface FlowCounts {
  dispatched: number
  waiting: number
  executing: number
  readonly refused: Map<Refusal, number>
}

export class PriorityLevel {
  readonly #clock: Clock
  config: LevelConfig
  readonly queues: QueueSet
  readonly demand = new SeatDemand()
  smooth = 0
  readonly counts = { dispatched: 0, rejected: 0, timedOut: 0, cancelled: 0 }
  readonly flows = new Map<string, FlowCounts>()
  readonly waits = { bounds: WAIT_BOUNDS, counts: WAIT_BOUNDS.concat(0).map(() => 0), sum: 0 }

  constructor(config: LevelConfig, clock: Clock) {
    this.#clock = clock
    this.config = config
    this.queues = new QueueSet(config.isExempt ? null : config.queues, limitAtFirst(config))
  }

  configure(config: LevelConfig): void {
    this.config = config
    this.limit(limitAtFirst(config))
  }

  limit(seats: number): void {
    const { isExempt, queues } = this.config
    this.queues.configure(isExempt ? null : queues, seats, this.#seconds())
  }

  nowMs(): number {
    return this.#clock.monotonic()
  }

  /** At once when there is a seat; throws 429 when there is none and none to wait for. */
  enter(flow: Flow, signal: AbortSignal | undefined): Leave | Promise<Leave> {
    const arrivedMs = this.nowMs()
    let onStart: (() => void) | null = null
    const request: FairRequest = { ...flow, arrivedMs, start: () => onStart?.() }
    const counts = this.#countsOf(flow.schema)
    const verdict = this.queues.arrive(request, arrivedMs / 1000)
    this.demand.set(this.queues.demand, arrivedMs / 1000)
    if (verdict === 'started') return this.#started(request, counts)
    if (verdict !== 'waiting') throw this.#refuse(counts, verdict)
    counts.waiting += 1
    return new Promise((resolve, reject) => {
      const stop = () => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
        counts.waiting -= 1
      }
      const giveUp = (why: Refusal) => {
        if (!this.queues.cancel(request, this.#seconds())) return
        this.demand.set(this.queues.demand, this.#seconds())
        stop()
        reject(this.#refuse(counts, why))
      }
      const onAbort = () => giveUp('cancelled')
      const timer = this.#clock.after(WAIT_MAX_MS, () => giveUp('time-out'))
      signal?.addEventListener('abort', onAbort, { once: true })
      onStart = () => {
        stop()
        resolve(this.#started(request, counts))
      }
      if (signal?.aborted) onAbort()
    })
  }

  #seconds(): number {
    return this.nowMs() / 1000
  }

  #started(request: FairRequest, counts: FlowCounts): Leave {
    this.counts.dispatched += 1
    counts.dispatched += 1
    counts.executing += 1
    this.#waited((this.nowMs() - request.arrivedMs) / 1000)
    let hasLeft = false
    return () => {
      if (hasLeft) return
      hasLeft = true
      counts.executing -= 1
      const seconds = this.#seconds()
      this.queues.finish(request, seconds)
      this.demand.set(this.queues.demand, seconds)
    }
  }

  #waited(seconds: number): void {
    let bucket = 0
    while (bucket < WAIT_BOUNDS.length && seconds > (WAIT_BOUNDS[bucket] ?? 0)) bucket += 1
    this.waits.counts[bucket] = (this.waits.counts[bucket] ?? 0) + 1
    this.waits.sum += seconds
  }

  #refuse(counts: FlowCounts, why: Refusal): Error {
    counts.refused.set(why, (counts.refused.get(why) ?? 0) + 1)
    if (why === 'time-out') this.counts.timedOut += 1
    else if (why === 'cancelled') this.counts.cancelled += 1
    else this.counts.rejected += 1
    return tooManyRequests('Too many requests, please try again later.')
  }

  #countsOf(schema: string): FlowCounts {
    let counts = this.flows.get(schema)
    if (counts === undefined) {
      counts = { dispatched: 0, waiting: 0, executing: 0, refused: new Map() }
      this.flows.set(schema, counts)
    }
    return counts
  }
}

const limitAtFirst = ({ isExempt, nominal }: LevelConfig): number =>
  isExempt ? Number.POSITIVE_INFINITY : Math.max(1, nominal)
