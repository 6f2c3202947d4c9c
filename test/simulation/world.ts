/**
 * Virtual time: one heap of events, one stream of chance per concern, so that a seed replays exactly and a new
 * use of chance in one place does not change all others.
 */
import type { Timer } from '../../src/base/clock.ts'
import { type Random, seededRandom } from '../../src/base/random.ts'

interface Event {
  readonly time: number
  readonly order: number
  run: (() => void) | null
}

export class Violation extends Error {
  override readonly name = 'Violation'
}

export class World {
  readonly seed: number
  readonly #streams = new Map<string, Random>()
  readonly #heap: Event[] = []
  readonly #print: ((line: string) => void) | null
  #order = 0
  now = 0
  events = 0
  /** More means that something goes round and round. */
  eventsMax = Number.POSITIVE_INFINITY
  violation: Error | null = null

  constructor(seed: number, print: ((line: string) => void) | null) {
    this.seed = seed
    this.#print = print
  }

  /** Chance for one concern. */
  random(concern: string): Random {
    const known = this.#streams.get(concern)
    if (known) return known
    let hash = this.seed >>> 0
    for (const character of concern) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) >>> 0
    const stream = seededRandom(Math.imul(hash, 0x9e3779b1) >>> 0)
    this.#streams.set(concern, stream)
    return stream
  }

  chance(concern: string, probability: number): boolean {
    return this.random(concern).float() < probability
  }

  /** A number in [from, to). */
  between(concern: string, from: number, to: number): number {
    return from + this.random(concern).float() * (to - from)
  }

  pick<T>(concern: string, from: readonly T[]): T | undefined {
    return from[Math.floor(this.random(concern).float() * from.length)]
  }

  after(delay: number, run: () => void): Timer {
    return this.at(this.now + Math.max(0, delay), run)
  }

  /** What is planned for the same instant happens in the order of the planning. */
  at(time: number, run: () => void): Timer {
    const event: Event = { time, order: this.#order++, run }
    this.#push(event)
    return {
      cancel: () => {
        event.run = null
      },
    }
  }

  /** Virtual time passes. */
  passing(delay: number): Promise<void> {
    return new Promise(resolve => this.after(delay, resolve))
  }

  trace(line: () => string): void {
    this.#print?.(`${this.now.toFixed(3).padStart(11)}  ${line()}`)
  }

  /** Something must never happen, and did. The first one ends the run. */
  fail(error: unknown): void {
    this.violation ??= error instanceof Error ? error : new Error(String(error))
    this.trace(() => `VIOLATION ${this.violation?.message}`)
  }

  /** Runs events until the clock reads `time` or `done` says so. */
  async run(time: number, done: () => boolean = () => false): Promise<void> {
    for (;;) {
      const event = this.#heap[0]
      if (event === undefined || event.time > time || this.violation !== null || done()) break
      this.#pop()
      if (event.run === null) continue
      this.now = event.time
      if (++this.events > this.eventsMax) this.fail(new Violation(`more than ${this.eventsMax} events`))
      try {
        event.run()
      } catch (error) {
        this.fail(error)
      }
      // Everything that follows from it without time passing.
      await new Promise(resolve => setImmediate(resolve))
    }
    if (this.violation === null && !done()) this.now = Math.max(this.now, time)
  }

  #push(event: Event): void {
    const heap = this.#heap
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!isBefore(event, heap[parent] as Event)) break
      heap[at] = heap[parent] as Event
      at = parent
    }
    heap[at] = event
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop() as Event
    if (heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++
      if (!isBefore(heap[child] as Event, last)) break
      heap[at] = heap[child] as Event
      at = child
    }
    heap[at] = last
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order)
}
