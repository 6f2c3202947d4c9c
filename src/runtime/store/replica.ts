/**
 * Drives the consensus core on the raft thread: requests and messages in; write-ahead log, messages, committed
 * entries and answers out. All decisions are the core's; this one owns the order: write → (durable) → tell the
 * core → apply. Time, disk, network and snapshots are arguments.
 */

import type { Clock, Timer } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import { proposerAt, readEntryHeader, requestAt, splitEntries } from '../raft/entry.ts'
import type { Membership } from '../raft/membership.ts'
import type { Configuration, MemberId, Message, Snapshot, SnapshotChunk } from '../raft/messages.ts'
import { membersOf } from '../raft/quorum.ts'
import type { Raft } from '../raft/raft.ts'
import type { ChangeOutcome, Ready, SnapshotRead } from '../raft/ready.ts'
import { HEARTBEAT_TICKS, TICK_MS } from '../raft/timing.ts'
import { CommitNotices } from './commit-notices.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import { MainBacklog } from './main-backlog.ts'
import { MainReports } from './main-reports.ts'
import type { PeerMessage, PeerNetwork, ProposerRequest } from './peers/peer-network.ts'
import { ReplicaTiming } from './replica-timing.ts'
import type { FromRaft, RaftRequests, RaftThreadDetails, RefusedRequest } from './thread-messages.ts'

/** The thread wakes so often at least, to see whether it runs; heartbeats wake it as often. */
const PULSE_TICKS = HEARTBEAT_TICKS
/** Waking by more ticks late says that the thread did not run, not that nobody spoke. */
const LATE_TICKS_MAX = 3
/** Then a deadline is put off by so many, in which the sockets are read; but not for ever. */
const GRACE_TICKS = 2
const PUT_OFFS_MAX = 5

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
  /** Runs it at the end of this turn of the event loop; at once where absent. */
  readonly defer?: (work: () => void) => void
  readonly snapshots?: SnapshotPort
  /** Bytes that may be handed to the main thread and not taken; usually HANDED_BYTES_MAX. */
  readonly handedBytesMax?: number
}

export class Replica {
  readonly #parts: ReplicaParts
  /** The snapshot being sent to a member; its place is remembered, because the log may forget it meanwhile. */
  readonly #sending = new Map<MemberId, Snapshot>()
  readonly #timing: ReplicaTiming
  readonly #backlog: MainBacklog
  readonly #notices: CommitNotices
  readonly #reports: MainReports
  #timer: Timer | null = null
  /** When the timer fires. */
  #timerAt = 0
  #due = false
  /** Times in a row that a deadline was put off, because the thread woke late. */
  #putOffs = 0
  /** Ticks since the last turn. */
  #passedTicks = 0
  #tickedAt: number
  #configuration: Configuration | null = null
  #stopped = false

  constructor(parts: ReplicaParts) {
    this.#parts = parts
    this.#tickedAt = parts.clock.monotonic()
    this.#timing = new ReplicaTiming(parts)
    this.#backlog = new MainBacklog(parts.handedBytesMax)
    this.#notices = new CommitNotices(parts.clock, message => this.#leave(message))
    this.#reports = new MainReports({ ...parts, timing: this.#timing, backlog: this.#backlog })
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
    this.#notices.stop()
    this.#reports.stop()
  }

  request({ entries, fences, reads }: RaftRequests): void {
    const { raft } = this.#parts
    this.#reports.asked()
    const proposals = splitEntries(Buffer.from(entries)) ?? []
    const [first] = proposals
    if (first !== undefined) this.#reports.proposes(proposerAt(first, 0))
    const terms = new Map(fences.map(({ request, term }) => [request, term]))
    let together: Buffer[] = []
    for (const proposal of proposals) {
      const term = terms.get(requestAt(proposal, 0))
      if (term === undefined) together.push(proposal)
      else {
        this.#propose(together)
        this.#propose([proposal], term)
        together = []
      }
    }
    this.#propose(together)
    for (const context of reads) if (!raft.readIndex(context)) this.#refuse('read', context, 'no-leader')
    this.#soon()
  }

