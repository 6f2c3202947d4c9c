/**
 * What the raft thread has to tell the main thread: committed entries, answered and refused requests, and how
 * things stand. Gathered, and posted once per turn; what another member leads and nobody here asked for comes with what
 * follows it, so that a stream of writes does not wake the main threads of all members with each commit.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { ENTRY_HEADER_BYTES, type Entry, proposerAt, requestAt } from '../raft/entry.ts'
import { PROMOTION_LAG_MAX } from '../raft/leader.ts'
import type { Configuration } from '../raft/messages.ts'
import type { Raft } from '../raft/raft.ts'
import type { ReadState } from '../raft/ready.ts'
import { TICK_MS } from '../raft/timing.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import type { MainBacklog } from './main-backlog.ts'
import type { ReplicaTiming } from './replica-timing.ts'
import type { FromRaft, RaftThreadDetails, RaftThreadStatus, RefusedRequest } from './thread-messages.ts'

/** What changes all the time, like progress and the commit index, is told so often at least. */
const STATUS_MS = 500
/** How things stand with the others is looked at so often. */
const STANDING_MS = 10
/** Entries that nobody waits for are posted no more often than this, while there are not too many of them. */
const POSTS_APART_MS = 5
const POSTED_LATER_MAX = 512
/** Whoever has asked for something waits for what is applied about so long. */
const AWAITS_MS = 1_000
/** More than there are members. */
const STANDING_BASE = 1_000

export interface MainReportsParts {
  readonly raft: Raft
  readonly wal: WriteAheadLog
  readonly clock: Clock
  readonly log: Log
  readonly timing: ReplicaTiming
  readonly backlog: MainBacklog
  readonly network?: { reaches(member: number): boolean }
  readonly post: (message: FromRaft, transfer: ArrayBuffer[]) => void
}

/** What is told at once when it changes. */
interface News {
  readonly leads: boolean
  readonly leader: number
  readonly term: number
  readonly accepts: boolean
  readonly fullSegments: number
  readonly standing: number
  readonly configuration: Configuration
}

export class MainReports {
  readonly #parts: MainReportsParts
  /** Proposers of this process and the last request of theirs handed back: the main thread has later commands. */
  readonly #own = new Map<number, number>()
  #committed: Entry[] = []
  /** Of `#committed`. */
  #committedBytes = 0
  #reads: ReadState[] = []
  #refused: RefusedRequest[] = []
  #told: News | null = null
  #toldAt = Number.NEGATIVE_INFINITY
  #standing = 0
  #standingAt = Number.NEGATIVE_INFINITY
  #postedAt = Number.NEGATIVE_INFINITY
  #askedAt = Number.NEGATIVE_INFINITY
  #later: Timer | null = null

  constructor(parts: MainReportsParts) {
    this.#parts = parts
  }

