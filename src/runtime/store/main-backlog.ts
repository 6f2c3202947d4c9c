/**
 * How far the main thread is behind: committed entries that were handed to it and not taken yet. While that is too
 * much, what the leader sends waits here, unanswered, so that the leader's own flow control stops it: memory stays
 * bounded, and nobody else is slowed.
 */
import type { Message } from '../raft/messages.ts'

/** Bytes of entries handed over and not taken from which on nothing more is let in. */
export const HANDED_BYTES_MAX = 32 * 1024 * 1024
/** A leader sends 8 MiB or 512 messages ahead; what comes on top is as good as lost. */
const PARKED_BYTES_MAX = 16 * 1024 * 1024
const PARKED_MESSAGES_MAX = 1024

export type Append = Extract<Message, { type: 'append' }>

export class MainBacklog {
  readonly #max: number
  #handed = 0
  #full = false
  #parked: Append[] = []
  #parkedBytes = 0

  constructor(max = HANDED_BYTES_MAX) {
    this.#max = max
  }

  /** Nothing more is let in until half of it is taken. */
  get full(): boolean {
    return this.#full
  }

  get parkedBytes(): number {
    return this.#parkedBytes
  }

  /** Whether it would be too much with so many more. */
  isFullWith(bytes: number): boolean {
    return this.#full || this.#handed + bytes >= this.#max
  }

  /** True when it has become too much with these. */
  handed(bytes: number): boolean {
    this.#handed += bytes
    if (this.#full || !this.isFullWith(0)) return false
    this.#full = true
    return true
  }

  /** True when there is room again: then what is parked goes on. */
  taken(bytes: number): boolean {
    this.#handed -= bytes
    if (!this.#full || this.#handed > this.#max / 2) return false
    this.#full = false
    return true
  }

  /** Whether the message is dealt with here: kept for later or, without entries or room, forgotten. */
  takes(message: Message): message is Append {
    if (!this.#full || message.type !== 'append') return false
    const bytes = message.entries.reduce((sum, entry) => sum + entry.bytes.length, 0)
    // It only compares logs, and what was parked before it is not in this one's yet.
    if (bytes === 0) return this.#parked.length > 0
    const hasRoom = this.#parkedBytes + bytes <= PARKED_BYTES_MAX && this.#parked.length < PARKED_MESSAGES_MAX
    if (hasRoom) {
      this.#parked.push(message)
      this.#parkedBytes += bytes
    }
    return true
  }

  takeParked(): Append[] {
    this.#parkedBytes = 0
    return this.#parked.splice(0)
  }
}
