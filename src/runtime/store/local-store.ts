/**
 * What all engines share: reads and watches from the state machine in memory, leases and compaction on the
 * leader, and checking a command before it is proposed. An engine adds how a command gets committed.
 */
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { Compactor } from './compactor.ts'
import { LeaseKeeper } from './lease-keeper.ts'
import type { Applied, Command, CommandResult, CommittedCommand } from './mvcc/command.ts'
import { mayWrite } from './mvcc/decision.ts'
import { recallResult } from './mvcc/recall.ts'
import { StateMachine } from './mvcc/state-machine.ts'
import type {
  Decision,
  DecisionResult,
  KeyValue,
  Leadership,
  LeaseState,
  Range,
  RangeResult,
  Revision,
  Step,
  Store,
  Transaction,
  TransactionOptions,
  TransactionResult,
  Watch,
  WatchListener,
  WatchRequest,
} from './store.ts'
import { WatchHub } from './watch/watch-hub.ts'

/** Keys and values of one transaction together, as in etcd. */
export const TRANSACTION_BYTES_MAX = 1.5 * 1024 * 1024
export const TRANSACTION_OPERATIONS_MAX = 128
export const KEY_BYTES_MAX = 1024
export const DECISION_DEPTH_MAX = 8

export interface LocalStoreParts {
  readonly clock: Clock
  readonly log: Log
}

