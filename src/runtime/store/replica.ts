/**
 * Drives the consensus core on the raft thread: requests in, write-ahead log, committed entries and answers
 * out. All decisions are the core's; this one owns the order: write → (durable) → tell the core → apply.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import { ENTRY_HEADER_BYTES, type Entry, readEntryHeader } from '../raft/entry.ts'
import type { Raft } from '../raft/raft.ts'
import { TICK_MS } from '../raft/timing.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import type { FromRaft, RaftRequests, RaftThreadStatus, RefusedRequest } from './thread-messages.ts'

export interface ReplicaParts {
  readonly raft: Raft
  readonly wal: WriteAheadLog
  readonly clock: Clock
  readonly post: (message: FromRaft, transfer: ArrayBuffer[]) => void
}

export class Replica {
  readonly #parts: ReplicaParts
  /** Requests made by this process: the main thread still has their commands. */
  readonly #own = new Set<number>()
  #committed: Entry[] = []
  #reads: { context: number; index: number }[] = []
  #refused: RefusedRequest[] = []
  #timer: Timer | null = null
  #tickedAt: number
  #posted = ''

  constructor(parts: ReplicaParts) {
    this.#parts = parts
    this.#tickedAt = parts.clock.monotonic()
  }

  start(): void {
    this.#parts.raft.start()
    this.#advance()
  }

  stop(): void {
    this.#timer?.cancel()
  }

  request({ entries, proposals, reads }: RaftRequests): void {
    const bytes = Buffer.from(entries)
    for (const { request, offset, length, term } of proposals) {
      const proposal = bytes.subarray(offset, offset + length)
      this.#own.add(readEntryHeader(proposal)?.proposer ?? 0)
      const outcome = this.#parts.raft.propose([proposal], term ?? undefined)
      if (outcome.kind === 'accepted') continue
      const reason = outcome.kind === 'fenced' ? 'fenced' : 'no-leader'
      this.#refused.push({ kind: 'proposal', request, reason, term: this.#parts.raft.term })
    }
    for (const context of reads) {
      if (this.#parts.raft.readIndex(context)) continue
      this.#refused.push({ kind: 'read', request: context, reason: 'no-leader', term: this.#parts.raft.term })
    }
    this.#advance()
  }

  /** Entries up to `index` are durable in SQLite. */
  drop(index: number): void {
    this.#parts.wal.dropTo(index)
    this.#post()
  }

  #advance(): void {
    const { raft, wal } = this.#parts
    while (raft.hasReady) {
      const ready = raft.takeReady()
      for (const entry of ready.committed) this.#committed.push(entry)
      this.#reads.push(...ready.reads)
      const done = () => {
        raft.persisted(ready.number)
        this.#advance()
      }
      wal.append({ hardState: ready.hardState, entries: ready.entries, done })
      const applied = ready.committed.at(-1)
      // With no follower to send them to, entries that were handed on are not needed here any more.
      if (applied !== undefined) raft.dropLog(applied.index)
    }
    this.#post()
    this.#armTimer()
  }

  #post(): void {
    const status = this.#status()
    const statusKey = `${status.leader} ${status.leaderMember} ${status.term} ${status.fullSegments}`
    const nothing = this.#committed.length + this.#reads.length + this.#refused.length === 0
    if (nothing && statusKey === this.#posted) return
    this.#posted = statusKey
    const committed = this.#committed.length > 0 ? this.#gather(this.#committed) : null
    const { post } = this.#parts
    const message: FromRaft = {
      type: 'progress',
      committed,
      reads: this.#reads,
      refused: this.#refused,
      status,
    }
    post(message, committed ? [committed] : [])
    this.#committed = []
    this.#reads = []
    this.#refused = []
  }

  #gather(entries: readonly Entry[]): ArrayBuffer {
    const parts = entries.map(entry => {
      const own = this.#own.has(readEntryHeader(entry.bytes)?.proposer ?? 0)
      return own ? entry.bytes.subarray(0, ENTRY_HEADER_BYTES) : entry.bytes
    })
    const gathered = Buffer.from(new ArrayBuffer(parts.reduce((total, part) => total + part.length, 0)))
    let offset = 0
    for (const part of parts) {
      part.copy(gathered, offset)
      if (part.length === ENTRY_HEADER_BYTES) gathered.writeUInt32LE(0, offset + 4)
      offset += part.length
    }
    return gathered.buffer
  }

  #status(): RaftThreadStatus {
    const { raft, wal } = this.#parts
    return {
      leader: raft.role === 'leader',
      leaderMember: raft.leader,
      term: raft.term,
      commit: raft.log.committed,
      lastIndex: raft.log.lastIndex,
      logBytes: wal.bytes,
      fullSegments: wal.fullSegments,
    }
  }

  #armTimer(): void {
    this.#timer?.cancel()
    const ticks = this.#parts.raft.ticksUntilNextDeadline()
    if (ticks === null) {
      this.#timer = null
      return
    }
    const due = this.#tickedAt + ticks * TICK_MS - this.#parts.clock.monotonic()
    this.#timer = this.#parts.clock.after(Math.max(1, due), () => this.#tick())
  }

  #tick(): void {
    const ticks = Math.floor((this.#parts.clock.monotonic() - this.#tickedAt) / TICK_MS)
    this.#tickedAt += ticks * TICK_MS
    if (ticks > 0) this.#parts.raft.tick(ticks)
    this.#advance()
  }
}
