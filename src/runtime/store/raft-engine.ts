/** The engine behind openRaftStore: what the main thread does with what the two other threads say. */

import { join } from 'node:path'
import { assert, must } from '../../base/assert.ts'
import { sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { ENTRY_HEADER_BYTES, type EntryHeader, entryTypes, readEntryHeader } from '../raft/entry.ts'
import type { Membership } from '../raft/membership.ts'
import type { MemberId } from '../raft/messages.ts'
import type { ChangeOutcome } from '../raft/ready.ts'
import { Barriers } from './barriers.ts'
import { CLUSTER_VERSION_KEY, clusterVersionOf } from './cluster-version.ts'
import { DatabaseRequests } from './database-requests.ts'
import { closedError, unknownEntryError } from './engine-errors.ts'
import { LocalStore, noLeaseError } from './local-store.ts'
import { readCommand } from './mvcc/codec.ts'
import type { Command, CommandResult } from './mvcc/command.ts'
import { keyOf } from './mvcc/history.ts'
import { StateMachine } from './mvcc/state-machine.ts'
import type { LeaseOutcome, PeerCredentials } from './peers/peer-network.ts'
import { PERSIST_BACKLOG_BYTES_MAX, Persister } from './persister.ts'
import { isNewLeader, RaftMembers } from './raft-members.ts'
import type { PeerLocation, RaftStore, RaftStoreParts, StoreCheck, StoreStatus } from './raft-store.ts'
import { ANSWER_TIMEOUT_MS, abortable, RequestQueue } from './request-queue.ts'
import type { DirectoryLock } from './sqlite/directory-lock.ts'
import { StateLoader } from './state-loader.ts'
import type { TransactionOptions } from './store.ts'
import { StoreThreads } from './store-threads.ts'
import { TakenBytes } from './taken-bytes.ts'
import type { FromRaft, FromStore, MemberIdentity, RaftThreadStatus } from './thread-messages.ts'

/** A checkpoint is asked for when so many full log segments wait for it. */
const FULL_SEGMENTS_MAX = 1
/** Between two tries to reach whoever leads. */
const LEASE_ASK_PAUSE_MS = 50

export interface RaftEngineParts extends RaftStoreParts {
  readonly lock: DirectoryLock
  readonly bootId: string
  readonly databasePath: string
  /** The identity of a store that has yet to be created. */
  readonly freshIdentity: MemberIdentity
}

export class RaftEngine extends LocalStore implements RaftStore {
  readonly #parts: RaftEngineParts
  readonly #threads: StoreThreads
  readonly #requests: RequestQueue
  readonly #barriers: Barriers
  readonly #members: RaftMembers
  readonly #proposer: number
  readonly #opened = Promise.withResolvers<void>()
  /** State that is being read out of SQLite: at the start, and when a snapshot arrived. */
  #loader: StateLoader
  #persister: Persister | null = null
  #identity: MemberIdentity
  /** What the raft thread said while the state was being loaded. */
  #early: FromRaft[] = []
  #raftStatus: RaftThreadStatus | null = null
  #noOpTerm = 0
  #raftOpened = false
  #durable = 0
  #checkpointing = false
  readonly #taken = new TakenBytes({
    post: bytes => this.#threads.toRaft({ type: 'taken', bytes }),
    hasRoom: () => (this.#persister?.backlogBytes ?? 0) <= PERSIST_BACKLOG_BYTES_MAX,
  })
  #phase: 'opening' | 'open' | 'closing' | 'closed' = 'opening'
  #closed: Promise<void> | undefined
  readonly #database = new DatabaseRequests(message => this.#threads.toStore(message))

  constructor(parts: RaftEngineParts) {
    super(parts)
    this.#parts = parts
    this.#identity = parts.freshIdentity
    this.#loader = new StateLoader(this.state)
    this.#barriers = new Barriers(parts.clock)
    this.#members = new RaftMembers({
      clock: parts.clock,
      peers: parts.peers,
      self: () => this.#identity.member,
      post: message => this.#threads.toRaft(message),
    })
    this.#proposer = Buffer.from(parts.random.bytes(6)).readUIntLE(0, 6) || 1
    this.#threads = new StoreThreads({
      clock: parts.clock,
      log: parts.log,
      onRaft: message => this.#onRaft(message),
      onStore: message => this.#onStore(message),
      onFailed: error => this.#fail(error),
    })
    this.#requests = new RequestQueue({
      clock: parts.clock,
      proposer: this.#proposer,
      post: (requests, transfer) => this.#threads.toRaft(requests, transfer),
      isLed: () => this.#raftStatus?.accepts ?? false,
      mayLose: () => this.#raftStatus?.accepts === true && !this.#raftStatus.leader,
    })
  }

  open(): Promise<void> {
    const { databasePath: path, bootId, freshIdentity: identity } = this.#parts
    this.#threads.openStore({ type: 'open', path, bootId, identity })
    return this.#opened.promise
  }

  async barrier(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const reached = this.#reachBarrier()
    await (signal ? abortable(reached, signal) : reached)
  }

  async #reachBarrier(): Promise<void> {
    const index = await this.#requests.readIndex()
    if (this.state.applied < index) await this.#barriers.wait(index, ANSWER_TIMEOUT_MS)
  }

  status(): StoreStatus {
    const raft = this.#raftStatus
    const { configuration: membership, progress, timing, flushes } = this.#members.details
    return {
      leader: this.leadership.leader,
      term: raft?.term ?? 0,
      memberId: this.#identity.member,
      leaderMemberId: raft?.leaderMember ?? 0,
      clusterId: this.#identity.cluster,
      applied: this.state.applied,
      commit: Math.max(raft?.commit ?? 0, this.state.applied),
      lastIndex: Math.max(raft?.lastIndex ?? 0, this.state.applied),
      durable: this.#durable,
      logBytes: raft?.logBytes ?? 0,
      revision: this.state.revision,
      compactedRevision: this.state.compactedRevision,
      keys: this.state.size,
      membership,
      progress,
      timing,
      flushes,
    }
  }

  check(): Promise<StoreCheck> {
    if (this.#isClosed) return Promise.reject(closedError())
    return this.#database.check(join(this.#parts.directory, 'wal'))
  }

  async defragment(): Promise<{ readonly before: number; readonly after: number }> {
    await this.#persister?.drain()
    if (this.#isClosed) throw closedError()
    return await this.#database.defragment()
  }

  async writtenOut(): Promise<{ readonly path: string; readonly index: number }> {
    await this.barrier()
    const { applied } = this.state
    await this.#persister?.drain()
    if (this.#isClosed) throw closedError()
    return { path: join(this.#parts.directory, 'state.sqlite'), index: applied }
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#hasEnded) return
    this.#phase = 'closing'
    if (this.#members.isMember) await this.#requests.drain()
    if (this.#members.hasOtherVoters) await this.#members.handOver(null)
    if (this.#hasEnded) return
    this.#end(closedError())
    await this.#persister?.end()
    // A thread that may still write keeps the directory until the process ends.
    if (await this.#threads.close()) this.#parts.lock.release()
  }

  /** A method's answer, because the phase may change while somebody waits. */
  get #hasEnded(): boolean {
    return this.#phase === 'closed'
  }

  get #isClosed(): boolean {
    return this.#phase === 'closed' || this.#phase === 'closing'
  }

  protected propose(command: Command, options: TransactionOptions): Promise<CommandResult> {
    if (this.#isClosed) return Promise.reject(closedError())
    const backlog = this.#persister?.backlogBytes ?? 0
    if (backlog > PERSIST_BACKLOG_BYTES_MAX) {
      const why = `${backlog} bytes wait to be written`
      return Promise.reject(new Mk8sError('store/overloaded', 'the database cannot keep up', { why }))
    }
    return this.#requests.propose(command, options)
  }

  // ── members ────────────────────────────────────────────────────────────────────────────────────────

  setPeers(peers: readonly PeerLocation[]): void {
    this.#members.locate(peers)
  }

  useCredentials(credentials: PeerCredentials): void {
    this.#members.useCredentials(credentials)
  }

  async changeMembership(target: Membership): Promise<ChangeOutcome> {
    if (this.#isClosed) throw closedError()
    return await this.#members.change(target)
  }

  async transferLeadership(target?: MemberId): Promise<boolean> {
    return !this.#isClosed && (await this.#members.handOver(target ?? null))
  }

  onMembership(listener: () => void): () => void {
    return this.#members.subscribe(listener)
  }

  override keepLeaseAlive(lease: number): Promise<number> {
    return this.#askLease(lease, true)
  }

  override leaseRemaining(lease: number): Promise<number> {
    return this.#askLease(lease, false)
  }

  /** Only the leader counts; another member asks it. */
  async #askLease(lease: number, renew: boolean): Promise<number> {
    const { clock } = this.#parts
    const deadline = clock.monotonic() + ANSWER_TIMEOUT_MS
    while (clock.monotonic() < deadline && !this.#isClosed) {
      const outcome = this.leadership.leader
        ? await this.#askLeaseHere(lease, renew)
        : await this.#members.askLease(lease, renew)
      if (outcome?.kind === 'kept') return outcome.ttlMs
      if (outcome?.kind === 'no-lease') throw noLeaseError(lease)
      await sleep(clock, LEASE_ASK_PAUSE_MS)
    }
    throw new Mk8sError('store/no-leader', 'no member of the datastore leads')
  }

  async #askLeaseHere(lease: number, renew: boolean): Promise<LeaseOutcome> {
    try {
      const ttlMs = await (renew ? super.keepLeaseAlive(lease) : super.leaseRemaining(lease))
      return { kind: 'kept', ttlMs }
    } catch (error) {
      if (!(error instanceof Mk8sError)) throw error
      return { kind: error.code === 'store/no-lease' ? 'no-lease' : 'no-leader' }
    }
  }

  #answerKeepLease(asked: Extract<FromRaft, { type: 'keep-lease' }>): void {
    const { from, question, lease, renew } = asked
    const answer = (outcome: LeaseOutcome) => {
      if (!this.#isClosed) this.#threads.toRaft({ type: 'lease-kept', to: from, question, outcome })
    }
    if (!this.leadership.leader) answer({ kind: 'no-leader' })
    else void this.#askLeaseHere(lease, renew).then(answer)
  }

  // ── store thread ───────────────────────────────────────────────────────────────────────────────────

  #onStore(message: FromStore): void {
    switch (message.type) {
      case 'opened':
        this.#onDatabaseOpened(message)
        break
      case 'rows':
        this.#loader.addRows(message.rows, message.values)
        break
      case 'loaded':
        this.#onLoaded(message)
        break
      case 'written':
        this.#persister?.written()
        this.#taken.tell()
        break
      case 'persist':
        this.#persistUpTo(message.index)
        break
      case 'durable':
        this.#onDurable(message.applied)
        break
      default:
        this.#database.take(message)
    }
  }

  #onDatabaseOpened({ state, received }: Extract<FromStore, { type: 'opened' }>): void {
    this.#identity = state.identity
    this.#loader.begin(state)
    if (this.#raftOpened) return
    this.#raftOpened = true
    const { directory, joins = false } = this.#parts
    const { applied, identity } = state
    const peers = this.#members.begin()
    this.#threads.openRaft({ type: 'open', directory, applied, identity, received, joins, peers })
  }

  #onLoaded(message: Extract<FromStore, { type: 'loaded' }>): void {
    const start = this.#loader.finish(message)
    this.#persister = new Persister(
      { clock: this.#parts.clock, post: (batch, transfer) => this.#threads.toStore(batch, transfer) },
      start,
    )
    if (this.#loader.state !== this.state) this.#onInstalled(this.#loader.state)
    if (!this.#tellClusterVersion()) return
    for (const early of this.#early.splice(0)) this.#onRaft(early)
    this.#taken.tell()
  }

  #onDurable(applied: number): void {
    this.#checkpointing = false
    this.#durable = applied
    this.#threads.toRaft({ type: 'drop', index: applied })
  }

  /** A snapshot is to be made that reaches as far as possible. */
  #persistUpTo(index: number): void {
    const waited = this.state.applied >= index ? null : this.#barriers.wait(index, ANSWER_TIMEOUT_MS)
    const persisted = Promise.resolve(waited).then(() => this.#persister?.drain())
    void persisted.then(
      () => this.#hasEnded || this.#threads.toStore({ type: 'persisted' }),
      // The store thread does not wait longer than this either.
      () => {},
    )
  }

  /** A snapshot that another member sent takes the place of the state. */
  #install(index: number): void {
    this.#persister?.stop()
    this.#persister = null
    this.#checkpointing = false
    this.#loader = new StateLoader(new StateMachine())
    this.#threads.toStore({ type: 'install', index })
  }

  /** Writes of this process may be in the snapshot: they are asked again, and the state remembers them. */
  #onInstalled(state: StateMachine): void {
    this.log.info('took over a snapshot of another member', { applied: state.applied })
    this.replaceState(state)
    this.#threads.toRaft({ type: 'installed' })
    this.#barriers.applied(state.applied)
    this.#requests.installed(state)
    this.#requests.leaderChanged()
    this.#maybeOpen()
  }

  // ── raft thread ────────────────────────────────────────────────────────────────────────────────────

  /** Answers may come while the state is loaded; everything else is about the state. */
  #onRaft(message: FromRaft): void {
    if (this.#members.take(message)) return
    if (message.type === 'keep-lease') this.#answerKeepLease(message)
    else if (this.#persister === null) this.#early.push(message)
    else if (message.type === 'opened') this.#onRaftOpened(message)
    else if (message.type === 'restored') this.#install(message.index)
    else if (message.type === 'progress') this.#onProgress(message)
  }

  /** A lone voter is open when it leads; with others, or none yet, nobody knows when that will be. */
  #onRaftOpened({ details, mustInstall, received }: Extract<FromRaft, { type: 'opened' }>): void {
    this.#members.describe(details)
    if (mustInstall) {
      this.#install(received)
      return
    }
    if (received > 0) this.#threads.toStore({ type: 'discard' })
    this.#maybeOpen()
  }

  #maybeOpen(): void {
    if (!this.#members.isOnlyVoter) this.#becomeOpen()
  }

  #becomeOpen(): void {
    if (this.#phase !== 'opening') return
    this.#phase = 'open'
    this.#opened.resolve()
  }

  #onProgress(message: Extract<FromRaft, { type: 'progress' }>): void {
    const before = this.#raftStatus
    if (message.status !== null) this.#raftStatus = message.status
    const status = must(this.#raftStatus, 'a first status')
    if (message.committed !== null && !this.#applyAll(Buffer.from(message.committed))) return
    this.#taken.add(message.committed?.byteLength ?? 0)
    for (const { context, index } of message.reads) this.#requests.readAnswered(context, index)
    for (const refused of message.refused) this.#requests.refused(refused)
    this.#barriers.applied(this.state.applied)
    if (isNewLeader(before, status) || (status.accepts && !before?.accepts)) this.#requests.leaderChanged()
    this.#maybeChangeLeadership(status)
    if (message.details !== null) this.#members.describe(message.details)
    if (message.status !== null) this.#members.become(message.status)
    this.#maybeCheckpoint(status)
  }

  /** False when an entry cannot be understood: the store has failed then. */
  #applyAll(bytes: Buffer): boolean {
    for (let offset = 0; offset < bytes.length; ) {
      const header = readEntryHeader(bytes, offset)
      assert(header !== null, 'the raft thread sends whole entries')
      const end = offset + ENTRY_HEADER_BYTES + header.payloadBytes
      if (!this.#applyEntry(header, bytes.subarray(offset + ENTRY_HEADER_BYTES, end))) return false
      offset = end
    }
    return true
  }

  #applyEntry(header: EntryHeader, payload: Buffer): boolean {
    const { index, proposer, request } = header
    const own = proposer === this.#proposer
    const known = own && payload.length === 0
    const command = known ? this.#requests.commandOf(request) : readCommand(header, payload)
    if (command === 'unknown') {
      this.#fail(unknownEntryError(header))
      return false
    }
    if (command === null) {
      // Own commands are kept until they are applied; after a close nobody needs them.
      assert(!known || this.#phase === 'closed', 'an own entry has its command')
      if (known) return false
      this.state.skip(index)
      this.#persister?.skip(index)
      if (header.type === entryTypes.noOp) this.#noOpApplied(header.term)
      return true
    }
    const applied = this.applyCommand({ index, proposer, request, command })
    this.#persister?.add(applied)
    if (own) this.#requests.applied(request, applied.result)
    const raised = applied.events.some(event => keyOf(event) === CLUSTER_VERSION_KEY)
    return !raised || this.#tellClusterVersion()
  }

  /** False when it is beyond this program: the store has failed then. */
  #tellClusterVersion(): boolean {
    try {
      this.#threads.toRaft({ type: 'cluster-version', version: clusterVersionOf(this) })
      return true
    } catch (error) {
      if (!(error instanceof Mk8sError)) throw error
      this.#fail(error)
      return false
    }
  }

  #noOpApplied(term: number): void {
    this.#noOpTerm = term
    this.#requests.termApplied(term)
  }

  /** Leadership counts from the applied no-op of its term on. */
  #maybeChangeLeadership({ leader, term }: RaftThreadStatus): void {
    if (leader && this.#noOpTerm !== term) return
    this.becomeLeadership({ leader, term })
    if (leader) this.#becomeOpen()
  }

  #maybeCheckpoint({ fullSegments }: RaftThreadStatus): void {
    if (fullSegments < FULL_SEGMENTS_MAX || this.#checkpointing || this.#phase !== 'open') return
    this.#checkpointing = true
    this.#persister?.flush()
    this.#threads.toStore({ type: 'checkpoint' })
  }

  /** Whoever waits for an answer gets this one. */
  #end(error: Error): void {
    this.#phase = 'closed'
    this.#requests.end(error)
    this.#barriers.end(error)
    this.#members.end()
    this.#database.end(error)
    this.becomeLeadership({ leader: false, term: this.leadership.term })
    this.closeLocal(error)
  }

  #fail(error: Error): void {
    const wasOpening = this.#phase === 'opening'
    this.#persister?.stop()
    if (this.#hasEnded) return
    this.#end(error)
    void this.#threads.terminate().then(() => {
      this.#parts.lock.release()
      if (wasOpening) this.#opened.reject(error)
      else this.#parts.onFatal(error)
    })
  }
}
