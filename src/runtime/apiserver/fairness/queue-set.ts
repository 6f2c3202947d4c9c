/**
 * Fair queuing of one priority level: requests wait in queues, and whoever has had the least work done for it so far
 * is next. A state machine without time or I/O of its own; `start` of a request is called when it gets its seats.
 *
 * Virtual time runs as fast as one queue would be served: seats in use divided by active queues. A queue's `nextR` is
 * the virtual time at which its next request would begin; a request that starts adds what it is expected to take, and
 * what it really took is put right when it ends.
 */
import { assert, must } from '../../../base/assert.ts'
import type { QueuesConfig } from './config.ts'
import { deal } from './shuffle-sharding.ts'

/** What a request is expected to take, until it has. */
const EXPECTED_SECONDS = 0.003
/** Of its seats a level keeps so many for requests of one seat: long lists would let a GET wait until one ends. */
const NARROW_SHARE = 0.1

export interface FairRequest {
  readonly hash: number
  readonly seats: number
  /** For dumps. */
  readonly schema: string
  readonly distinguisher: string
  readonly arrivedMs: number
  start(): void
}

export type Verdict = 'started' | 'waiting' | 'queue-full' | 'concurrency-limit'

export interface FairQueue {
  readonly waiting: FairRequest[]
  executing: number
  seats: number
  nextR: number
}

interface Started {
  readonly queue: FairQueue | null
  readonly seconds: number
}

const emptyQueue = (): FairQueue => ({ waiting: [], executing: 0, seats: 0, nextR: 0 })

export class QueueSet {
  #config: QueuesConfig | null
  #limit: number
  #queues: FairQueue[]
  /** Those of an earlier configuration, until they are empty. */
  #earlier: FairQueue[] = []
  #turn = 0
  #virtual = 0
  #seconds = 0
  readonly #started = new Map<FairRequest, Started>()
  readonly #places = new Map<FairRequest, FairQueue>()
  #seats = 0
  /** Those of requests of one seat. */
  #narrow = 0
  #seatsWaiting = 0
  /** Queues in which something waits or executes. */
  #active = 0

  constructor(config: QueuesConfig | null, limit: number) {
    this.#config = config
    this.#limit = limit
    this.#queues = Array.from({ length: config?.count ?? 0 }, emptyQueue)
  }

