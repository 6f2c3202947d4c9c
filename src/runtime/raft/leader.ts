/**
 * What a member does while it leads a term: replicate, commit, confirm reads, send snapshots, change the
 * membership, hand over. It ends with the term. Messages leave in `flush`, once per Ready, so that everything
 * proposed in between travels in one append.
 */

import { assert } from '../../base/assert.ts'
import type { ElectionTimer } from './election-timer.ts'
import { createEntry, type Entry, entryTypes, placeEntry } from './entry.ts'
import { encodeConfiguration, firstStep, lastStep, type Membership, membershipProblem } from './membership.ts'
import type { Configuration, MemberId, Message, MessageBody, SnapshotChunk } from './messages.ts'
import type { Outbox } from './outbox.ts'
import { type PendingRead, PendingReads } from './pending-reads.ts'
import { PATIENCE_MAX, PATIENCE_MIN, Progress } from './progress.ts'
import { isOnlyVoter, isVoter, membersOf, quorumValue } from './quorum.ts'
import type { RaftLog } from './raft-log.ts'
import type { ChangeOutcome, PeerProgress } from './ready.ts'
import type { SafetyRules } from './rules.ts'
import { HEARTBEAT_TICKS } from './timing.ts'

/** A member that is to vote may lack so many entries at most; behind more it has to be a learner first. */
export const PROMOTION_LAG_MAX = 1000
/** Entries kept in memory for followers that lag; whoever lags further gets a snapshot. */
export const KEPT_BYTES_MAX = 16 * 1024 * 1024
/** Times as much, while a member that got a snapshot has not caught up: otherwise it might never, under load. */
const RESCUE_FACTOR = 8
/** Reads that may wait for the first commit of the term. */
const EARLY_READS_MAX = 10_000

export interface LeaderParts {
  readonly id: MemberId
  readonly term: number
  readonly log: RaftLog
  readonly outbox: Outbox
  readonly rules: SafetyRules
  readonly keptBytes: number
  readonly appendBytes: number
  /** Without an answer of a quorum for its timeout the leader steps down; a transfer is given up after as long. */
  readonly timer: Pick<ElectionTimer, 'base' | 'timeout'>
  /** More reads wait than may. */
  readonly refuseRead: (read: PendingRead) => void
}

type Reply<Type extends Message['type']> = Extract<Message, { type: Type }>

export class Leader {
  readonly #parts: LeaderParts
  readonly #log: RaftLog
  readonly #progress = new Map<MemberId, Progress>()
  readonly #reads = new PendingReads()
  /** Reads that wait for the first commit of the leader's own term. */
  #earlyReads: PendingRead[] = []
  /** Ticks of this reign. */
  #now = 0
  #quorumElapsed = 0
  #heartbeatElapsed = 0
  #heartbeats = 0
  #heartbeatDue = false
  #transfer: { readonly target: MemberId; elapsed: number; asked: boolean } | null = null
  /** It goes, whether or not the transfer works. */
  #abdicates = false

  constructor(parts: LeaderParts) {
    this.#parts = parts
    this.#log = parts.log
    for (const id of this.#peers()) this.#progress.set(id, new Progress(this.#log.lastIndex + 1))
    this.#appendOwn(entryTypes.noOp, Buffer.alloc(0))
  }

  get #configuration(): Configuration {
    return this.#log.configuration
  }

