/** What a leader knows of one other member, and how much it may send ahead. */

/** Entries on their way to one follower without an answer. */
export const APPEND_BYTES_MAX = 1024 * 1024
const INFLIGHT_BYTES_MAX = 8 * 1024 * 1024

export class Progress {
  /** Last index known to be durable there. */
  match = 0
  /** Next index to send. */
  next: number
  /** Probing: one append at a time, until one matches. */
  probing = true
  /** Something was heard since the last quorum check. */
  active = true
  #waiting = false
  #inflight: { readonly index: number; readonly bytes: number }[] = []
  #inflightBytes = 0

  constructor(next: number) {
    this.next = next
  }

  get mayBeSentTo(): boolean {
    return this.probing ? !this.#waiting : this.#inflightBytes < INFLIGHT_BYTES_MAX
  }

  sent(lastIndex: number, bytes: number): void {
    if (this.probing) {
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
    this.probing = false
    this.#waiting = false
    for (let first = this.#inflight[0]; first && first.index <= index; first = this.#inflight[0]) {
      this.#inflightBytes -= first.bytes
      this.#inflight.shift()
    }
    return news
  }

  /** The follower's log does not match behind `hint`: probe from there. */
  rejected(hint: number): void {
    this.next = Math.max(this.match + 1, Math.min(this.next - 1, hint + 1))
    this.#probe()
  }

  /** Heard of again after silence: what was in flight may be lost, so probe once. */
  retry(): void {
    this.#waiting = false
    if (!this.probing && this.#inflightBytes >= INFLIGHT_BYTES_MAX) {
      this.next = this.match + 1
      this.#probe()
    }
  }

  #probe(): void {
    this.probing = true
    this.#waiting = false
    this.#inflight = []
    this.#inflightBytes = 0
  }
}