  #propose(proposals: readonly Buffer[], term?: number): void {
    if (proposals.length === 0) return
    const { raft } = this.#parts
    const { kind } = raft.propose(proposals, term)
    if (kind === 'accepted') return
    if (kind === 'not-leader' && this.#canForward) {
      this.#parts.network?.send(raft.leader, { type: 'forward', proposals })
    } else if (kind === 'too-new' && proposals.length > 1) {
      // Perhaps one of them only.
      for (const proposal of proposals) this.#propose([proposal], term)
    } else {
      const reason = kind === 'not-leader' ? 'no-leader' : kind
      for (const proposal of proposals) this.#refuse('proposal', requestAt(proposal, 0), reason)
    }
  }

  get #canForward(): boolean {
    const { raft, network } = this.#parts
    return network !== undefined && raft.leader !== 0 && raft.leader !== raft.id
  }

  #refuse(kind: RefusedRequest['kind'], request: number, reason: RefusedRequest['reason']): void {
    this.#reports.refuse({ kind, request, reason, term: this.#parts.raft.term })
  }

  /** A message of another member. */
  receive(message: PeerMessage, from: MemberId): void {
    if (this.#stopped) return
    this.#catchUpTicks()
    if (message.type === 'raft') this.#step(message.message)
    else if (message.type === 'forward') this.#takeForwarded(message.proposals, from)
    else if (message.type === 'forward-refusal') this.#takeRefusal(message.requests)
    this.#soon()
  }

  #step(message: Message): void {
    if (this.#backlog.takes(message)) return
    if (message.type === 'heartbeat-reply') this.#timing.heartbeatAnswered(message.from, message.sequence)
    this.#parts.raft.step(message)
  }

  /** Whoever sent them to a member that does not lead, or hands over, has to know at once. */
  #takeForwarded(proposals: readonly Buffer[], from: MemberId): void {
    this.#notices.awaits(from)
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
      if (this.#reports.isOwn(proposer)) this.#refuse('proposal', request, 'no-leader')
    }
  }

  /** The main thread has applied so many bytes of what was handed to it, and found room for what came of them. */
  taken(bytes: number): void {
    if (!this.#backlog.taken(bytes) || this.#stopped) return
    this.#parts.log.info('the main thread has caught up')
    for (const append of this.#backlog.takeParked()) this.#step(append)
    this.#soon()
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

  /** Once for everything that came in the same turn. */
  #soon(): void {
    const { defer } = this.#parts
    if (defer === undefined) {
      this.#advance()
      return
    }
    if (this.#due) return
    this.#due = true
    defer(() => {
      this.#due = false
      if (!this.#stopped) this.#advance()
    })
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
    const { raft, wal } = this.#parts
    for (const message of ready.messages) this.#notices.send(message)
    this.#reports.committed(ready.committed)
    this.#reports.answer(ready.reads)
    for (const context of ready.refusedReads) this.#refuse('read', context, 'no-leader')
    const { restore } = ready
    const done = () => {
      if (this.#stopped) return
      if (restore !== null) this.#postRestored(restore.index)
      raft.persisted(ready.number)
      this.#soon()
    }
    wal.append({ restore, hardState: ready.hardState, entries: ready.entries, done })
    for (const read of ready.snapshotReads) this.#readSnapshot(read)
    for (const chunk of ready.snapshotChunks) this.#storeChunk(chunk)
    const applied = ready.committed.at(-1)
    if (applied !== undefined) raft.dropLog(applied.index)
  }

  #leave(message: Message): void {
    if (message.type === 'heartbeat') this.#timing.heartbeatLeaves(message.to, message.sequence)
    this.#parts.network?.send(message.to, { type: 'raft', message })
  }

  // ── snapshots ──────────────────────────────────────────────────────────────────────────────────────

  /** The state as of the snapshot takes the place of what was applied; nothing behind it was handed on yet. */
  #postRestored(index: number): void {
    this.#reports.post(true)
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
    this.#reports.post()
  }

  details(): RaftThreadDetails {
    return this.#reports.details()
  }

  // ── time ───────────────────────────────────────────────────────────────────────────────────────────

  /** A timer that fires too early does no harm: it is left alone, because most turns only put the deadline off. */
  #armTimer(): void {
    const ticks = this.#parts.raft.ticksUntilNextDeadline()
    if (ticks === null || this.#stopped) {
      this.#timer?.cancel()
      this.#timer = null
      return
    }
    const dueAt = this.#tickedAt + Math.min(ticks, PULSE_TICKS) * TICK_MS
    if (this.#timer !== null && this.#timerAt <= dueAt) return
    this.#timer?.cancel()
    this.#timerAt = dueAt
    this.#timer = this.#parts.clock.after(Math.max(1, dueAt - this.#parts.clock.monotonic()), () => {
      this.#timer = null
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
