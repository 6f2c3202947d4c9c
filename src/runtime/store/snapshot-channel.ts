/** The raft thread's end of its line to the store thread: pieces of snapshots are asked for and handed over. */
import type { MessagePort } from 'node:worker_threads'
import type { SnapshotChunk } from '../raft/messages.ts'
import type { SnapshotRead } from '../raft/ready.ts'
import type { SnapshotBytes, SnapshotPort } from './replica.ts'
import type { SnapshotAnswer, SnapshotQuestion } from './thread-messages.ts'

export interface SnapshotChannelParts {
  readonly port: MessagePort
  /** A snapshot has to reach to this index at least: the log behind it is not in memory any more. */
  readonly needed: () => number
}

export class SnapshotChannel implements SnapshotPort {
  readonly #parts: SnapshotChannelParts
  readonly #waiting = new Map<number, (answer: SnapshotAnswer) => void>()
  #lastQuestion = 0

  constructor(parts: SnapshotChannelParts) {
    this.#parts = parts
    parts.port.on('message', (answer: SnapshotAnswer) => {
      const waiting = this.#waiting.get(answer.question)
      this.#waiting.delete(answer.question)
      waiting?.(answer)
    })
  }

  read({ id, offset }: SnapshotRead, done: (chunk: SnapshotBytes | null) => void): void {
    const index = this.#parts.needed()
    const question = this.#expect(answer => {
      const piece = answer.type === 'piece' ? answer.piece : null
      done(piece && { ...piece, data: Buffer.from(piece.data) })
    })
    this.#ask({ type: 'read', question, id, offset, index })
  }

  store(
    { snapshot: { id, index }, offset, data, last }: SnapshotChunk,
    done: (sound: boolean) => void,
  ): void {
    const copy = new Uint8Array(data).buffer
    const question = this.#expect(answer => done(answer.type === 'stored' && answer.sound))
    this.#ask({ type: 'store', question, snapshot: { id, index }, offset, data: copy, last }, [copy])
  }

  close(): void {
    this.#waiting.clear()
    this.#parts.port.close()
  }

  #expect(take: (answer: SnapshotAnswer) => void): number {
    const question = ++this.#lastQuestion
    this.#waiting.set(question, take)
    return question
  }

  #ask(question: SnapshotQuestion, transfer: ArrayBuffer[] = []): void {
    this.#parts.port.postMessage(question, transfer)
  }
}