  /** A proposer of this process. */
  proposes(proposer: number): void {
    if (!this.#own.has(proposer)) this.#own.set(proposer, 0)
  }

  isOwn(proposer: number): boolean {
    return this.#own.has(proposer)
  }

  /** The main thread wants something, which shows only once it is applied there. */
  asked(): void {
    this.#askedAt = this.#parts.clock.monotonic()
  }

  stop(): void {
    this.#later?.cancel()
  }

  committed(entries: readonly Entry[]): void {
    for (const entry of entries) {
      this.#committed.push(entry)
      this.#committedBytes += entry.bytes.length
    }
  }

  answer(reads: readonly ReadState[]): void {
    for (const read of reads) this.#reads.push(read)
  }

  refuse(refused: RefusedRequest): void {
    this.#refused.push(refused)
  }

  /** `all`: also what may wait. */
  post(all = false): void {
    const mayWait = this.#reads.length + this.#refused.length === 0
    const hasNews = this.#hasNews()
    if (mayWait && this.#committed.length === 0 && !hasNews) return
    if (mayWait && !hasNews && !all && this.#waits()) return
    this.#later?.cancel()
    this.#later = null
    this.#postedAt = this.#parts.clock.monotonic()
    const [status, details] = hasNews ? [this.#status(), this.details()] : [null, null]
    const committed = this.#committed.length > 0 ? this.#gather(this.#committed) : null
    if (committed !== null && this.#parts.backlog.handed(committed.byteLength))
      this.#parts.log.warn('the main thread does not keep up; the leader has to wait with what it sends')
    const [reads, refused] = [this.#reads, this.#refused]
    this.#committed = []
    this.#committedBytes = 0
    this.#reads = []
    this.#refused = []
    const message: FromRaft = { type: 'progress', committed, reads, refused, status, details }
    this.#parts.post(message, committed ? [committed] : [])
  }

  /** Whether there will be a better moment, which is seen to. */
  #waits(): boolean {
    const { raft, clock } = this.#parts
    const now = clock.monotonic()
    const left = this.#postedAt + POSTS_APART_MS - now
    const isAwaited = raft.role === 'leader' || now < this.#askedAt + AWAITS_MS
    if (isAwaited || left <= 0 || this.#isMuch) return false
    this.#later ??= clock.after(Math.ceil(left), () => {
      this.#later = null
      this.post(true)
    })
    return true
  }

  get #isMuch(): boolean {
    return this.#committed.length > POSTED_LATER_MAX || this.#parts.backlog.isFullWith(this.#committedBytes)
  }

  #hasNews(): boolean {
    const now = this.#parts.clock.monotonic()
    const news = this.#news(now)
    if (now < this.#toldAt + STATUS_MS && isSame(this.#told, news)) return false
    this.#told = news
    this.#toldAt = now
    return true
  }

  #news(now: number): News {
    const { raft, wal } = this.#parts
    if (now >= this.#standingAt + STANDING_MS) {
      this.#standing = this.#measureStanding()
      this.#standingAt = now
    }
    return {
      leads: raft.role === 'leader',
      leader: raft.leader,
      term: raft.term,
      accepts: this.#accepts,
      fullSegments: wal.fullSegments,
      standing: this.#standing,
      configuration: raft.configuration,
    }
  }

  /** How many members were heard of, and how many have nearly all of the log: whoever gives roles waits for it. */
  #measureStanding(): number {
    const { raft } = this.#parts
    let [heard, close] = [0, 0]
    for (const { silentTicks, snapshot, match } of raft.progress) {
      if (silentTicks !== null) heard++
      if (!snapshot && match > 0 && match + PROMOTION_LAG_MAX >= raft.log.lastIndex) close++
    }
    return heard * STANDING_BASE + close
  }

  #gather(entries: readonly Entry[]): ArrayBuffer {
    const lengths = entries.map(({ bytes }) => (this.#takeOwn(bytes) ? ENTRY_HEADER_BYTES : bytes.length))
    const gathered = Buffer.from(new ArrayBuffer(lengths.reduce((total, length) => total + length, 0)))
    let offset = 0
    for (const [at, { bytes }] of entries.entries()) {
      const length = lengths[at] as number
      bytes.copy(gathered, offset, 0, length)
      if (length === ENTRY_HEADER_BYTES) gathered.writeUInt32LE(0, offset + 4)
      offset += length
    }
    return gathered.buffer
  }

  /** The main thread still has its own commands, except when one comes a second time. */
  #takeOwn(bytes: Buffer): boolean {
    const proposer = proposerAt(bytes, 0)
    const newest = this.#own.get(proposer)
    if (newest === undefined) return false
    const request = requestAt(bytes, 0)
    if (request <= newest) return false
    this.#own.set(proposer, request)
    return true
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
      accepts: this.#accepts,
    }
  }

  get #accepts(): boolean {
    const { raft, network } = this.#parts
    if (raft.leader === 0 || raft.transferring) return false
    return raft.leader === raft.id || (network?.reaches(raft.leader) ?? false)
  }

  details(): RaftThreadDetails {
    const { raft, timing, wal } = this.#parts
    return {
      configuration: raft.configuration,
      standing: this.#standing,
      progress: raft.progress.map(({ silentTicks, ...rest }) => {
        return { ...rest, silentMs: silentTicks === null ? null : silentTicks * TICK_MS }
      }),
      timing: timing.describe(),
      flushes: wal.flushTimes.histogram,
    }
  }
}

function isSame(told: News | null, now: News): boolean {
  return (
    told !== null &&
    told.leads === now.leads &&
    told.leader === now.leader &&
    told.term === now.term &&
    told.accepts === now.accepts &&
    told.fullSegments === now.fullSegments &&
    told.standing === now.standing &&
    told.configuration === now.configuration
  )
}
