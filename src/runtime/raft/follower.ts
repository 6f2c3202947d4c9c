/** What a member does with what its leader sends: appends and pieces of snapshots. */
import { IncomingSnapshot } from './incoming-snapshot.ts'
import type { MemberId, Message, MessageBody, SnapshotChunk, SnapshotPlace } from './messages.ts'
import type { Outbox } from './outbox.ts'
import type { RaftLog } from './raft-log.ts'
import type { SafetyRules } from './rules.ts'

export interface FollowerParts {
  readonly log: RaftLog
  readonly outbox: Outbox
  readonly rules: SafetyRules
  readonly send: (to: MemberId, body: MessageBody) => void
  /** Sends once everything known now is durable. */
  readonly sendAfterPersist: (to: MemberId, body: MessageBody) => void
}

export class Follower {
  readonly #parts: FollowerParts
  readonly #log: RaftLog
  #incoming = new IncomingSnapshot()
  /** A snapshot was received whole and is not the state yet: another one must not take its place meanwhile. */
  #installing = false

  constructor(parts: FollowerParts) {
    this.#parts = parts
    this.#log = parts.log
  }

  setInstalling(installing: boolean): void {
    this.#installing = installing
  }

  takeAppend(message: Extract<Message, { type: 'append' }>): void {
    const { from, previousIndex, previousTerm, entries, commit, attempt } = message
    if (previousIndex < this.#log.committed) {
      this.#acknowledge(from, this.#log.committed)
      return
    }
    if (this.#log.termAt(previousIndex) !== previousTerm) {
      this.#reject(from, {
        index: this.#log.lastNotAbove(previousIndex - 1, previousTerm),
        previousIndex,
        attempt,
      })
      return
    }
    this.#log.merge(entries, this.#parts.rules)
    const last = previousIndex + entries.length
    this.#log.commitTo(Math.min(commit, last))
    this.#acknowledge(from, last)
  }

  /** A leader of an earlier term learns from the term of the answer that it is over. */
  refuse(leader: MemberId): void {
    this.#reject(leader, { index: 0, previousIndex: 0, attempt: 0 })
  }

  takeSnapshot(from: MemberId, chunk: SnapshotChunk): void {
    const { id, index, term } = chunk.snapshot
    if (this.#log.termAt(index) === term) this.#log.commitTo(index)
    if (index <= this.#log.committed) {
      this.#acknowledge(from, this.#log.committed)
      return
    }
    if (this.#installing) return
    const outcome = this.#incoming.take(chunk)
    if (outcome === 'store') this.#parts.outbox.storeChunk(chunk)
    else if (outcome !== 'wait') this.#parts.send(from, { type: 'snapshot-reply', id, next: outcome.next })
  }

  /** A piece is durable, or null: nothing of the snapshot was kept. `leader`: 0 for none. */
  snapshotStored(id: number, end: number | null, leader: MemberId): void {
    const outcome = end === null ? this.#incoming.forget(id) : this.#incoming.stored(id, end)
    if (outcome === null) return
    if ('next' in outcome) {
      if (leader !== 0) this.#parts.send(leader, { type: 'snapshot-reply', id, next: outcome.next })
      return
    }
    this.#restore(outcome)
    if (leader !== 0) this.#acknowledge(leader, this.#log.committed)
  }

  /**
   * Storing takes its time, in which a new leader may have sent what the snapshot holds and more. Then the log stays:
   * what lies behind the snapshot may be acknowledged already.
   */
  #restore(snapshot: SnapshotPlace): void {
    const { index, term } = snapshot
    if (this.#parts.rules.mustKeepLog(this.#log.termAt(index), term)) this.#log.commitTo(index)
    if (index <= this.#log.committed) return
    this.#log.restore(snapshot)
    this.#installing = true
  }

  /** Says, once it is true on disk, that this member has the leader's log up to `index`. */
  #acknowledge(leader: MemberId, index: number): void {
    this.#parts.sendAfterPersist(leader, { type: 'append-reply', index, rejected: false })
  }

  #reject(leader: MemberId, refused: { index: number; previousIndex: number; attempt: number }): void {
    const indexTerm = this.#log.termAt(refused.index) ?? 0
    this.#parts.send(leader, { type: 'append-reply', rejected: true, indexTerm, ...refused })
  }
}
