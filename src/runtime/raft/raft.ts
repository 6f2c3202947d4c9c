/**
 * The door of the consensus core: pure and synchronous. Messages, ticks and proposals go in; `takeReady` says
 * what to persist, send and apply. It has no timer, socket, disk or randomness of its own.
 *
 * The driver's whole contract, for each Ready: write `restore`, `hardState` and `entries` in order; send
 * `messages` at once; apply `committed`; when the write is durable, call `persisted(ready.number)`. Messages that
 * promise something durable are held back until then. Answer each of `snapshotReads` with `sendSnapshotChunk` and
 * each of `snapshotChunks` with `snapshotStored`, once it is durable.
 */

import { assert } from '../../base/assert.ts'
import { ElectionTimer } from './election-timer.ts'
import { EntryGate } from './entry-gate.ts'
import { Follower } from './follower.ts'
import { KEPT_BYTES_MAX, Leader } from './leader.ts'
import type { Membership } from './membership.ts'
import {
  type Configuration,
  isFromLeader,
  type MemberId,
  type Message,
  type MessageBody,
  type SnapshotChunk,
} from './messages.ts'
import { Outbox } from './outbox.ts'
import { APPEND_BYTES_MAX } from './progress.ts'
import { countVotes, isAlone, isOnlyVoter, isVoter, otherVoters } from './quorum.ts'
import { RaftLog, type RaftLogView } from './raft-log.ts'
import type {
  ChangeOutcome,
  HardState,
  PeerProgress,
  ProposeOutcome,
  RaftParts,
  Ready,
  Role,
} from './ready.ts'
import { type SafetyRules, soundRules } from './rules.ts'

type OtherMessage = Exclude<Message, { type: 'pre-vote' | 'pre-vote-reply' }>

export class Raft {
  readonly id: MemberId
  /** Opened further by the driver, as the cluster version rises. */
  readonly entryGate: EntryGate
  readonly #rules: SafetyRules
  readonly #keptBytes: number
  readonly #appendBytes: number
  readonly #log: RaftLog
  /** What this member does as the leader of `#term`; null when it does not lead. */
  #reign: Leader | null = null
  #role: Role = 'follower'
  #term: number
  #vote: MemberId
  #leader: MemberId = 0
  readonly #timer: ElectionTimer
  #votes = new Map<MemberId, boolean>()
  readonly #outbox = new Outbox()
  readonly #follower: Follower
  #diskStalls = false
  #readyNumber = 1
  #written: HardState