  /** The log has a membership without this member, and it is committed: its time is over. */
  get isRemoved(): boolean {
    const { committed, configurationIndex } = this.#log
    return configurationIndex <= committed && !isVoter(this.#configuration, this.#parts.id)
  }

  get transferring(): boolean {
    return this.#transfer !== null
  }

  get hasNews(): boolean {
    if (this.#progress.size === 0) return false
    return this.#heartbeatDue || [...this.#progress.values()].some(progress => this.#lacksCommit(progress))
  }

  /** It has entries that it does not know to be committed, and no append on its way says so. */
  #lacksCommit({ match, commitTold }: Progress): boolean {
    return Math.min(this.#log.committed, match) > commitTold
  }

  ticksUntilNextDeadline(): number {
    const quorum = this.#parts.timer.timeout - this.#quorumElapsed
    return Math.max(1, Math.min(quorum, HEARTBEAT_TICKS - this.#heartbeatElapsed))
  }

  /** False when it must step down: no quorum has answered for an election timeout (check-quorum), or it abdicates. */
  tick(count: number): boolean {
    this.#now += count
    this.#quorumElapsed += count
    if (!this.#tickTransfer(count)) return false
    if (this.#quorumElapsed >= this.#parts.timer.timeout) {
      this.#quorumElapsed = 0
      if (!this.#quorumIsActive()) return false
    }
    this.#heartbeatElapsed += count
    if (this.#heartbeatElapsed < HEARTBEAT_TICKS) return true
    this.#heartbeatDue = true
    for (const progress of this.#progress.values()) progress.checkDue = true
    return true
  }

  #quorumIsActive(): boolean {
    const activity = (id: MemberId) => (id === this.#parts.id || this.#progress.get(id)?.active ? 1 : 0)
    const active = quorumValue(this.#configuration, activity) >= 1
    for (const progress of this.#progress.values()) progress.active = false
    return active
  }

  propose(proposals: readonly Buffer[]): void {
    for (const bytes of proposals) {
      this.#log.append(placeEntry(bytes, { index: this.#log.lastIndex + 1, term: this.#parts.term }))
    }
  }

  /** Sends what is new: appends, and a heartbeat where one is due or nothing else tells of a commit. */
  flush(): void {
    const heartbeat = this.#heartbeatDue
    for (const [id, progress] of this.#progress) {
      this.#sendAppends(id, progress)
      if (heartbeat || this.#lacksCommit(progress)) this.#sendHeartbeat(id, progress)
    }
    if (!heartbeat) return
    this.#heartbeatDue = false
    this.#heartbeatElapsed = 0
  }

  // ── answers ────────────────────────────────────────────────────────────────────────────────────────

  takeAppendReply(message: Reply<'append-reply'>): void {
    const progress = this.#heardOf(message.from)
    if (progress === undefined) return
    if (message.rejected) {
      const { index, indexTerm } = message
      progress.rejected(message, this.#log.lastNotAbove(index, indexTerm))
    } else if (progress.accepted(message.index)) this.maybeCommit()
    this.#sendAppends(message.from, progress)
    this.#maybeHandOver()
  }

  takeHeartbeatReply(message: Reply<'heartbeat-reply'>): void {
    const progress = this.#heardOf(message.from)
    if (progress === undefined) return
    if (progress.checkDue) this.#checkOn(message.from, progress)
    const { id } = this.#parts
    const confirmed = this.#reads.confirm(this.#configuration, id, message.from, message.read)
    for (const read of confirmed) this.#answerRead(read)
  }

  /** It answers, but gets no further: what was sent may be lost, so something is sent to compare logs with. */
  #checkOn(id: MemberId, progress: Progress): void {
    progress.checkDue = false
    if (progress.snapshot !== null) {
      this.#retrySnapshot(id, progress)
      return
    }
    const stalls = progress.probing || progress.match === progress.checkedMatch
    progress.checkedMatch = progress.match
    progress.retry()
    if (stalls && progress.match < this.#log.lastIndex) this.#sendAppend(id, progress)
  }

  #heardOf(id: MemberId): Progress | undefined {
    const progress = this.#progress.get(id)
    if (progress === undefined) return undefined
    progress.active = true
    progress.heardAt = this.#now
    return progress
  }

  describeProgress(): PeerProgress[] {
    return [...this.#progress].map(([member, { match, heardAt, snapshot }]) => {
      const silentTicks = heardAt === null ? null : this.#now - heardAt
      return { member, match, silentTicks, snapshot: snapshot !== null }
    })
  }

  // ── replication ────────────────────────────────────────────────────────────────────────────────────

  /** Nothing leaves when all was sent, or the follower is being probed, has enough in flight or lags too far. */
  #sendAppends(to: MemberId, progress: Progress): void {
    while (progress.mayBeSentTo && (progress.probing || progress.next <= this.#log.lastIndex)) {
      if (!this.#sendAppend(to, progress)) return
    }
  }

  /** False when the entry before `next` is not in memory any more, so that only a snapshot helps. */
  #sendAppend(to: MemberId, progress: Progress): boolean {
    const previousIndex = progress.next - 1
    const previousTerm = this.#log.termAt(previousIndex)
    if (previousTerm === null) {
      progress.beginSnapshot()
      this.#parts.outbox.readSnapshot({ to, id: 0, offset: 0 })
      return false
    }
    const entries: Entry[] = progress.mayBeSentTo
      ? this.#log.from(progress.next, this.#parts.appendBytes)
      : []
    const bytes = entries.reduce((total, entry) => total + entry.bytes.length, 0)
    const commit = this.#log.committed
    this.#send(to, {
      type: 'append',
      previousIndex,
      previousTerm,
      entries,
      commit,
      attempt: progress.attempt,
    })
    progress.commitTold = Math.max(progress.commitTold, Math.min(commit, previousIndex + entries.length))
    progress.sent(previousIndex + entries.length, bytes)
    return true
  }

  /** A follower is told of no more than what it is known to have. */
  #sendHeartbeat(to: MemberId, progress: Progress): void {
    const commit = Math.min(this.#log.committed, progress.match)
    progress.commitTold = Math.max(progress.commitTold, commit)
    const electionTicks = this.#parts.timer.base
    const sequence = ++this.#heartbeats
    this.#send(to, { type: 'heartbeat', commit, read: this.#reads.round, electionTicks, sequence })
  }

  maybeCommit(): void {
    const { id, term, rules } = this.#parts
    const matched = (member: MemberId) =>
      member === id ? this.#log.stable : (this.#progress.get(member)?.match ?? 0)
    const index = Math.min(quorumValue(this.#configuration, matched), this.#log.lastIndex)
    if (index <= this.#log.committed || !rules.mayCommitByCounting(this.#log.termAt(index), term)) return
    const first = this.#log.termAt(this.#log.committed) !== term
    this.#log.commitTo(index)
    if (first) this.#releaseEarlyReads()
    this.#maybeLeaveJoint()
  }

  /**
   * Forgets entries that are applied here and that every member has. One that lags holds back
   * no more than `keptBytes`, and gets a snapshot when that is not enough.
   */
  dropLog(applied: number): void {
    let needed = applied
    let { keptBytes } = this.#parts
    for (const [id, progress] of this.#progress) {
      const { match, snapshot } = progress
      needed = Math.min(needed, Math.max(match, snapshot?.index ?? 0))
      if (match >= applied) progress.rescued = false
      else if (progress.rescued && this.#isAlive(id)) keptBytes = RESCUE_FACTOR * this.#parts.keptBytes
    }
    this.#log.dropTo(Math.min(applied, Math.max(needed, this.#log.lastBeyond(keptBytes))))
  }

  // ── snapshots ──────────────────────────────────────────────────────────────────────────────────────

  /** The driver has read a piece for a member; null when it has no snapshot to read. */
  sendSnapshotChunk(to: MemberId, chunk: SnapshotChunk | null): void {
    const progress = this.#progress.get(to)
    const outgoing = progress?.snapshot
    if (!progress || !outgoing?.reading) return
    if (chunk === null) {
      progress.abandonSnapshot()
      return
    }
    assert(chunk.snapshot.id === outgoing.id || chunk.offset === 0, 'another snapshot is sent from its start')
    const { id, index } = chunk.snapshot
    const { patience } = outgoing
    progress.snapshot = { id, index, offset: chunk.offset, reading: false, quiet: 0, patience }
    this.#send(to, { type: 'snapshot', chunk })
  }

  takeSnapshotReply({ from, id, next }: Reply<'snapshot-reply'>): void {
    const outgoing = this.#heardOf(from)?.snapshot
    // What it asks for is on its way already: an answer to a piece that was sent twice.
    if (!outgoing || outgoing.reading || outgoing.id !== id || outgoing.offset === next) return
    outgoing.offset = next
    outgoing.patience = PATIENCE_MIN
    this.#readSnapshot(from, outgoing)
  }

  /** Heard of again and again without an answer to the piece: it is lost, or late, and is sent again. */
  #retrySnapshot(from: MemberId, progress: Progress): void {
    const outgoing = progress.snapshot
    if (outgoing === null || outgoing.reading) return
    if (++outgoing.quiet < outgoing.patience) return
    outgoing.patience = Math.min(PATIENCE_MAX, 2 * outgoing.patience)
    this.#readSnapshot(from, outgoing)
  }

  #readSnapshot(to: MemberId, outgoing: NonNullable<Progress['snapshot']>): void {
    outgoing.reading = true
    this.#parts.outbox.readSnapshot({ to, id: outgoing.id, offset: outgoing.offset })
  }

  // ── membership ─────────────────────────────────────────────────────────────────────────────────────

  /** One change at a time, and none before this term has committed something: what is in force is certain. */
  changeMembership(target: Membership): ChangeOutcome {
    const why = membershipProblem(target)
    if (why !== null) return { kind: 'invalid', why }
    const { committed, configurationIndex, lastIndex } = this.#log
    const settled = configurationIndex <= committed && this.#log.termAt(committed) === this.#parts.term
    if (!settled || this.#configuration.outgoing.length > 0 || this.transferring) return { kind: 'busy' }
    const lagging = target.voters.find(id => id !== this.#parts.id && !this.#isReady(id))
    if (lagging !== undefined) return { kind: 'not-ready', member: lagging }
    this.#appendConfiguration(firstStep(this.#configuration, target))
    return { kind: 'accepted', firstIndex: lastIndex + 1, term: this.#parts.term }
  }

  /** Voters of now are; anybody else must have nearly all of the log. */
  #isReady(id: MemberId): boolean {
    if (isVoter(this.#configuration, id)) return true
    const progress = this.#progress.get(id)
    if (progress === undefined || progress.snapshot !== null || progress.probing) return false
    return progress.match + PROMOTION_LAG_MAX >= this.#log.lastIndex
  }

  #maybeLeaveJoint(): void {
    const { committed, configurationIndex } = this.#log
    if (this.#configuration.outgoing.length === 0 || configurationIndex > committed) return
    this.#appendConfiguration(lastStep(this.#configuration))
  }

  /** It is in force from now on. Who leaves is sent it once more, so that it knows. */
  #appendConfiguration(configuration: Configuration): void {
    this.#appendOwn(entryTypes.membership, encodeConfiguration(configuration))
    for (const [id, progress] of this.#progress) {
      if (membersOf(configuration).includes(id)) continue
      this.#sendAppends(id, progress)
      this.#progress.delete(id)
    }
    for (const id of this.#peers()) {
      if (!this.#progress.has(id)) this.#progress.set(id, new Progress(this.#log.lastIndex))
    }
  }

  // ── handing over ───────────────────────────────────────────────────────────────────────────────────

  /** Lets `target` lead as soon as it has the whole log; nothing is accepted until then. */
  transferTo(target: MemberId): boolean {
    if (target === this.#parts.id || !isVoter(this.#configuration, target) || this.transferring) return false
    this.#transfer = { target, elapsed: 0, asked: false }
    this.#maybeHandOver()
    return true
  }

  /** A removed leader names an heir, so that nobody has to wait for an election timeout. */
  nameHeir(): void {
    const best = this.bestHeir()
    if (best !== null) this.#send(best, { type: 'timeout-now' })
  }

  /** The voter that has most of the log, of those that were heard of lately if there are any. */
  bestHeir(): MemberId | null {
    const heirs = this.#peers().filter(id => isVoter(this.#configuration, id))
    const merit = (id: MemberId) => (this.#isAlive(id) ? Number.MAX_SAFE_INTEGER / 2 : 0) + this.#matchOf(id)
    return heirs.sort((a, b) => merit(b) - merit(a))[0] ?? null
  }

  #isAlive(id: MemberId): boolean {
    const heardAt = this.#progress.get(id)?.heardAt ?? null
    return heardAt !== null && this.#now - heardAt < this.#parts.timer.base
  }

  #matchOf(id: MemberId): number {
    return this.#progress.get(id)?.match ?? 0
  }

  #maybeHandOver(): void {
    const transfer = this.#transfer
    if (transfer === null || transfer.asked || this.#matchOf(transfer.target) < this.#log.lastIndex) return
    transfer.asked = true
    this.#send(transfer.target, { type: 'timeout-now' })
  }

  /** Hands over to whoever can take over best, and goes anyhow after an election timeout; nobody alone can. */
  abdicate(): void {
    const heir = this.bestHeir()
    if (this.#abdicates || heir === null) return
    this.#abdicates = true
    this.#transfer = null
    this.transferTo(heir)
  }

  /** False when an abdication has not worked in time. */
  #tickTransfer(count: number): boolean {
    if (this.#transfer === null) return true
    this.#transfer.elapsed += count
    if (this.#transfer.elapsed < this.#parts.timer.base) return true
    this.#transfer = null
    return !this.#abdicates
  }

  // ── reads ──────────────────────────────────────────────────────────────────────────────────────────

  read(read: PendingRead): void {
    if (this.#log.termAt(this.#log.committed) !== this.#parts.term) {
      if (this.#earlyReads.length < EARLY_READS_MAX) this.#earlyReads.push(read)
      else this.#parts.refuseRead(read)
      return
    }
    const asked = { ...read, index: this.#log.committed }
    if (isOnlyVoter(this.#configuration, this.#parts.id) || !this.#parts.rules.mustConfirmReads()) {
      this.#answerRead(asked)
    } else if (this.#reads.add(asked)) this.#heartbeatDue = true
    else this.#parts.refuseRead(read)
  }

  /** The reads that are not answered. */
  takeReads(): PendingRead[] {
    return [...this.#earlyReads.splice(0), ...this.#reads.takeAll()]
  }

  #releaseEarlyReads(): void {
    const early = this.#earlyReads
    this.#earlyReads = []
    for (const read of early) this.read(read)
  }

  #answerRead({ from, context, index }: PendingRead): void {
    if (from === this.#parts.id) this.#parts.outbox.answer({ context, index })
    else this.#send(from, { type: 'read-index-reply', context, index })
  }

  // ── out ────────────────────────────────────────────────────────────────────────────────────────────

  #appendOwn(type: typeof entryTypes.noOp | typeof entryTypes.membership, payload: Buffer): void {
    this.#log.append(createEntry(type, payload, { index: this.#log.lastIndex + 1, term: this.#parts.term }))
  }

  #peers(): MemberId[] {
    return membersOf(this.#configuration).filter(id => id !== this.#parts.id)
  }

  #send(to: MemberId, body: MessageBody): void {
    this.#parts.outbox.send({ from: this.#parts.id, to, term: this.#parts.term, ...body })
  }
}
