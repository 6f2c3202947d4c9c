/**
 * Drives the consensus core on the raft thread: requests and messages in; write-ahead log, messages, committed
 * entries and answers out. All decisions are the core's; this one owns the order: write → (durable) → tell the
 * core → apply. Time, disk, network and snapshots are arguments.
 */
import type { Clock, Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { ENTRY_HEADER_BYTES, type Entry, readEntryHeader } from '../raft/entry.ts'
import { PROMOTION_LAG_MAX } from '../raft/leader.ts'
import type { Membership } from '../raft/membership.ts'
import type { MemberId, Message, Snapshot, SnapshotChunk } from '../raft/messages.ts'
import { type Configuration, membersOf } from '../raft/quorum.ts'
import type { Raft } from '../raft/raft.ts'
import type { ChangeOutcome, Ready, SnapshotRead } from '../raft/ready.ts'
import { HEARTBEAT_TICKS, TICK_MS } from '../raft/timing.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import { MainBacklog } from './main-backlog.ts'
import { ReplicaTiming } from './replica-timing.ts'
import type {
  FromRaft,
  LeaseOutcome,
  RaftRequests,
  RaftThreadDetails,
  RaftThreadStatus,
  RefusedRequest,
} from './thread-messages.ts'

/** What changes all the time, like progress and the commit index, is told so often at least. */
const STATUS_MS = 500
/** More than there are members. */
const STANDING_BASE = 1_000
/** The thread wakes so often at least, to see whether it runs; heartbeats wake it as often. */
const PULSE_TICKS = HEARTBEAT_TICKS
/** Waking by more ticks late says that the thread did not run, not that nobody spoke. */
const LATE_TICKS_MAX = 3
/** Then a deadline is put off by so many, in which the sockets are read; but not for ever. */
const GRACE_TICKS = 2
const PUT_OFFS_MAX = 5

/** What members say to each other: the core's messages, and what only the leader can do. */
export type PeerMessage =
  | { readonly type: 'raft'; readonly message: Message }
  | { readonly type: 'forward'; readonly proposals: readonly Buffer[] }
  /** Whoever was believed to lead takes none of these now. */
  | { readonly type: 'forward-refusal'; readonly requests: readonly ProposerRequest[] }
  /** Not for the replica: the leader's main thread counts leases. */
  | { readonly type: 'keep-lease'; readonly question: number; readonly lease: number }
  | { readonly type: 'lease-kept'; readonly question: number; readonly outcome: LeaseOutcome }

export interface ProposerRequest {
  readonly proposer: number
  readonly request: number
}

/** Sends without waiting; what cannot be sent is lost. */
export interface PeerNetwork {
  /** Who else is a member: links to all of them should stand before they are needed. */
  connectTo(members: readonly MemberId[]): void
  /** The link stands, as far as known here. */
  reaches(member: MemberId): boolean
  send(to: MemberId, message: PeerMessage): void
}

/** Where snapshots for others come from, and where those from others go. */
export interface SnapshotPort {
  /** Reads a piece; `done` gets null when there is nothing to read. The place of a snapshot is looked up here. */
  read(read: SnapshotRead, done: (chunk: SnapshotBytes | null) => void): void
  /**
   * Stores a piece; `done` once it is durable. The last one makes the snapshot whole, unless that is not sound: then
   * nothing of it is kept, and it has to be sent again.
   */
  store(chunk: SnapshotChunk, done: (sound: boolean) => void): void
}

export interface SnapshotBytes {
  readonly id: number
  /** The last entry that the snapshot holds. */
  readonly index: number
  readonly offset: number
  readonly data: Buffer
  readonly last: boolean
}

export interface ReplicaParts {
  readonly raft: Raft
  readonly wal: WriteAheadLog
  readonly clock: Clock
  readonly log: Log
  readonly post: (message: FromRaft, transfer: ArrayBuffer[]) => void
  /** Absent while the cluster has one member. */
  readonly network?: PeerNetwork
  readonly snapshots?: SnapshotPort
  /** Bytes that may be handed to the main thread and not taken; usually HANDED_BYTES_MAX. */
  readonly handedBytesMax?: number
}

export class Replica {
  readonly #parts: ReplicaParts
  /** Proposers of this process and the last request of theirs handed back: the main thread has later commands. */
  readonly #own = new Map<number, number>()
  #committed: Entry[] = []
  #reads: { context: number; index: number }[] = []
  #refused: RefusedRequest[] = []
  /** The snapshot being sent to a member; its place is remembered, because the log may forget it meanwhile. */
  readonly #sending = new Map<MemberId, Snapshot>()
  readonly #timing: ReplicaTiming
  readonly #backlog: MainBacklog
  #timer: Timer | null = null
  /** Times in a row that a deadline was put off, because the thread woke late. */
  #putOffs = 0
  /** Ticks since the last turn. */
  #passedTicks = 0
  #tickedAt: number
  #posted = ''
  #postedAt = Number.NEGATIVE_INFINITY
  #postedConfiguration: Configuration | null = null
  #configuration: Configuration | null = null
  #stopped = false

  constructor(parts: ReplicaParts) {
    this.#parts = parts
    this.#tickedAt = parts.clock.monotonic()
    this.#timing = new ReplicaTiming(parts)
    this.#backlog = new MainBacklog(parts.handedBytesMax)
  }

  /** As far as known; 0 for nobody. */
  get leader(): MemberId {
    return this.#parts.raft.leader
  }

  start(): void {
    this.#parts.raft.start()
    this.#advance()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  request({ entries, proposals, reads }: RaftRequests): void {
    const { raft } = this.#parts
    const bytes = Buffer.from(entries)
    const forwarded: Buffer[] = []
    for (const { request, offset, length, term } of proposals) {
      const proposal = bytes.subarray(offset, offset + length)
      const proposer = readEntryHeader(proposal)?.proposer ?? 0
      if (!this.#own.has(proposer)) this.#own.set(proposer, 0)
      const outcome = raft.propose([proposal], term ?? undefined)
      if (outcome.kind === 'accepted') continue
      if (outcome.kind === 'not-leader' && this.#canForward) forwarded.push(proposal)
      else this.#refuse('proposal', request, outcome.kind === 'not-leader' ? 'no-leader' : outcome.kind)
    }
    if (forwarded.length > 0) {
      this.#parts.network?.send(raft.leader, { type: 'forward', proposals: forwarded })
    }
    for (const context of reads) if (!raft.readIndex(context)) this.#refuse('read', context, 'no-leader')
    this.#advance()
  }

  get #canForward(): boolean {
    const { raft, network } = this.#parts
    return network !== undefined && raft.leader !== 0 && raft.leader !== raft.id
  }

  #refuse(kind: RefusedRequest['kind'], request: number, reason: RefusedRequest['reason']): void {
    this.#refused.push({ kind, request, reason, term: this.#parts.raft.term })
  }

  /** A message of another member. */
  receive(message: PeerMessage, from: MemberId): void {
    if (this.#stopped) return
    this.#catchUpTicks()
    if (message.type === 'raft') this.#step(message.message)
    else if (message.type === 'forward') this.#takeForwarded(message.proposals, from)
    else if (message.type === 'forward-refusal') this.#takeRefusal(message.requests)
    this.#advance()
  }

  #step(message: Message): void {
    if (this.#backlog.takes(message)) return
    if (message.type === 'heartbeat-reply') this.#timing.heartbeatAnswered(message.from, message.sequence)
    this.#parts.raft.step(message)
  }

  /** Whoever sent them to a member that does not lead, or hands over, has to know at once. */
  #takeForwarded(proposals: readonly Buffer[], from: MemberId): void {
    const { raft } = this.#parts
    const { full } = this.#backlog
    // Somebody whose main thread runs should lead.
    if (full && !raft.transferring) this.transferLeadership(null)
    const isRefused = (proposal: Buffer) => full || raft.propose([Buffer.from(proposal)]).kind !== 'accepted'
    const refused = proposals.filter(isRefused)
    if (refused.length === 0) return
    const requests = refused.flatMap(proposal => readEntryHeader(proposal) ?? [])
    this.#parts.network?.send(from, { type: 'forward-refusal', requests })
  }

  #takeRefusal(requests: readonly ProposerRequest[]): void {
    for (const { proposer, request } of requests) {
      if (this.#own.has(proposer)) this.#refuse('proposal', request, 'no-leader')
    }
  }

  /** The main thread has applied so many bytes of what was handed to it, and found room for what came of them. */
  taken(bytes: number): void {
    if (!this.#backlog.taken(bytes) || this.#stopped) return
    this.#parts.log.info('the main thread has caught up')
    for (const append of this.#backlog.takeParked()) this.#step(append)
    this.#advance()
  }

  /** The link to a member is closed. */
  linkClosed(peer: MemberId): void {
    this.#catchUpTicks()
    this.#timing.linkClosed(peer)
    this.#parts.raft.linkClosed(peer)
    this.#advance()
  }

  /** The link to a member stands: what the leader did not get while it was down is asked again. */
  linkOpened(): void {
    if (!this.#stopped) this.#post()
  }

  changeMembership(target: Membership): ChangeOutcome {
    const outcome = this.#parts.raft.changeMembership(target)
    this.#advance()
    return outcome
  }

  /** The snapshot behind which the log begins has become the state. */
  installed(): void {
    this.#parts.raft.setInstalling(false)
  }

  /** What the applied state says. */
  setClusterVersion(version: number): void {
    this.#parts.raft.entryGate.raise(version)
  }

  transferLeadership(target: MemberId | null): boolean {
    const { raft } = this.#parts
    const heir = target ?? raft.bestHeir()
    const begun = heir !== null && raft.transferLeadership(heir)
    this.#advance()
    return begun
  }

  /** Entries up to `index` are durable in SQLite. */
  drop(index: number): void {
    this.#parts.wal.dropTo(index)
    this.#post()
  }

  #advance(): void {
    const { raft } = this.#parts
    this.#timing.update(this.#passedTicks * TICK_MS)
    this.#passedTicks = 0
    while (raft.hasReady && !this.#stopped) this.#carryOut(raft.takeReady())
    this.#connect()
    this.#post()
    this.#armTimer()
  }

  #connect(): void {
    const { raft, network } = this.#parts
    if (network === undefined || raft.configuration === this.#configuration) return
    this.#configuration = raft.configuration
    network.connectTo(membersOf(raft.configuration).filter(id => id !== raft.id))
  }

  #carryOut(ready: Ready): void {
    const { raft, wal, network } = this.#parts
    for (const message of ready.messages) {
      if (message.type === 'heartbeat') this.#timing.heartbeatLeaves(message.to, message.sequence)
      network?.send(message.to, { type: 'raft', message })
    }
    for (const entry of ready.committed) this.#committed.push(entry)
    this.#reads.push(...ready.reads)
    for (const context of ready.refusedReads) this.#refuse('read', context, 'no-leader')
    const { restore } = ready
    const done = () => {
      if (this.#stopped) return
      if (restore !== null) this.#postRestored(restore.index)
      raft.persisted(ready.number)
      this.#advance()
    }
    wal.append({ restore, hardState: ready.hardState, entries: ready.entries, done })
    for (const read of ready.snapshotReads) this.#readSnapshot(read)
    for (const chunk of ready.snapshotChunks) this.#storeChunk(chunk)
    const applied = ready.committed.at(-1)
    if (applied !== undefined) raft.dropLog(applied.index)
  }

  // ── snapshots ──────────────────────────────────────────────────────────────────────────────────────

  /** The state as of the snapshot takes the place of what was applied; nothing behind it was handed on yet. */
  #postRestored(index: number): void {
    this.#parts.post({ type: 'restored', index }, [])
  }

  #readSnapshot(read: SnapshotRead): void {
    const { raft, snapshots } = this.#parts
    const answer = (bytes: SnapshotBytes | null) => {
      if (this.#stopped) return
      raft.sendSnapshotChunk(read.to, bytes && this.#chunkOf(read.to, bytes))
      this.#advance()
    }
    if (snapshots) snapshots.read(read, answer)
    else answer(null)
  }

  /** Null when the log does not reach back to where the snapshot ends: a later one will do. */
  #chunkOf(to: MemberId, { id, index, offset, data, last }: SnapshotBytes): SnapshotChunk | null {
    const known = this.#sending.get(to)
    if (known?.id === id) return { snapshot: known, offset, data, last }
    const { log } = this.#parts.raft
    const term = log.termAt(index)
    if (offset !== 0 || term === null || index < log.firstIndex - 1 || index > log.committed) return null
    const snapshot = { id, index, term, configuration: log.configurationAt(index) }
    this.#sending.set(to, snapshot)
    return { snapshot, offset, data, last }
  }

  #storeChunk(chunk: SnapshotChunk): void {
    const end = chunk.offset + chunk.data.length
    this.#parts.snapshots?.store(chunk, sound => {
      if (this.#stopped) return
      this.#parts.raft.snapshotStored(chunk.snapshot.id, sound ? end : null)
      this.#advance()
    })
  }

  // ── to the main thread ─────────────────────────────────────────────────────────────────────────────

  #post(): void {
    const nothing = this.#committed.length + this.#reads.length + this.#refused.length === 0
    const hasNews = this.#hasNews()
    if (nothing && !hasNews) return
    const [status, details] = [this.#status(), hasNews ? this.details() : null]
    const committed = this.#committed.length > 0 ? this.#gather(this.#committed) : null
    if (committed !== null && this.#backlog.handed(committed.byteLength))
      this.#parts.log.warn('the main thread does not keep up; the leader has to wait with what it sends')
    const [reads, refused] = [this.#reads, this.#refused]
    this.#committed = []
    this.#reads = []
    this.#refused = []
    const message: FromRaft = { type: 'progress', committed, reads, refused, status, details }
    this.#parts.post(message, committed ? [committed] : [])
  }

  #hasNews(): boolean {
    const { raft, wal, clock } = this.#parts
    const role = raft.role === 'leader'
    const key = `${role} ${raft.leader} ${raft.term} ${this.#accepts} ${wal.fullSegments} ${this.#standing}`
    const now = clock.monotonic()
    const settled = key === this.#posted && raft.configuration === this.#postedConfiguration
    if (settled && now < this.#postedAt + STATUS_MS) return false
    this.#posted = key
    this.#postedAt = now
    this.#postedConfiguration = raft.configuration
    return true
  }

  /** How many members were heard of, and how many have nearly all of the log: whoever gives roles waits for it. */
  get #standing(): number {
    const { raft } = this.#parts
    let [heard, close] = [0, 0]
    for (const { silentTicks, snapshot, match } of raft.progress) {
      if (silentTicks !== null) heard++
      if (!snapshot && match > 0 && match + PROMOTION_LAG_MAX >= raft.log.lastIndex) close++
    }
    return heard * STANDING_BASE + close
  }

  #gather(entries: readonly Entry[]): ArrayBuffer {
    const parts = entries.map(entry => this.#withoutOwnCommand(entry.bytes))
    const gathered = Buffer.from(new ArrayBuffer(parts.reduce((total, part) => total + part.length, 0)))
    let offset = 0
    for (const part of parts) {
      part.copy(gathered, offset)
      if (part.length === ENTRY_HEADER_BYTES) gathered.writeUInt32LE(0, offset + 4)
      offset += part.length
    }
    return gathered.buffer
  }

  /** The main thread still has its own commands, except when one comes a second time. */
  #withoutOwnCommand(bytes: Buffer): Buffer {
    const header = readEntryHeader(bytes)
    const newest = header ? this.#own.get(header.proposer) : undefined
    if (header === null || newest === undefined || header.request <= newest) return bytes
    this.#own.set(header.proposer, header.request)
    return bytes.subarray(0, ENTRY_HEADER_BYTES)
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
    const { raft } = this.#parts
    return {
      configuration: raft.configuration,
      standing: this.#standing,
      progress: raft.progress.map(({ silentTicks, ...rest }) => {
        return { ...rest, silentMs: silentTicks === null ? null : silentTicks * TICK_MS }
      }),
      timing: this.#timing.describe(),
      flushes: this.#parts.wal.flushTimes.histogram,
    }
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────

  #armTimer(): void {
    this.#timer?.cancel()
    const ticks = this.#parts.raft.ticksUntilNextDeadline()
    if (ticks === null || this.#stopped) {
      this.#timer = null
      return
    }
    const pulse = Math.min(ticks, PULSE_TICKS)
    const due = this.#tickedAt + pulse * TICK_MS - this.#parts.clock.monotonic()
    this.#timer = this.#parts.clock.after(Math.max(1, due), () => {
      this.#catchUpTicks()
      this.#advance()
    })
  }

  /**
   * Lets the core know of the time that passed. A thread that was not scheduled, or a process that hung, wakes long
   * after it meant to: that time does not count, and what waits in the sockets is read before anything counts as
   * silence.
   */
  #catchUpTicks(): void {
    const { raft, clock } = this.#parts
    const now = clock.monotonic()
    const ticks = Math.floor((now - this.#tickedAt) / TICK_MS)
    if (ticks <= 0) return
    const due = raft.ticksUntilNextDeadline() ?? Number.POSITIVE_INFINITY
    const meant = Math.min(due, PULSE_TICKS)
    if (due === Number.POSITIVE_INFINITY || ticks <= meant + LATE_TICKS_MAX) {
      this.#putOffs = 0
      this.#tickedAt += ticks * TICK_MS
      this.#tick(ticks)
      return
    }
    this.#tickedAt = now
    const mayExpire = due > meant || raft.role === 'leader' || ++this.#putOffs > PUT_OFFS_MAX
    this.#tick(mayExpire ? meant : Math.max(0, due - GRACE_TICKS))
  }

  #tick(count: number): void {
    this.#passedTicks += count
    this.#parts.raft.tick(count)
  }
}
