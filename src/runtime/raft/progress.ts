/** What a leader knows of one other member, and how much it may send ahead. */
import { assert } from '../../base/assert.ts'

/** Entries of one append. */
export const APPEND_BYTES_MAX = 1024 * 1024
/** Entries on their way to one follower without an answer: in bytes, and in messages. */
const INFLIGHT_BYTES_MAX = 8 * 1024 * 1024
const INFLIGHT_MESSAGES_MAX = 512

/** What an answer says of the append that it refuses. */
export interface RefusedAppend {
  readonly previousIndex: number
  readonly attempt: number
}

/** A piece that is not answered is sent again when the member was heard of so often; less eagerly each time. */
export const PATIENCE_MIN = 2
export const PATIENCE_MAX = 64

/** A snapshot on its way, one piece at a time. */
export interface OutgoingSnapshot {
  /** 0 until the driver has said which. */
  id: number
  index: number
  offset: number
  /** The driver is reading the piece at `offset`. */
  reading: boolean
  /** Times that the member was heard of since the piece left, without answering it; so often is borne. */
  quiet: number
  patience: number
}

export class Progress {
  /** Last index known to be durable there. */
  match = 0
  /** Next index to send. */
  next: number
  /** Something was heard since the last quorum check. */
  active = true
  /** Tick of the reign at which it was last heard of; null for never. */
  heardAt: number | null = null
  snapshot: OutgoingSnapshot | null = null
  /** It needed a snapshot and has not caught up since. */
  rescued = false
  /** The commit index that it was last told, as far as it can use it. */
  commitTold = 0
  /** Its next answer to a heartbeat shows whether it has got further since the last check. */
  checkDue = true
  checkedMatch = -1
  /** Probing: one append at a time, until one matches. */
  #probing = true
  #waiting = false
  #inflight: { readonly index: number; readonly bytes: number }[] = []
  #inflightBytes = 0
  #attempt = 1

  constructor(next: number) {
    this.next = next
  }

  /** Counts the times that logs had to be compared anew: the answer to an append of an earlier attempt is old. */
  get attempt(): number {
    return this.#attempt
  }

  get probing(): boolean {
    return this.#probing
  }

  get mayBeSentTo(): boolean {
    if (this.snapshot !== null) return false
    if (this.#probing) return !this.#waiting
    return this.#inflightBytes < INFLIGHT_BYTES_MAX && this.#inflight.length < INFLIGHT_MESSAGES_MAX
  }

  sent(lastIndex: number, bytes: number): void {
    if (this.#probing) {
      this.#waiting = true
      return
    }
    this.next = lastIndex + 1
    if (bytes === 0) return
    this.#inflight.push({ index: lastIndex, bytes })
    this.#inflightBytes += bytes
  }

  /** The follower has everything up to `index`. Returns whether that is news. */
  accepted(index: number): boolean {
    const news = index > this.match
    this.match = Math.max(this.match, index)
    this.next = Math.max(this.next, index + 1)
    if (this.snapshot !== null) {
      if (this.snapshot.id === 0 || this.match < this.snapshot.index) return news
      this.snapshot = null
    }
    this.#probing = false
    this.#waiting = false
    let done = 0
    for (const inflight of this.#inflight) {
      if (inflight.index > index) break
      this.#inflightBytes -= inflight.bytes
      done++
    }
    if (done > 0) this.#inflight.splice(0, done)
    return news
  }

  /**
   * The follower's log does not match at `previousIndex`, and may up to `hint`: probe from there. An answer to
   * another append than the last probe, of an earlier attempt, or about what is known to match, is old; heeding it
   * would send everything again, and again for each of its kind.
   */
  rejected({ previousIndex, attempt }: RefusedAppend, hint: number): void {
    if (this.snapshot !== null || previousIndex <= this.match || attempt !== this.#attempt) return
    if (this.#probing && previousIndex !== this.next - 1) return
    this.next = this.#probing ? Math.max(this.match + 1, Math.min(previousIndex, hint + 1)) : this.match + 1
    this.#probe()
  }

  /** Heard of again: an append that was sent to compare logs may be lost, so another one may leave. */
  retry(): void {
    this.#waiting = false
  }

  beginSnapshot(): void {
    assert(this.snapshot === null, 'one snapshot at a time is on its way to a member')
    this.rescued = true
    this.snapshot = { id: 0, index: 0, offset: 0, reading: true, quiet: 0, patience: PATIENCE_MIN }
    this.#probe()
  }

  /** There is none to be had now; tried again when the member is heard of. */
  abandonSnapshot(): void {
    this.snapshot = null
    this.#waiting = true
  }

  #probe(): void {
    this.#attempt++
    this.#probing = true
    this.#waiting = false
    this.#inflight = []
    this.#inflightBytes = 0
  }
}
