/**
 * How long a member goes on without a leader. Its own timeout follows from what it measured; the leader tells its
 * own in each heartbeat. Who stands for election waits for the longer of both; whether a leader counts as heard is
 * for the leader's alone to say.
 */
import type { Random } from '../../base/random.ts'
import { ELECTION_TICKS, LINK_CLOSED_TICKS_MAX } from './timing.ts'

export class ElectionTimer {
  readonly #random: Random
  #own = ELECTION_TICKS
  /** What the present or last leader told; 0 for nothing. */
  #told = 0
  #elapsed = 0
  #timeout = ELECTION_TICKS

  constructor(random: Random) {
    this.#random = random
    this.#draw()
  }

  /** The shortest wait. */
  get base(): number {
    return Math.max(this.#own, this.#told)
  }

  /** The wait that was drawn: one to two times the base, or shorter behind a closed link. */
  get timeout(): number {
    return this.#timeout
  }

  get left(): number {
    return Math.max(1, this.#timeout - this.#elapsed)
  }

  get isDue(): boolean {
    return this.#elapsed >= this.#timeout
  }

  /** Something was heard within what the leader itself considers an election timeout. */
  get heardLately(): boolean {
    return this.#elapsed < (this.#told || this.#own)
  }

  tick(count: number): void {
    this.#elapsed += count
  }

  /** Heard of the leader, or gave a vote. */
  reset(): void {
    this.#elapsed = 0
  }

  /** A new wait, of another length. */
  restart(): void {
    this.#elapsed = 0
    this.#draw()
  }

  /** The leader is there: no reason to hurry any more. */
  calm(): void {
    if (this.#timeout < this.base) this.#draw()
    this.#elapsed = 0
  }

  /** The link to the leader is closed. */
  hurry(): void {
    this.#elapsed = 0
    this.#timeout = 1 + Math.floor(this.#random.float() * LINK_CLOSED_TICKS_MAX)
  }

  setOwn(ticks: number): void {
    this.#change(ticks, this.#told)
  }

  setTold(ticks: number): void {
    this.#change(this.#own, ticks)
  }

  /** A wait under way becomes longer or shorter in the same proportion, unless it is a hurried one. */
  #change(own: number, told: number): void {
    const before = this.base
    this.#own = own
    this.#told = told
    if (this.#timeout >= before) this.#timeout = Math.round((this.#timeout * this.base) / before)
  }

  #draw(): void {
    const { base } = this
    this.#timeout = base + Math.floor(this.#random.float() * (base + 1))
  }
}
