/** The engine behind openRaftStore: what the main thread does with what the two other threads say. */
import { join } from 'node:path'
import { assert } from '../../base/assert.ts'
import { sleep } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { ENTRY_HEADER_BYTES, type EntryHeader, entryTypes, readEntryHeader } from '../raft/entry.ts'
import { LocalStore } from './local-store.ts'
import { readCommand } from './mvcc/codec.ts'
import type { Command, CommandResult } from './mvcc/command.ts'
import { PERSIST_BACKLOG_BYTES_MAX, Persister } from './persister.ts'
import type { RaftStore, RaftStoreParts, StoreCheck, StoreStatus } from './raft-store.ts'
import { RequestQueue } from './request-queue.ts'
import type { DirectoryLock } from './sqlite/directory-lock.ts'
import { StateLoader } from './state-loader.ts'
import type { TransactionOptions } from './store.ts'
import { StoreThreads } from './store-threads.ts'
import type { FromRaft, FromStore, LoadedState, MemberIdentity, RaftThreadStatus } from './thread-messages.ts'

/** A checkpoint is asked for when so many full log segments wait for it. */
const FULL_SEGMENTS_MAX = 1
/** How long a close waits for writes under way. */
const CLOSE_TIMEOUT_MS = 5_000

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
  readonly #proposer: number
  readonly #opened = Promise.withResolvers<void>()
  readonly #loader: StateLoader
  #persister: Persister | null = null
  #identity: MemberIdentity
  /** What the raft thread said before the state was loaded. */
  #early: FromRaft[] = []
  #raftStatus: RaftThreadStatus | null = null
  #noOpTerm = 0
  #durable = 0
  #checkpointing = false
  #phase: 'opening' | 'open' | 'closed' = 'opening'
  #checks: ((check: StoreCheck) => void)[] = []
  #barriers: { readonly index: number; readonly resolve: () => void }[] = []

  constructor(parts: RaftEngineParts) {
    super(parts)
    this.#parts = parts
    this.#identity = parts.freshIdentity
    this.#loader = new StateLoader(this.state)
    this.#proposer = Buffer.from(parts.random.bytes(6)).readUIntLE(0, 6) || 1
    this.#threads = new StoreThreads({
      log: parts.log,
      onRaft: message => this.#onRaft(message),
      onStore: message => this.#onStore(message),
      onFailed: error => this.#fail(error),
    })
    this.#requests = new RequestQueue({
      clock: parts.clock,
      proposer: this.#proposer,
      post: (requests, transfer) => this.#threads.toRaft(requests, transfer),
    })
  }

  open(): Promise<void> {
    const { databasePath: path, bootId, freshIdentity: identity } = this.#parts
    this.#threads.toStore({ type: 'open', path, bootId, identity })
    return this.#opened.promise
  }

  async barrier(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted()
    const index = await this.#requests.readIndex()
    if (this.state.applied < index)
      await new Promise<void>(resolve => this.#barriers.push({ index, resolve }))
    signal?.throwIfAborted()
  }

  status(): StoreStatus {
    const raft = this.#raftStatus
    return {
      leader: this.leadership.leader,
      term: raft?.term ?? 0,
      memberId: this.#identity.member,
      leaderMemberId: raft?.leaderMember ?? 0,
      clusterId: this.#identity.cluster,
      applied: this.state.applied,
      commit: raft?.commit ?? 0,
      lastIndex: raft?.lastIndex ?? 0,
      durable: this.#durable,
      logBytes: raft?.logBytes ?? 0,
      revision: this.state.revision,
      compactedRevision: this.state.compactedRevision,
      keys: this.state.size,
    }
  }

  check(): Promise<StoreCheck> {
    if (this.#phase === 'closed') return Promise.reject(closedError())
    const logDirectory = join(this.#parts.directory, 'wal')
    this.#threads.toStore({ type: 'check', logDirectory })
    return new Promise(resolve => this.#checks.push(resolve))
  }

  async close(): Promise<void> {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    await Promise.race([this.#requests.drain(), sleep(this.#parts.clock, CLOSE_TIMEOUT_MS)])
    this.#requests.end(closedError())
    this.becomeLeadership({ leader: false, term: this.leadership.term })
    this.closeLocal(closedError())
    await this.#persister?.drain()
    await this.#threads.close()
    this.#parts.lock.release()
  }

  protected propose(command: Command, options: TransactionOptions): Promise<CommandResult> {
    if (this.#phase === 'closed') return Promise.reject(closedError())
    const backlog = this.#persister?.backlogBytes ?? 0
    if (backlog > PERSIST_BACKLOG_BYTES_MAX) {
      const why = `${backlog} bytes wait to be written`
      return Promise.reject(new Mk8sError('store/overloaded', 'the database cannot keep up', { why }))
    }
    return this.#requests.propose(command, options)
  }

  // ── store thread ───────────────────────────────────────────────────────────────────────────────────

  #onStore(message: FromStore): void {
    if (message.type === 'opened') this.#onDatabaseOpened(message.state)
    else if (message.type === 'rows') this.#loader.addRows(message.rows, message.values)
    else if (message.type === 'loaded') this.#onLoaded(message)
    else if (message.type === 'written') this.#persister?.written()
    else if (message.type === 'durable') this.#onDurable(message.applied)
    else if (message.type === 'checked') this.#checks.shift()?.(message)
  }

  #onDatabaseOpened(state: LoadedState): void {
    this.#identity = state.identity
    this.#loader.begin(state)
    const { directory } = this.#parts
    this.#threads.toRaft({ type: 'open', directory, applied: state.applied, identity: state.identity })
  }

  #onLoaded(message: Extract<FromStore, { type: 'loaded' }>): void {
    const state = this.#loader.finish(message)
    this.#persister = new Persister(
      {
        clock: this.#parts.clock,
        post: (batch, transfer) => this.#threads.toStore(batch, transfer),
        proposers: () => this.state.proposers(),
      },
      state,
    )
    for (const early of this.#early.splice(0)) this.#onRaft(early)
  }

  #onDurable(applied: number): void {
    this.#checkpointing = false
    this.#durable = applied
    this.#threads.toRaft({ type: 'drop', index: applied })
  }

  // ── raft thread ────────────────────────────────────────────────────────────────────────────────────

  #onRaft(message: FromRaft): void {
    if (this.#persister === null) {
      this.#early.push(message)
      return
    }
    if (message.type !== 'progress') return
    const before = this.#raftStatus
    this.#raftStatus = message.status
    if (message.committed !== null && !this.#applyAll(Buffer.from(message.committed))) return
    for (const { context, index } of message.reads) this.#requests.readAnswered(context, index)
    for (const refused of message.refused) this.#requests.refused(refused)
    this.#releaseBarriers()
    if (isNewLeader(before, message.status)) this.#requests.leaderChanged()
    this.#maybeChangeLeadership(message.status)
    this.#maybeCheckpoint(message.status)
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
    return true
  }

  #noOpApplied(term: number): void {
    this.#noOpTerm = term
    this.#requests.termApplied(term)
  }

  #releaseBarriers(): void {
    if (this.#barriers.length === 0) return
    const { applied } = this.state
    for (const barrier of this.#barriers) if (barrier.index <= applied) barrier.resolve()
    this.#barriers = this.#barriers.filter(barrier => barrier.index > applied)
  }

  /** Leadership counts from the applied no-op of its term on. */
  #maybeChangeLeadership({ leader, term }: RaftThreadStatus): void {
    if (leader && this.#noOpTerm !== term) return
    this.becomeLeadership({ leader, term })
    if (!leader || this.#phase !== 'opening') return
    this.#phase = 'open'
    this.#opened.resolve()
  }

  #maybeCheckpoint({ fullSegments }: RaftThreadStatus): void {
    if (fullSegments < FULL_SEGMENTS_MAX || this.#checkpointing || this.#phase !== 'open') return
    this.#checkpointing = true
    this.#persister?.flush()
    this.#threads.toStore({ type: 'checkpoint' })
  }

  #fail(error: Error): void {
    const wasOpening = this.#phase === 'opening'
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#requests.end(error)
    this.#persister?.stop()
    this.becomeLeadership({ leader: false, term: this.leadership.term })
    this.closeLocal(error)
    void this.#threads.terminate().then(() => {
      this.#parts.lock.release()
      if (wasOpening) this.#opened.reject(error)
      else this.#parts.onFatal(error)
    })
  }
}

function isNewLeader(before: RaftThreadStatus | null, now: RaftThreadStatus): boolean {
  if (now.leaderMember === 0) return false
  return before?.leaderMember !== now.leaderMember || before.term !== now.term
}

function closedError(): Mk8sError {
  return new Mk8sError('store/no-leader', 'the store is closed')
}

function unknownEntryError({ type, version, index }: EntryHeader): Mk8sError {
  return new Mk8sError(
    'store/version',
    `log entry ${index} has the unknown type ${type}, version ${version}`,
    {
      why: 'a later version of mk8s wrote it',
      hint: 'use the version of mk8s that wrote it, or a later one',
    },
  )
}
