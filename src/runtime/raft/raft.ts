/**
 * The door of the consensus core: pure and synchronous. Messages, ticks and proposals go in; `takeReady` says
 * what to persist, send and apply. It has no timer, socket, disk or randomness of its own.
 *
 * The driver's whole contract, for each Ready: write `hardState` and `entries` in order; send `messages` at
 * once; apply `committed`; when the write is durable, call `persisted(ready.number)`. Messages that promise
 * something durable are held back until then.
 */
import { assert } from '../../base/assert.ts'
import type { Random } from '../../base/random.ts'
import { createEntry, entryTypes, placeEntry } from './entry.ts'
import type { MemberId, Message, MessageBody } from './messages.ts'
import { Outbox } from './outbox.ts'
import { type PendingRead, PendingReads } from './pending-reads.ts'
import { APPEND_BYTES_MAX, Progress } from './progress.ts'
import { type Configuration, countVotes, isOnlyVoter, isVoter, membersOf, quorumValue } from './quorum.ts'
import { RaftLog } from './raft-log.ts'
import type { HardState, ProposeOutcome, RaftParts, Ready, Role } from './ready.ts'

export const TICK_MS = 10
export const HEARTBEAT_TICKS = 5
export const ELECTION_TICKS_MIN = 30
export const ELECTION_TICKS_MAX = 60

export class Raft {
  readonly id: MemberId
  readonly #random: Random
  readonly #log: RaftLog
  #role: Role = 'follower'
  #term: number
  #vote: MemberId
  #leader: MemberId = 0
  #elapsed = 0
  #heartbeatElapsed = 0
  #electionTimeout = ELECTION_TICKS_MIN
  #votes = new Map<MemberId, boolean>()
  #progress = new Map<MemberId, Progress>()
  #reads = new PendingReads()
  /** Reads that wait for the first commit of the leader's own term. */
  #earlyReads: PendingRead[] = []
  readonly #outbox = new Outbox()
  #readyNumber = 1
  #written: HardState

  constructor(parts: RaftParts) {
    this.id = parts.id
    this.#random = parts.random
    this.#log = new RaftLog(parts.log)
    this.#term = parts.hardState.term
    this.#vote = parts.hardState.vote
    this.#written = { ...parts.hardState, commit: this.#log.committed }
    this.#drawElectionTimeout()
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

  get log(): Pick<RaftLog, 'firstIndex' | 'lastIndex' | 'lastTerm' | 'committed' | 'stable' | 'termAt'> {
    return this.#log
  }

  get configuration(): Configuration {
    return this.#log.configuration
  }

  get #onlyVoter(): boolean {
    return isOnlyVoter(this.configuration, this.id)
  }

