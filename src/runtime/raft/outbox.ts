/** What a core has to say: messages for now, messages that wait for a write, answered reads, snapshot pieces. */
import type { Message, SnapshotChunk } from './messages.ts'
import type { ReadState, SnapshotRead } from './ready.ts'

export class Outbox {
  #messages: Message[] = []
  #held: { readonly number: number; readonly message: Message }[] = []
  #reads: ReadState[] = []
  #refusedReads: number[] = []
  #snapshotReads: SnapshotRead[] = []
  #snapshotChunks: SnapshotChunk[] = []

  send(message: Message): void {
    this.#messages.push(message)
  }

  /** Held back until write `number` is durable. */
  hold(number: number, message: Message): void {
    this.#held.push({ number, message })
  }

  answer(read: ReadState): void {
    this.#reads.push(read)
  }

  /** A read has to be asked again. */
  refuse(context: number): void {
    this.#refusedReads.push(context)
  }

  readSnapshot(read: SnapshotRead): void {
    this.#snapshotReads.push(read)
  }

  storeChunk(chunk: SnapshotChunk): void {
    this.#snapshotChunks.push(chunk)
  }

  /** Whether something is there to be taken, or messages wait for write `number`, not taken yet. */
  isWaiting(number: number): boolean {
    return (
      this.#messages.length > 0 ||
      this.#reads.length > 0 ||
      this.#refusedReads.length > 0 ||
      this.#snapshotReads.length > 0 ||
      this.#snapshotChunks.length > 0 ||
      this.#held.at(-1)?.number === number
    )
  }

  /** The messages that waited for writes up to `number`. */
  release(number: number): Message[] {
    const released = this.#held.filter(held => held.number <= number)
    this.#held = this.#held.slice(released.length)
    return released.map(held => held.message)
  }

  take() {
    const taken = {
      messages: this.#messages,
      reads: this.#reads,
      refusedReads: this.#refusedReads,
      snapshotReads: this.#snapshotReads,
      snapshotChunks: this.#snapshotChunks,
    }
    this.#messages = []
    this.#reads = []
    if (this.#refusedReads.length > 0) this.#refusedReads = []
    if (this.#snapshotReads.length > 0) this.#snapshotReads = []
    if (this.#snapshotChunks.length > 0) this.#snapshotChunks = []
    return taken
  }
}