export abstract class LocalStore implements Store {
  #state = new StateMachine()
  protected readonly log: Log
  readonly #hub = new WatchHub({
    eventsAfter: revision => this.state.eventsAfter(revision),
    revision: () => this.state.revision,
  })
  readonly #leaseKeeper: LeaseKeeper
  readonly #compactor: Compactor
  readonly #leadershipListeners = new Set<(leadership: Leadership) => void>()
  #leadership: Leadership = { leader: false, term: 0 }

  constructor(parts: LocalStoreParts) {
    this.log = parts.log
    this.#leaseKeeper = new LeaseKeeper({
      clock: parts.clock,
      revoke: lease => void this.#inBackground('revoke a lease', this.revokeLease(lease)),
    })
    this.#compactor = new Compactor({
      clock: parts.clock,
      state: () => this.state,
      compact: revision => this.#inBackground('compact history', this.compact(revision)),
    })
  }

  protected get state(): StateMachine {
    return this.#state
  }

  /** A snapshot takes the place of the state. Watchers get what its history has, or end when it is too short. */
  protected replaceState(state: StateMachine): void {
    this.#state = state
    this.#hub.catchUp()
    if (this.#leadership.leader) this.#leaseKeeper.reset(state.leases())
  }

  /** Gets the command committed and applied here; resolves with what came of it. */
  protected abstract propose(command: Command, options: TransactionOptions): Promise<CommandResult>

  /** What was applied before its result could be told is told from memory, where that is possible. */
  #recalled(command: Command, outcome: CommandResult): CommandResult {
    if (outcome.kind !== 'duplicate') return outcome
    return recallResult(command, outcome.remembered, this.state) ?? outcome
  }

  abstract barrier(signal?: AbortSignal): Promise<void>

  get revision(): Revision {
    return this.state.revision
  }

  get compactedRevision(): Revision {
    return this.state.compactedRevision
  }

  get leadership(): Leadership {
    return this.#leadership
  }

  get(key: string): KeyValue | null {
    return this.state.get(key)
  }

  range(range: Range): RangeResult {
    return this.state.range(range)
  }

  count(start: string, end: string): number {
    return this.state.count(start, end)
  }

  async transact(transaction: Transaction, options: TransactionOptions = {}): Promise<TransactionResult> {
    checkSize(transaction)
    const command: Command = { type: 'transaction', transaction }
    const outcome = this.#recalled(command, await this.propose(command, options))
    if (outcome.kind === 'transaction') return outcome.result
    throw unansweredError(outcome)
  }

  async decide(decision: Decision, options: TransactionOptions = {}): Promise<DecisionResult> {
    checkDecision(decision)
    if (!mayWrite(decision)) {
      await this.barrier(options.signal)
      return this.state.read(decision)
    }
    const outcome = await this.propose({ type: 'decision', decision }, options)
    if (outcome.kind === 'decision') return outcome.result
    throw unansweredError(outcome)
  }

  watch(request: WatchRequest, listener: WatchListener): Watch {
    return this.#hub.watch(request, listener)
  }

  async compact(revision: Revision): Promise<void> {
    if (revision > this.state.revision) {
      throw new Mk8sError('store/future-revision', `revision ${revision} has not happened yet`)
    }
    const command: Command = { type: 'compaction', revision }
    const outcome = this.#recalled(command, await this.propose(command, {}))
    if (outcome.kind !== 'compacted') throw unansweredError(outcome)
  }

  async grantLease(ttlMs: number, lease?: number): Promise<number> {
    const chosen = lease === undefined ? {} : { lease }
    const command: Command = { type: 'lease-grant', ttlMs: Math.ceil(ttlMs), ...chosen }
    const outcome = this.#recalled(command, await this.propose(command, {}))
    if (outcome.kind !== 'leased') throw unansweredError(outcome)
    return outcome.lease
  }

  async revokeLease(lease: number): Promise<void> {
    const command: Command = { type: 'lease-revocation', lease }
    const outcome = this.#recalled(command, await this.propose(command, {}))
    if (outcome.kind !== 'revoked') throw unansweredError(outcome)
  }

  async keepLeaseAlive(lease: number): Promise<number> {
    await this.barrier()
    if (!this.#leadership.leader) throw new Mk8sError('store/no-leader', 'this member does not lead')
    const found = this.state.lease(lease)
    if (found === null || this.#leaseKeeper.remaining(lease) === 0) throw noLeaseError(lease)
    this.#leaseKeeper.arm(lease, found.ttlMs)
    return found.ttlMs
  }

  async leaseRemaining(lease: number): Promise<number> {
    await this.barrier()
    if (!this.#leadership.leader) throw new Mk8sError('store/no-leader', 'this member does not lead')
    const remaining = this.state.lease(lease) === null ? null : this.#leaseKeeper.remaining(lease)
    if (remaining === null) throw noLeaseError(lease)
    return remaining
  }

  lease(lease: number): LeaseState | null {
    const found = this.state.lease(lease)
    return found === null ? null : { lease, ...found, remainingMs: this.#leaseKeeper.remaining(lease) }
  }

  leases(): readonly number[] {
    return this.state.leases().map(({ lease }) => lease)
  }

  onLeadership(listener: (leadership: Leadership) => void): () => void {
    this.#leadershipListeners.add(listener)
    return () => void this.#leadershipListeners.delete(listener)
  }

  /** One committed command: state first, then watchers; the caller answers the proposer last. */
  protected applyCommand(entry: CommittedCommand): Applied {
    const applied = this.state.apply(entry)
    this.#hub.publish(applied.events)
    if (this.#leadership.leader) {
      if (applied.granted !== null) this.#leaseKeeper.arm(applied.granted.lease, applied.granted.ttlMs)
      if (applied.revoked !== null) this.#leaseKeeper.disarm(applied.revoked)
      this.#compactor.onApplied()
    }
    return applied
  }

  protected becomeLeadership(leadership: Leadership): void {
    const before = this.#leadership
    if (before.leader === leadership.leader && before.term === leadership.term) return
    this.#leadership = leadership
    this.#leaseKeeper.reset(leadership.leader ? this.state.leases() : null)
    if (leadership.leader) this.#compactor.start()
    else this.#compactor.stop()
    for (const listener of this.#leadershipListeners) listener(leadership)
  }

  protected closeLocal(error: Error): void {
    this.#leaseKeeper.reset(null)
    this.#compactor.stop()
    this.#hub.closeAll(error)
  }

  #inBackground(what: string, work: Promise<void>): Promise<void> {
    return work.catch((error: unknown) => {
      if (error instanceof Mk8sError) this.log.debug(`could not ${what}`, { code: error.code })
      else throw error
    })
  }
}

function checkSize({ compares, operations }: Transaction): void {
  if (operations.length + compares.length > TRANSACTION_OPERATIONS_MAX) {
    throw tooLarge(`a transaction has at most ${TRANSACTION_OPERATIONS_MAX} compares and operations`)
  }
  let bytes = 0
  for (const { key } of [...compares, ...operations]) {
    if (key.length > KEY_BYTES_MAX) throw tooLarge(`a key has at most ${KEY_BYTES_MAX} bytes`)
    bytes += key.length
  }
  for (const operation of operations) if (operation.type === 'put') bytes += operation.value.length
  if (bytes > TRANSACTION_BYTES_MAX)
    throw tooLarge(`a transaction has at most ${TRANSACTION_BYTES_MAX} bytes`)
}

function checkDecision(decision: Decision): void {
  const bytes = bytesOfDecision(decision, 1)
  if (bytes > TRANSACTION_BYTES_MAX)
    throw tooLarge(`a transaction has at most ${TRANSACTION_BYTES_MAX} bytes`)
}

function bytesOfDecision({ conditions, steps, otherwise }: Decision, depth: number): number {
  if (depth > DECISION_DEPTH_MAX) throw tooLarge(`decisions are nested at most ${DECISION_DEPTH_MAX} deep`)
  let bytes = 0
  for (const list of [conditions, steps, otherwise]) {
    if (list.length > TRANSACTION_OPERATIONS_MAX)
      throw tooLarge(`a decision has at most ${TRANSACTION_OPERATIONS_MAX} conditions, and steps`)
  }
  for (const { key, end, operand } of conditions) {
    bytes += bytesOfKey(key) + bytesOfKey(end ?? '') + (typeof operand === 'number' ? 8 : operand.length)
  }
  for (const step of [...steps, ...otherwise]) bytes += bytesOfStep(step, depth)
  return bytes
}

function bytesOfStep(step: Step, depth: number): number {
  switch (step.type) {
    case 'put':
      return bytesOfKey(step.key) + (step.value?.length ?? 0)
    case 'delete':
      return bytesOfKey(step.start) + bytesOfKey(step.end)
    case 'range':
      return bytesOfKey(step.range.start) + bytesOfKey(step.range.end)
    case 'decision':
      return bytesOfDecision(step.decision, depth + 1)
  }
}

function bytesOfKey(key: string): number {
  if (key.length > KEY_BYTES_MAX) throw tooLarge(`a key has at most ${KEY_BYTES_MAX} bytes`)
  return key.length
}

function tooLarge(why: string): Mk8sError {
  return new Mk8sError('store/too-large', 'the write is larger than the store accepts', { why })
}

function unansweredError(outcome: CommandResult): Mk8sError {
  if (outcome.kind === 'no-lease') return noLeaseError(outcome.lease)
  if (outcome.kind === 'refused') return outcome.error
  return new Mk8sError('store/outcome-unknown', 'the write was applied before, and its result is not known')
}

export function noLeaseError(lease: number): Mk8sError {
  return new Mk8sError('store/no-lease', `lease ${lease} does not exist`)
}