  /** An only voter needs nobody's leave: it stands for election at once. */
  start(): void {
    if (this.#onlyVoter) this.#campaign()
  }

  /** How many ticks may pass before `tick` does something; null when none ever will. */
  ticksUntilNextDeadline(): number | null {
    if (this.#onlyVoter || !isVoter(this.configuration, this.id)) return null
    const election = Math.max(1, this.#electionTimeout - this.#elapsed)
    if (this.#role !== 'leader') return election
    return Math.min(election, Math.max(1, HEARTBEAT_TICKS - this.#heartbeatElapsed))
  }

  /** `count` ticks have passed. */
  tick(count = 1): void {
    this.#elapsed += count
    if (this.#onlyVoter) return
    if (this.#role === 'leader') this.#tickLeader(count)
    else if (this.#elapsed >= this.#electionTimeout && isVoter(this.configuration, this.id))
      this.#preCampaign()
  }

  /** Appends proposals (bytes with index and term 0) on the leader; `term` is a fence. */
  propose(proposals: readonly Buffer[], term?: number): ProposeOutcome {
    if (term !== undefined && (this.#role !== 'leader' || this.#term !== term)) {
      return { kind: 'fenced', term: this.#term }
    }
    if (this.#role !== 'leader') return { kind: 'not-leader', leader: this.#leader }
    const firstIndex = this.#log.lastIndex + 1
    for (const bytes of proposals) {
      this.#log.append(placeEntry(bytes, { index: this.#log.lastIndex + 1, term: this.#term }))
    }
    this.#replicate()
    return { kind: 'accepted', firstIndex, term: this.#term }
  }

  /** Asks for the index that must be applied before a read is linearizable; false when nobody leads. */
  readIndex(context: number): boolean {
    if (this.#role === 'leader') {
      this.#leaderRead({ from: this.id, context, index: 0 })
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
    else if (message.type !== 'vote' || !this.#hearsLeader(message.from)) {
      const leads = message.type === 'append' || message.type === 'heartbeat'
      this.#becomeFollower(message.term, leads ? message.from : 0)
      this.#stepSameTerm(message)
    }
  }

  /** The write of Ready `number` and of all before it is durable. */
  persisted(number: number): void {
    this.#log.persisted(number)
    for (const message of this.#outbox.release(number)) {
      if (message.term !== this.#term) continue
      if (message.to === this.id) this.step(message)
      else this.#outbox.send(message)
    }
    if (this.#role === 'leader') this.#maybeCommit()
  }

  get hasReady(): boolean {
    return (
      this.#outbox.isWaiting(this.#readyNumber) ||
      this.#log.hasToPersist ||
      this.#log.hasToApply ||
      this.#term !== this.#written.term ||
      this.#vote !== this.#written.vote
    )
  }

  takeReady(): Ready {
    const number = this.#readyNumber++
    const hardState = { term: this.#term, vote: this.#vote, commit: this.#log.committed }
    const { term, vote, commit } = this.#written
    const changed = term !== hardState.term || vote !== hardState.vote
    const entries = this.#log.takeToPersist(number)
    const moved = changed || commit !== hardState.commit
    this.#written = hardState
    return {
      number,
      hardState: moved ? hardState : null,
      entries,
      mustFlush: changed || entries.length > 0,
      committed: this.#log.takeToApply(),
      ...this.#outbox.take(),
    }
  }

  /** Entries up to `index` are applied and needed from memory no more. */
  dropLog(index: number): void {
    const needed = [...this.#progress.values()].map(progress => progress.match)
    this.#log.dropTo(Math.min(index, ...needed))
  }

  // ── roles ──────────────────────────────────────────────────────────────────────────────────────────

  #becomeFollower(term: number, leader: MemberId): void {
    if (term > this.#term) this.#vote = 0
    this.#term = term
    this.#role = 'follower'
    this.#leader = leader
    this.#elapsed = 0
    this.#progress.clear()
    this.#reads = new PendingReads()
    this.#earlyReads = []
    this.#drawElectionTimeout()
  }

  #preCampaign(): void {
    this.#becomePreCandidate()
    const { lastIndex, lastTerm } = this.#log
    this.#votes.set(this.id, true)
    for (const id of this.#peers()) {
      if (!isVoter(this.configuration, id)) continue
      this.#outbox.send({
        type: 'pre-vote',
        from: this.id,
        to: id,
        term: this.#term + 1,
        lastIndex,
        lastTerm,
      })
    }
  }

  #becomePreCandidate(): void {
    this.#role = 'pre-candidate'
    this.#leader = 0
    this.#elapsed = 0
    this.#votes = new Map()
    this.#drawElectionTimeout()
  }

  #campaign(): void {
    this.#role = 'candidate'
    this.#leader = 0
    this.#term++
    this.#vote = this.id
    this.#elapsed = 0
    this.#votes = new Map()
    this.#drawElectionTimeout()
    // Its own vote counts only once it is durable, like everybody's.
    this.#sendAfterPersist(this.id, { type: 'vote-reply', granted: true })
    const { lastIndex, lastTerm } = this.#log
    for (const id of this.#peers()) {
      if (isVoter(this.configuration, id)) this.#send(id, { type: 'vote', lastIndex, lastTerm })
    }
  }

  #becomeLeader(): void {
    this.#role = 'leader'
    this.#leader = this.id
    this.#elapsed = 0
    this.#heartbeatElapsed = 0
    this.#progress = new Map(this.#peers().map(id => [id, new Progress(this.#log.lastIndex + 1)]))
    const at = { index: this.#log.lastIndex + 1, term: this.#term }
    this.#log.append(createEntry(entryTypes.noOp, Buffer.alloc(0), at))
    this.#replicate()
  }

  #tickLeader(count: number): void {
    if (this.#elapsed >= this.#electionTimeout) {
      this.#elapsed = 0
      if (!this.#quorumIsActive()) {
        this.#becomeFollower(this.#term, 0)
        return
      }
    }
    this.#heartbeatElapsed += count
    if (this.#heartbeatElapsed < HEARTBEAT_TICKS) return
    this.#heartbeatElapsed = 0
    this.#heartbeat()
  }

  /** Check-quorum: a leader that a quorum does not answer steps down, so that its clients look elsewhere. */
  #quorumIsActive(): boolean {
    const activity = (id: MemberId) => (id === this.id || this.#progress.get(id)?.active ? 1 : 0)
    const active = quorumValue(this.configuration, activity) >= 1
    for (const progress of this.#progress.values()) progress.active = false
    return active
  }

  // ── elections ──────────────────────────────────────────────────────────────────────────────────────

  /** A member that hears a leader helps nobody to unseat it. */
  #hearsLeader(candidate: MemberId): boolean {
    if (this.#role === 'leader') return true
    return this.#leader !== 0 && this.#leader !== candidate && this.#elapsed < ELECTION_TICKS_MIN
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
    if (outcome === 'won') this.#campaign()
    else if (outcome === 'lost') this.#becomeFollower(this.#term, 0)
  }

  #answerVote(message: Extract<Message, { type: 'vote' }>): void {
    const free = this.#vote === message.from || (this.#vote === 0 && this.#leader === 0)
    const granted = free && this.#log.isUpToDate(message.lastIndex, message.lastTerm)
    if (granted) {
      this.#vote = message.from
      this.#elapsed = 0
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

  #stepSameTerm(message: Exclude<Message, { type: 'pre-vote' | 'pre-vote-reply' }>): void {
    switch (message.type) {
      case 'vote':
        this.#answerVote(message)
        break
      case 'vote-reply':
        this.#takeVote(message)
        break
      case 'append':
        this.#follow(message.from)
        this.#answerAppend(message)
        break
      case 'heartbeat':
        this.#follow(message.from)
        this.#log.commitTo(Math.min(message.commit, this.#log.lastIndex))
        this.#send(message.from, { type: 'heartbeat-reply', read: message.read })
        break
      case 'append-reply':
        this.#takeAppendReply(message)
        break
      case 'heartbeat-reply':
        this.#takeHeartbeatReply(message)
        break
      case 'read-index':
        this.#leaderRead({ from: message.from, context: message.context, index: 0 })
        break
      case 'read-index-reply':
        this.#outbox.answer({ context: message.context, index: message.index })
    }
  }

  #follow(leader: MemberId): void {
    assert(this.#role !== 'leader', 'a term has one leader')
    this.#role = 'follower'
    this.#leader = leader
    this.#elapsed = 0
  }

  /** A leader of an earlier term learns from the answer that it is over. */
  #answerStale(message: Message): void {
    if (message.type !== 'append' && message.type !== 'heartbeat') return
    this.#send(message.from, { type: 'append-reply', index: 0, rejected: true })
  }

  #answerAppend(message: Extract<Message, { type: 'append' }>): void {
    const { previousIndex, previousTerm, entries, commit } = message
    if (previousIndex < this.#log.committed) {
      const index = this.#log.committed
      this.#sendAfterPersist(message.from, { type: 'append-reply', index, rejected: false })
      return
    }
    if (this.#log.termAt(previousIndex) !== previousTerm) {
      const index = Math.min(previousIndex - 1, this.#log.lastIndex)
      this.#send(message.from, { type: 'append-reply', index, rejected: true })
      return
    }
    this.#log.merge(entries)
    const last = previousIndex + entries.length
    this.#log.commitTo(Math.min(commit, last))
    this.#sendAfterPersist(message.from, { type: 'append-reply', index: last, rejected: false })
  }

  #takeAppendReply(message: Extract<Message, { type: 'append-reply' }>): void {
    const progress = this.#progress.get(message.from)
    if (this.#role !== 'leader' || progress === undefined) return
    progress.active = true
    if (message.rejected) progress.rejected(message.index)
    else if (progress.accepted(message.index)) this.#maybeCommit()
    this.#maybeSendAppend(message.from, progress)
  }

  #takeHeartbeatReply(message: Extract<Message, { type: 'heartbeat-reply' }>): void {
    const progress = this.#progress.get(message.from)
    if (this.#role !== 'leader' || progress === undefined) return
    progress.active = true
    progress.retry()
    // It answers, but lacks something: an append to compare logs with, even if all was sent before and lost.
    if (progress.match < this.#log.lastIndex) this.#sendAppend(message.from, progress)
    const confirmed = this.#reads.confirm(this.configuration, this.id, message.from, message.read)
    for (const read of confirmed) this.#answerRead(read)
  }

  // ── replication ────────────────────────────────────────────────────────────────────────────────────

  #replicate(): void {
    for (const [id, progress] of this.#progress) this.#maybeSendAppend(id, progress)
  }

  /** May do nothing: everything was sent, the follower is being probed, has enough in flight, or lags too far. */
  #maybeSendAppend(to: MemberId, progress: Progress): void {
    while (progress.mayBeSentTo && (progress.probing || progress.next <= this.#log.lastIndex)) {
      if (!this.#sendAppend(to, progress)) return
    }
  }

  /** False when the entry before `next` is not in memory any more: only a snapshot would help. */
  #sendAppend(to: MemberId, progress: Progress): boolean {
    const previousIndex = progress.next - 1
    const previousTerm = this.#log.termAt(previousIndex)
    if (previousTerm === null) return false
    const entries = this.#log.from(progress.next, APPEND_BYTES_MAX)
    const bytes = entries.reduce((total, entry) => total + entry.bytes.length, 0)
    const commit = this.#log.committed
    this.#send(to, { type: 'append', previousIndex, previousTerm, entries, commit })
    progress.sent(previousIndex + entries.length, bytes)
    return true
  }

  /** Only an entry of the leader's own term is committed by counting; earlier ones come along (figure 8). */
  #maybeCommit(): void {
    const matched = (id: MemberId) =>
      id === this.id ? this.#log.stable : (this.#progress.get(id)?.match ?? 0)
    const index = quorumValue(this.configuration, matched)
    if (index <= this.#log.committed || this.#log.termAt(index) !== this.#term) return
    const first = this.#log.termAt(this.#log.committed) !== this.#term
    this.#log.commitTo(index)
    if (first) this.#releaseEarlyReads()
    if (this.#progress.size > 0) this.#heartbeat()
  }

  #heartbeat(): void {
    for (const [id, progress] of this.#progress) {
      const commit = Math.min(this.#log.committed, progress.match)
      this.#send(id, { type: 'heartbeat', commit, read: this.#reads.round })
    }
  }

  // ── reads ──────────────────────────────────────────────────────────────────────────────────────────

  #leaderRead(read: PendingRead): void {
    if (this.#role !== 'leader') return
    if (this.#log.termAt(this.#log.committed) !== this.#term) {
      this.#earlyReads.push(read)
      return
    }
    const asked = { ...read, index: this.#log.committed }
    if (this.#onlyVoter) {
      this.#answerRead(asked)
    } else {
      this.#reads.add(asked)
      this.#heartbeat()
    }
  }

  #releaseEarlyReads(): void {
    const early = this.#earlyReads
    this.#earlyReads = []
    for (const read of early) this.#leaderRead(read)
  }

  #answerRead({ from, context, index }: PendingRead): void {
    if (from === this.id) this.#outbox.answer({ context, index })
    else this.#send(from, { type: 'read-index-reply', context, index })
  }

  // ── out ────────────────────────────────────────────────────────────────────────────────────────────

  #peers(): MemberId[] {
    return membersOf(this.configuration).filter(id => id !== this.id)
  }

  #send(to: MemberId, body: MessageBody): void {
    this.#outbox.send({ from: this.id, to, term: this.#term, ...body })
  }

  /** Held back until everything this member knows now is durable: the write of the next Ready. */
  #sendAfterPersist(to: MemberId, body: MessageBody): void {
    this.#outbox.hold(this.#readyNumber, { from: this.id, to, term: this.#term, ...body })
  }

  #drawElectionTimeout(): void {
    const spread = ELECTION_TICKS_MAX - ELECTION_TICKS_MIN
    this.#electionTimeout = ELECTION_TICKS_MIN + Math.floor(this.#random.float() * (spread + 1))
  }
}
