/** A member of a transcript: a core and the simplest possible driver, disk and snapshots included. */
import { createEntry, type Entry, entryTypes } from '../../../../src/runtime/raft/entry.ts'
import type { Message, SnapshotPlace } from '../../../../src/runtime/raft/messages.ts'
import { Raft } from '../../../../src/runtime/raft/raft.ts'
import type { HardState, Ready } from '../../../../src/runtime/raft/ready.ts'
import { textOf } from './transcript-text.ts'

/** A snapshot has this many bytes and travels in pieces of so many. */
const SNAPSHOT_BYTES = 10
const PIECE_BYTES = 4

export class TranscriptMember {
  readonly id: number
  raft: Raft
  #applied: number
  #slow = false
  #slowPieces = false
  /** Readys and pieces of snapshots that are not durable yet, while the disk is slow. */
  #writes: (() => void)[] = []
  #hardState: HardState
  #position: SnapshotPlace
  #entries: Entry[]

  constructor(id: number, position: SnapshotPlace, terms: readonly number[]) {
    this.id = id
    this.#position = position
    this.#applied = position.index
    this.#hardState = { term: terms.at(-1) ?? position.term, vote: 0, commit: position.index }
    this.#entries = terms.map((term, at) => {
      const index = position.index + at + 1
      return createEntry(entryTypes.transaction, Buffer.from(`old${index}`), { index, term })
    })
    this.raft = this.#start()
  }

  #start(): Raft {
    // Member 1 waits the shortest for an election, the last one the longest: 30 ticks and 5 for each.
    const float = () => ((this.id - 1) * 5) / 31 + 0.001
    const random = { float, uuid: () => '', bytes: () => new Uint8Array() }
    const { index, term, configuration } = this.#position
    return new Raft({
      id: this.id,
      random,
      hardState: this.#hardState,
      log: {
        previousIndex: index,
        previousTerm: term,
        configuration,
        entries: [...this.#entries],
        commit: Math.min(this.#hardState.commit, index + this.#entries.length),
      },
    })
  }

  /** `pieces`: only pieces of snapshots take their time. */
  beSlow(pieces: boolean): void {
    this.#slow = !pieces
    this.#slowPieces = true
  }

  persist(): (string | Message)[] {
    for (const write of this.#writes.splice(0)) write()
    return this.drain()
  }

  crash(): (string | Message)[] {
    this.#writes = []
    this.#slow = false
    this.#slowPieces = false
    this.#applied = this.#position.index
    this.raft = this.#start()
    return this.drain()
  }

  /** Carries everything out that the core asks for; returns what to say and send. */
  drain(): (string | Message)[] {
    const said: (string | Message)[] = []
    while (this.raft.hasReady) this.#carryOut(this.raft.takeReady(), said)
    return said
  }

  #carryOut(ready: Ready, said: (string | Message)[]): void {
    const { hardState, entries, restore } = ready
    if (restore) said.push(`begins anew behind ${restore.index}/${restore.term}`)
    if (hardState && ready.mustFlush)
      said.push(`writes term ${hardState.term} vote ${hardState.vote} commit ${hardState.commit}`)
    if (entries.length > 0) said.push(`writes ${entries.map(textOf).join(' ')}`)
    said.push(...ready.messages)
    if (ready.committed.length > 0) said.push(`applies ${ready.committed.map(textOf).join(' ')}`)
    for (const read of ready.reads) said.push(`may read ${read.context} at ${read.index}`)
    for (const context of ready.refusedReads) said.push(`must ask again for read ${context}`)
    this.#applied = Math.max(this.#applied, restore?.index ?? 0, ready.committed.at(-1)?.index ?? 0)
    this.#write(this.#slow, () => this.#makeDurable(ready))
    for (const { to, offset } of ready.snapshotReads) this.#readSnapshot(to, offset)
    for (const { snapshot, offset, data } of ready.snapshotChunks) {
      const end = offset + data.length
      said.push(`stores snapshot ${snapshot.id} bytes ${offset}..${end}`)
      this.#write(this.#slowPieces, () => this.raft.snapshotStored(snapshot.id, end))
    }
  }

  #write(slow: boolean, write: () => void): void {
    if (slow) this.#writes.push(write)
    else write()
  }

  #makeDurable({ number, restore, hardState, entries }: Ready): void {
    if (hardState) this.#hardState = hardState
    if (restore) {
      this.#position = restore
      this.#entries = []
      this.raft.setInstalling(false)
    }
    for (const entry of entries) {
      this.#entries.length = entry.index - 1 - this.#position.index
      this.#entries.push(entry)
    }
    this.raft.persisted(number)
  }

  /** The id names the member and the place, so that a transcript can be read. */
  #readSnapshot(to: number, offset: number): void {
    const { log } = this.raft
    const index = this.#applied
    const snapshot = {
      id: this.id * 1000 + index,
      index,
      term: log.termAt(index) ?? 0,
      configuration: log.configurationAt(index),
    }
    const end = Math.min(SNAPSHOT_BYTES, offset + PIECE_BYTES)
    const data = Buffer.alloc(end - offset)
    this.raft.sendSnapshotChunk(to, { snapshot, offset, data, last: end === SNAPSHOT_BYTES })
  }
}