  constructor(parts: RaftParts) {
    this.id = parts.id
    this.entryGate = new EntryGate(parts.entryVersions)
    this.#rules = parts.rules ?? soundRules
    this.#keptBytes = parts.keptBytes ?? KEPT_BYTES_MAX
    this.#appendBytes = parts.appendBytes ?? APPEND_BYTES_MAX
    this.#log = new RaftLog(parts.log)
    this.#term = parts.hardState.term
    this.#vote = parts.hardState.vote
    this.#written = { ...parts.hardState, commit: this.#log.committed }
    this.#timer = new ElectionTimer(parts.random)
    this.#follower = new Follower({
      log: this.#log,
      outbox: this.#outbox,
      rules: this.#rules,
      send: (to, body) => this.#send(to, body),
      sendAfterPersist: (to, body) => this.#sendAfterPersist(to, body),
    })
  }

  get role(): Role {
    return this.#role
  }

  get term(): number {
    return this.#term
  }

  /** The leader of this term as far as known; 0 for nobody. */
  get leader(): MemberId {
    return this.#leader
  }

  get vote(): MemberId {
    return this.#vote
  }

  get log(): RaftLogView {
    return this.#log
  }

  get configuration(): Configuration {
    return this.#log.configuration
  }

  /** Index of the entry that brought the configuration; once that is committed, no change is under way. */
  get configurationIndex(): number {
    return this.#log.configurationIndex
  }

  /** It leads, and is handing that over: nothing is accepted meanwhile. */
  get transferring(): boolean {
    return this.#reign?.transferring ?? false
  }

  /** What a leader knows of the others; empty on a member that does not lead. */
  get progress(): readonly PeerProgress[] {
    return this.#reign?.describeProgress() ?? []
  }

  get #onlyVoter(): boolean {
    return isOnlyVoter(this.configuration, this.id)
  }

  /**
   * A voter may stand for election, and so may one that its log takes out by an entry not yet committed: its log
   * may be the only one that is complete enough to win.
   */
  get #mayStand(): boolean {
    if (this.#diskStalls) return false
    if (isVoter(this.configuration, this.id)) return true
    const { configurationIndex, committed } = this.#log
    if (configurationIndex <= committed) return false
    return isVoter(this.#log.configurationAt(configurationIndex - 1), this.id)
  }

  /** An only voter needs nobody's leave: it stands for election at once. */
  start(): void {
    if (this.#onlyVoter) this.#campaign(false)
  }

  /** How many ticks may pass before `tick` does something; null when none ever will. */
  ticksUntilNextDeadline(): number | null {
    if (this.#role !== 'follower' && isAlone(this.configuration, this.id)) return null
    if (this.#reign !== null) return this.#reign.ticksUntilNextDeadline()
    if (!this.#mayStand) return null
    return this.#timer.left
  }

  /** `count` ticks have passed. */
  tick(count = 1): void {
    this.#timer.tick(count)
    if (this.#role !== 'follower' && isAlone(this.configuration, this.id)) return
    if (this.#reign !== null) {
      if (!this.#reign.tick(count)) this.#becomeFollower(this.#term, 0)
    } else if (this.#timer.isDue && this.#mayStand) {
      this.#preCampaign()
    }
  }

  /** The link to a member is closed. If it is the leader, it may be dead: ask soon whether others think so too. */
  linkClosed(peer: MemberId): void {
    if (peer !== this.#leader || this.#reign !== null) return
    this.#leader = 0
    this.#timer.hurry()
  }

  /** In ticks: the shortest wait for a leader, as measured by the driver; a leader tells it to the others. */
  setElectionTimeout(ticks: number): void {
    this.#timer.setOwn(ticks)
  }

  /** The shortest wait in force here, in ticks: this member's own or the leader's. */
  get electionTimeout(): number {
    return this.#timer.base
  }

  /**
   * Nothing becomes durable here for longer than an election timeout. Such a member cannot vote, acknowledge or
   * apply, so it does not stand for election, and hands over when it leads and anybody else may.
   */
  setDiskStalls(stalls: boolean): void {
    this.#diskStalls = stalls
    if (stalls) this.#reign?.abdicate()
  }

  /** Appends proposals (bytes with index and term 0) on the leader; `term` is a fence. */
  propose(proposals: readonly Buffer[], term?: number): ProposeOutcome {
    const refusal = this.entryGate.refuse(proposals)
    if (refusal !== null) return refusal
    if (term !== undefined && (this.#reign === null || this.#term !== term)) {
      return { kind: 'fenced', term: this.#term }
    }
    if (this.#reign === null || this.#reign.transferring) return { kind: 'not-leader', leader: this.#leader }
    const firstIndex = this.#log.lastIndex + 1
    this.#reign.propose(proposals)
    return { kind: 'accepted', firstIndex, term: this.#term }
  }

  /** Makes `target` the membership, in one change however many voters differ. */
  changeMembership(target: Membership): ChangeOutcome {
    return this.#reign?.changeMembership(target) ?? { kind: 'not-leader', leader: this.#leader }
  }

  /** Hands leadership to another voter; false when that cannot be tried. */
  transferLeadership(target: MemberId): boolean {
    return this.#reign?.transferTo(target) ?? false
  }

  /** The other voter that has most of the log; null when there is none or this member does not lead. */
  bestHeir(): MemberId | null {
    return this.#reign?.bestHeir() ?? null
  }

  /** Asks for the index that must be applied before a read is linearizable; false when nobody leads. */
  readIndex(context: number): boolean {
    if (this.#reign !== null) {
      this.#reign.read({ from: this.id, context, index: 0 })
      return true
    }
    if (this.#leader === 0) return false
    this.#send(this.#leader, { type: 'read-index', context })
    return true
  }

  step(message: Message): void {
    assert(message.to === this.id, 'a message reaches the member it is addressed to')
    if (message.type === 'pre-vote') this.#answerPreVote(message)
    else if (message.type === 'pre-vote-reply') this.#takePreVote(message)
    else if (message.term < this.#term) this.#answerStale(message)
    else if (message.term === this.#term) this.#stepSameTerm(message)
    else if (message.type !== 'vote' || message.transfer || !this.#hearsLeader(message.from)) {
      this.#becomeFollower(message.term, isFromLeader(message) ? message.from : 0)
      this.#stepSameTerm(message)
    }
    if (this.#reign?.isRemoved) this.#retire(this.#reign)
  }

  /** The write of Ready `number` and of all before it is durable. */
  persisted(number: number): void {
    this.#log.persisted(number)
    for (const message of this.#outbox.release(number)) {
      if (message.term !== this.#term) continue
      if (message.to === this.id) this.step(message)
      else this.#outbox.send(message)
    }
    this.#reign?.maybeCommit()
    if (this.#reign?.isRemoved) this.#retire(this.#reign)
  }

  /** A piece of a snapshot for a lagging member, as a Ready asked for it; null when there is none. */
  sendSnapshotChunk(to: MemberId, chunk: SnapshotChunk | null): void {
    this.#reign?.sendSnapshotChunk(to, chunk)
  }

  /** A piece is durable; after the last, the log begins anew behind the snapshot. Null: it was damaged, and is gone. */
  snapshotStored(id: number, end: number | null): void {
    this.#follower.snapshotStored(id, end, this.#reign === null ? this.#leader : 0)
  }

  /** The received snapshot has yet to become the state, or has: until then no other is received. */
  setInstalling(installing: boolean): void {
    this.#follower.setInstalling(installing)
  }

  get hasReady(): boolean {
    return (
      this.#outbox.isWaiting(this.#readyNumber) ||
      this.#log.hasToPersist ||
      this.#log.hasToApply ||
      this.#log.hasRestored ||
      this.#term !== this.#written.term ||
      this.#vote !== this.#written.vote ||
      (this.#reign?.hasNews ?? false)
    )
  }

  takeReady(): Ready {
    this.#reign?.flush()
    const number = this.#readyNumber++
    const hardState = { term: this.#term, vote: this.#vote, commit: this.#log.committed }
    const { term, vote, commit } = this.#written
    const changed = term !== hardState.term || vote !== hardState.vote
    const restore = this.#log.takeRestored()
    const entries = this.#log.takeToPersist(number)
    const moved = changed || commit !== hardState.commit
    this.#written = hardState
    return {
      number,
      restore,
      hardState: moved ? hardState : null,
      entries,
      mustFlush: changed || entries.length > 0 || restore !== null,
      committed: this.#log.takeToApply(),
      ...this.#outbox.take(),
    }
  }

  /** Entries up to `index` are applied: those that nobody needs from memory are forgotten. */
  dropLog(index: number): void {
    if (this.#reign !== null) this.#reign.dropLog(index)
    else if (isAlone(this.configuration, this.id)) this.#log.dropTo(index)
    // Whoever leads next can help others with what it kept.
    else this.#log.dropTo(Math.min(index, this.#log.lastBeyond(this.#keptBytes / 2)))
    this.#log.pack(index, this.#keptBytes)
  }

  // ── roles ──────────────────────────────────────────────────────────────────────────────────────────

  #becomeFollower(term: number, leader: MemberId): void {
    if (term > this.#term) this.#vote = 0
    this.#term = term
    this.#role = 'follower'
    this.#leader = leader
    this.#timer.restart()
    const reign = this.#reign
    this.#reign = null
    // Who waits asks again, whoever leads then.
    for (const read of reign?.takeReads() ?? []) this.#refuseRead(read.from, read.context)
  }

  #refuseRead(from: MemberId, context: number): void {
    if (from === this.id) this.#outbox.refuse(context)
    else this.#send(from, { type: 'read-index-refusal', context })
  }

  #preCampaign(): void {
    this.#role = 'pre-candidate'
    this.#leader = 0
    this.#timer.restart()
    this.#votes = new Map([[this.id, true]])
    if (countVotes(this.configuration, this.#votes) === 'won') {
      this.#campaign(false)
      return
    }
    const { lastIndex, lastTerm } = this.#log
    const term = this.#term + 1
    for (const to of otherVoters(this.configuration, this.id)) {
      this.#outbox.send({ type: 'pre-vote', from: this.id, to, term, lastIndex, lastTerm })
    }
  }

  #campaign(transfer: boolean): void {
    this.#role = 'candidate'
    this.#leader = 0
    this.#term++
    this.#vote = this.id
    this.#timer.restart()
    this.#votes = new Map()
    // Its own vote counts only once it is durable, like everybody's.
    this.#sendAfterPersist(this.id, { type: 'vote-reply', granted: true })
    const { lastIndex, lastTerm } = this.#log
    for (const id of otherVoters(this.configuration, this.id))
      this.#send(id, { type: 'vote', lastIndex, lastTerm, transfer })
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#leader = this.id
    // From here on it is this member's own timeout that counts.
    this.#timer.setTold(0)
    this.#reign = new Leader({
      id: this.id,
      term: this.#term,
      log: this.#log,
      outbox: this.#outbox,
      rules: this.#rules,
      keptBytes: this.#keptBytes,
      appendBytes: this.#appendBytes,
      timer: this.#timer,
      refuseRead: read => this.#refuseRead(read.from, read.context),
    })
  }

  /** A leader that is no member any more has led the cluster up to here, and goes. */
  #retire(reign: Leader): void {
    reign.flush()
    reign.nameHeir()
    this.#becomeFollower(this.#term, 0)
  }

  // ── elections ──────────────────────────────────────────────────────────────────────────────────────

  /** A member that hears a leader helps nobody to unseat it. */
  #hearsLeader(candidate: MemberId): boolean {
    if (this.#reign !== null) return true
    return this.#leader !== 0 && this.#leader !== candidate && this.#timer.heardLately
  }

  #answerPreVote(message: Extract<Message, { type: 'pre-vote' }>): void {
    const granted =
      message.term > this.#term &&
      !this.#hearsLeader(message.from) &&
      this.#log.isUpToDate(message.lastIndex, message.lastTerm)
    const term = granted ? message.term : this.#term
    this.#outbox.send({ type: 'pre-vote-reply', from: this.id, to: message.from, term, granted })
  }

  #takePreVote(message: Extract<Message, { type: 'pre-vote-reply' }>): void {
    if (!message.granted && message.term > this.#term) this.#becomeFollower(message.term, 0)
    if (this.#role !== 'pre-candidate' || (message.granted && message.term !== this.#term + 1)) return
    this.#votes.set(message.from, message.granted)
    const outcome = countVotes(this.configuration, this.#votes)
    if (outcome === 'won') this.#campaign(false)
    else if (outcome === 'lost') this.#becomeFollower(this.#term, 0)
  }

  #answerVote(message: Extract<Message, { type: 'vote' }>): void {
    const free = this.#rules.mayVote(this.#vote, message.from) && this.#leader === 0
    const granted = free && this.#log.isUpToDate(message.lastIndex, message.lastTerm)
    if (granted) {
      this.#vote = message.from
      this.#timer.reset()
    }
    this.#sendAfterPersist(message.from, { type: 'vote-reply', granted })
  }

  #takeVote(message: Extract<Message, { type: 'vote-reply' }>): void {
    if (this.#role !== 'candidate') return
    this.#votes.set(message.from, message.granted)
    const outcome = countVotes(this.configuration, this.#votes)
    if (outcome === 'won') this.#becomeLeader()
    else if (outcome === 'lost') this.#becomeFollower(this.#term, 0)
  }

  // ── messages ───────────────────────────────────────────────────────────────────────────────────────

  #stepSameTerm(message: OtherMessage): void {
    if (isFromLeader(message)) this.#follow(message.from)
    switch (message.type) {
      case 'vote':
        this.#answerVote(message)
        break
      case 'vote-reply':
        this.#takeVote(message)
        break
      case 'append':
        this.#follower.takeAppend(message)
        break
      case 'heartbeat':
        this.#timer.setTold(message.electionTicks)
        this.#log.commitTo(Math.min(message.commit, this.#log.lastIndex))
        this.#send(message.from, { type: 'heartbeat-reply', read: message.read, sequence: message.sequence })
        break
      case 'snapshot':
        this.#follower.takeSnapshot(message.from, message.chunk)
        break
      case 'append-reply':
        this.#reign?.takeAppendReply(message)
        break
      case 'heartbeat-reply':
        this.#reign?.takeHeartbeatReply(message)
        break
      case 'snapshot-reply':
        this.#reign?.takeSnapshotReply(message)
        break
      case 'read-index':
        if (this.#reign === null) this.#refuseRead(message.from, message.context)
        else this.#reign.read({ from: message.from, context: message.context, index: 0 })
        break
      case 'read-index-refusal':
        this.#outbox.refuse(message.context)
        break
      case 'read-index-reply':
        this.#outbox.answer({ context: message.context, index: message.index })
        break
      case 'timeout-now':
        if (this.#mayStand) this.#campaign(true)
    }
  }

  #follow(leader: MemberId): void {
    assert(this.#reign === null, 'a term has one leader')
    this.#role = 'follower'
    this.#leader = leader
    this.#timer.calm()
  }

  /** A leader of an earlier term learns from the answer that it is over, and who reads that it has to ask again. */
  #answerStale(message: Message): void {
    if (isFromLeader(message)) this.#follower.refuse(message.from)
    else if (message.type === 'read-index') this.#refuseRead(message.from, message.context)
  }

  // ── out ────────────────────────────────────────────────────────────────────────────────────────────

  #send(to: MemberId, body: MessageBody): void {
    this.#outbox.send({ from: this.id, to, term: this.#term, ...body })
  }

  /** Held back until everything this member knows now is durable: the write of the next Ready. */
  #sendAfterPersist(to: MemberId, body: MessageBody): void {
    this.#outbox.hold(this.#readyNumber, { from: this.id, to, term: this.#term, ...body })
  }
}
