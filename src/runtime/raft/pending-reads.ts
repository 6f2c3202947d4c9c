/** Linearizable reads on their way (ReadIndex): each waits until a quorum has confirmed the leader since. */

import type { Configuration, MemberId } from './messages.ts'
import { quorumValue } from './quorum.ts'

export interface PendingRead {
  /** Who asked, and its name for the read. */
  readonly from: MemberId
  readonly context: number
  /** The commit index when it was asked. */
  readonly index: number
}

/** Reads that may wait at a time. */
const READS_WAITING_MAX = 10_000

export class PendingReads {
  #round = 0
  #waiting: { readonly round: number; readonly read: PendingRead }[] = []
  readonly #confirmed = new Map<MemberId, number>()

  /** The number that heartbeats carry so that their answers confirm every read up to it. */
  get round(): number {
    return this.#round
  }

  /** False when too many wait. */
  add(read: PendingRead): boolean {
    if (this.#waiting.length >= READS_WAITING_MAX) return false
    this.#waiting.push({ round: ++this.#round, read })
    return true
  }

  takeAll(): PendingRead[] {
    return this.#waiting.splice(0).map(({ read }) => read)
  }

  /** A member confirmed the leader in `round`; returns the reads that a quorum has confirmed now. */
  confirm(configuration: Configuration, self: MemberId, from: MemberId, round: number): PendingRead[] {
    this.#confirmed.set(from, Math.max(this.#confirmed.get(from) ?? 0, round))
    const confirmed = quorumValue(configuration, id =>
      id === self ? this.#round : (this.#confirmed.get(id) ?? 0),
    )
    const done = this.#waiting.filter(waiting => waiting.round <= confirmed)
    this.#waiting = this.#waiting.slice(done.length)
    return done.map(waiting => waiting.read)
  }
}