  get limit(): number {
    return this.#limit
  }
  get executing(): number {
    return this.#started.size
  }
  get seatsInUse(): number {
    return this.#seats
  }
  get waiting(): number {
    return this.#places.size
  }
  /** Seats that requests have or wait for. */
  get demand(): number {
    return this.#seats + this.#seatsWaiting
  }
  get queues(): readonly FairQueue[] {
    return [...this.#queues, ...this.#earlier]
  }

  configure(config: QueuesConfig | null, limit: number, seconds: number): void {
    this.#advance(seconds)
    this.#limit = limit
    const before = this.#config
    this.#config = config
    if (before?.count !== config?.count) {
      this.#earlier = this.queues.filter(isActive)
      this.#queues = Array.from({ length: config?.count ?? 0 }, emptyQueue)
    }
    this.#startWhatFits()
  }

  arrive(request: FairRequest, seconds: number): Verdict {
    this.#advance(seconds)
    const config = this.#config
    if (config === null) {
      if (!this.#fits(request)) return 'concurrency-limit'
      this.#start(request, null)
      return 'started'
    }
    const queue = this.#choose(request, config)
    const isFull = queue.waiting.length >= config.lengthLimit
    if (isFull && !this.#fits(request)) return 'queue-full'
    if (!isActive(queue)) {
      queue.nextR = this.#virtual
      this.#active += 1
    }
    if (this.#places.size === 0 && this.#fits(request)) {
      this.#start(request, queue)
      return 'started'
    }
    queue.waiting.push(request)
    this.#places.set(request, queue)
    this.#seatsWaiting += request.seats
    this.#startWhatFits()
    return this.#started.has(request) ? 'started' : 'waiting'
  }

  /** The request has ended. */
  finish(request: FairRequest, seconds: number): void {
    this.#advance(seconds)
    const started = this.#started.get(request)
    assert(started !== undefined, 'a request that ends was started')
    this.#started.delete(request)
    this.#seats -= request.seats
    if (isNarrow(request)) this.#narrow -= 1
    const { queue } = started
    if (queue !== null) {
      queue.executing -= 1
      queue.seats -= request.seats
      queue.nextR -= (EXPECTED_SECONDS - (seconds - started.seconds)) * request.seats
      if (!isActive(queue)) this.#active -= 1
    }
    if (this.#earlier.length > 0) this.#earlier = this.#earlier.filter(isActive)
    this.#startWhatFits()
  }

  /** It waits no longer. Whether it did. */
  cancel(request: FairRequest, seconds: number): boolean {
    this.#advance(seconds)
    const queue = this.#places.get(request)
    if (queue === undefined) return false
    this.#leave(request, queue)
    if (!isActive(queue)) this.#active -= 1
    this.#startWhatFits()
    return true
  }

  #leave(request: FairRequest, queue: FairQueue): void {
    queue.waiting.splice(queue.waiting.indexOf(request), 1)
    this.#places.delete(request)
    this.#seatsWaiting -= request.seats
  }

  /** A request wider than everything runs alone. */
  #fits(request: FairRequest): boolean {
    const kept = isNarrow(request) ? 0 : Math.max(0, this.#keptForNarrow - this.#narrow)
    return this.#seats === 0 || this.#seats + request.seats + kept <= this.#limit
  }

  get #keptForNarrow(): number {
    return Math.floor(this.#limit * NARROW_SHARE)
  }

  #choose({ hash }: FairRequest, { count, handSize }: QueuesConfig): FairQueue {
    let best: FairQueue | null = null
    let least = Number.POSITIVE_INFINITY
    for (const index of deal(hash, count, handSize)) {
      const queue = must(this.#queues[index], 'a queue of the hand')
      const load = queue.seats + queue.waiting.reduce((sum, { seats }) => sum + seats, 0)
      if (load >= least) continue
      least = load
      best = queue
    }
    return must(best, 'a queue')
  }

  #advance(seconds: number): void {
    const passed = seconds - this.#seconds
    this.#seconds = seconds
    if (passed <= 0 || this.#active === 0) return
    this.#virtual += (passed * Math.min(this.demand, this.#limit)) / this.#active
  }

  #startWhatFits(): void {
    while (this.#places.size > 0) {
      const first = this.#next(() => true)
      const queue = this.#startable(first) ?? this.#startable(this.#overtaking(first))
      if (queue === null) return
      const request = must(queue.waiting[0], 'a request that waits')
      this.#leave(request, queue)
      this.#start(request, queue)
    }
  }

  #startable(queue: FairQueue | null): FairQueue | null {
    const request = queue?.waiting[0]
    return request !== undefined && this.#fits(request) ? queue : null
  }

  /**
   * While a wide request waits for seats, those of one seat go on in what is kept for them; not before one that
   * needs these seats as well, which would wait for ever.
   */
  #overtaking(first: FairQueue | null): FairQueue | null {
    const kept = this.#keptForNarrow
    const wide = first?.waiting[0]?.seats ?? 0
    return this.#narrow < kept && wide <= this.#limit - kept ? this.#next(isNarrow) : null
  }

  #start(request: FairRequest, queue: FairQueue | null): void {
    this.#started.set(request, { queue, seconds: this.#seconds })
    this.#seats += request.seats
    if (isNarrow(request)) this.#narrow += 1
    if (queue !== null) {
      queue.executing += 1
      queue.seats += request.seats
      queue.nextR += EXPECTED_SECONDS * request.seats
    }
    request.start()
  }

  /** The queue whose first request would end first, of those asked for; among equals they take turns. */
  #next(isAskedFor: (request: FairRequest) => boolean): FairQueue | null {
    const queues = this.queues
    let best: FairQueue | null = null
    let earliest = Number.POSITIVE_INFINITY
    let bestAt = this.#turn
    for (let step = 1; step <= queues.length; step++) {
      const at = (this.#turn + step) % queues.length
      const queue = must(queues[at], 'a queue')
      const first = queue.waiting[0]
      if (first === undefined || !isAskedFor(first)) continue
      const end = queue.nextR + EXPECTED_SECONDS * first.seats
      if (end >= earliest) continue
      earliest = end
      best = queue
      bestAt = at
    }
    this.#turn = bestAt
    return best
  }
}

const isNarrow = ({ seats }: FairRequest): boolean => seats <= 1

const isActive = (queue: FairQueue): boolean => queue.waiting.length > 0 || queue.executing > 0
