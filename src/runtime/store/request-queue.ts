/**
 * Requests of this process on their way through the log: numbered, encoded, sent to the raft thread once per
 * turn of the event loop, and answered when their entry is applied here. Bounded in number, bytes and time.
 */
import { type Clock, endsWithin, type Timer } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { ENTRY_HEADER_BYTES, writeEntryHeader } from '../raft/entry.ts'
import { entryTypeOf, sizeOfCommand, writeCommand } from './mvcc/codec.ts'
import type { Command, CommandResult } from './mvcc/command.ts'
import { REQUESTS_REMEMBERED_MAX } from './mvcc/remembered-requests.ts'
import type { StateMachine } from './mvcc/state-machine.ts'
import type { TransactionOptions } from './store.ts'
import type { Fence, RaftRequests, RefusedRequest } from './thread-messages.ts'

/** The state machine remembers so many results, so no more may be under way. */
const IN_FLIGHT_MAX = REQUESTS_REMEMBERED_MAX / 2
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024
/** So many leave at once, so that the raft thread begins while the rest is still being made. */
const SEND_AT = 32
/** An answer later than this is not waited for; the write may still happen. */
export const ANSWER_TIMEOUT_MS = 10_000
/** How long a close waits for writes under way. */
const DRAIN_MS_MAX = 5_000
const SWEEP_MS = 1_000
/** What travelled to another member and is not answered after this is asked again. */
const LOST_AFTER_MS = 1_000
/** A leader that takes nothing for a moment, because it hands over, is asked again after this. */
const ASK_AGAIN_MS = 100

/** Names of reads are numbers below 2^53: which life of the process, and which of its questions. */
const CONTEXTS_PER_LIFE = 2 ** 32
const CONTEXT_LIVES = 2 ** 20

export interface RequestQueueParts {
  readonly clock: Clock
  /** Identifies this life of this process among all that ever propose. */
  readonly proposer: number
  readonly post: (requests: RaftRequests, transfer: ArrayBuffer[]) => void
  /** Whether somebody is believed to take requests. While nobody does, `leaderChanged` says when to ask again. */
  readonly isLed?: () => boolean
  /** Whether requests travel to another member, on links that may lose them. */
  readonly mayLose?: () => boolean
}

interface Waiting<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
  readonly askedAt: number
}

interface PendingProposal extends Waiting<CommandResult> {
  readonly command: Command
  readonly bytes: number
  readonly term: number | null
  /** How often it was handed to the raft thread and not handed back: only then may it happen. */
  left: number
  sentAt: number
}

export class RequestQueue {
  readonly #parts: RequestQueueParts
  readonly #proposals = new Map<number, PendingProposal>()
  readonly #reads = new Map<number, Waiting<number>>()
  #unsent: { readonly request: number; readonly proposal: PendingProposal }[] = []
  #unsentRead: { readonly context: number; readonly answer: Promise<number> } | null = null
  #readsAgain = false
  #lastRequest = 0
  #lastContext: number
  #bytes = 0
  #scheduled = false
  #sweep: Timer | null = null
  #again: Timer | null = null
  #ended: Error | null = null
  #idle: (() => void)[] = []

  constructor(parts: RequestQueueParts) {
    this.#parts = parts
    // An answer to a question of an earlier life must fit to none of this one: it may be older than the question.
    this.#lastContext = (parts.proposer % CONTEXT_LIVES) * CONTEXTS_PER_LIFE
  }

  get inFlight(): number {
    return this.#proposals.size
  }

  propose(command: Command, options: TransactionOptions): Promise<CommandResult> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    if (options.signal?.aborted) return Promise.reject(options.signal.reason)
    const bytes = ENTRY_HEADER_BYTES + sizeOfCommand(command)
    if (this.#proposals.size >= IN_FLIGHT_MAX || this.#bytes + bytes > IN_FLIGHT_BYTES_MAX) {
      return Promise.reject(overloadedError(this.#proposals.size, this.#bytes))
    }
    const request = ++this.#lastRequest
    const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
    const askedAt = this.#parts.clock.monotonic()
    const term = options.term ?? null
    const proposal = { command, bytes, term, left: 0, sentAt: askedAt, resolve, reject, askedAt }
    this.#proposals.set(request, proposal)
    this.#bytes += bytes
    this.#unsent.push({ request, proposal })
    if (this.#unsent.length >= SEND_AT) this.#send()
    else this.#schedule()
    return options.signal ? abortable(promise, options.signal) : promise
  }

  /** The index that must be applied before a read is linearizable; one question for all that ask in a turn. */
  readIndex(): Promise<number> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    if (this.#unsentRead !== null) return this.#unsentRead.answer
    const context = ++this.#lastContext
    const { promise, resolve, reject } = Promise.withResolvers<number>()
    this.#reads.set(context, { resolve, reject, askedAt: this.#parts.clock.monotonic() })
    this.#unsentRead = { context, answer: promise }
    this.#schedule()
    return promise
  }

  /** The command of an own entry that is to be applied now. */
  commandOf(request: number): Command | null {
    return this.#proposals.get(request)?.command ?? null
  }

  applied(request: number, result: CommandResult): void {
    this.#remove(request)?.resolve(result)
  }

  readAnswered(context: number, index: number): void {
    this.#reads.get(context)?.resolve(index)
    this.#reads.delete(context)
  }

  /**
   * Somebody else leads, or in a new term: what is not answered may be lost, so it is asked again. What was
   * committed meanwhile applies once nevertheless, because the state machine remembers it.
   */
  leaderChanged(): void {
    this.#askAgain(Number.POSITIVE_INFINITY)
  }

  /** What was sent up to this time is sent again. */
  #askAgain(sentBefore: number): void {
    const unsent = new Set(this.#unsent.map(({ request }) => request))
    for (const [request, proposal] of this.#proposals) {
      if (proposal.term !== null || proposal.sentAt > sentBefore || unsent.has(request)) continue
      this.#unsent.push({ request, proposal })
    }
    const [oldestRead] = this.#reads.values()
    this.#readsAgain ||= oldestRead !== undefined && oldestRead.askedAt <= sentBefore
    if (this.#unsent.length > 0 || this.#readsAgain) this.#schedule()
  }

  /** An entry of this term is applied: what was fenced to an earlier one and is not applied never will be. */
  termApplied(term: number): void {
    for (const [request, proposal] of this.#proposals) {
      if (proposal.term === null || proposal.term >= term) continue
      this.#remove(request)?.reject(fencedError(term))
    }
  }

  /**
   * The state has jumped ahead, over entries that nobody applied here. What is fenced and among them has happened,
   * and is not asked again; the rest is, and hears of it then.
   */
  installed(state: Pick<StateMachine, 'resultOf'>): void {
    for (const [request, proposal] of this.#proposals) {
      if (proposal.term === null) continue
      const found = state.resultOf(this.#parts.proposer, request)
      if (found === null) continue
      this.#remove(request)
      if (found === 'forgotten') proposal.resolve({ kind: 'forgotten' })
      else proposal.resolve({ kind: 'duplicate', remembered: found })
    }
  }

  /** Without a leader there is nobody to ask; `leaderChanged` asks again. */
  refused({ kind, request, reason, term }: RefusedRequest): void {
    const proposal = kind === 'proposal' ? this.#proposals.get(request) : undefined
    if (proposal !== undefined) proposal.left--
    const fenced = kind === 'proposal' && proposal?.term !== null
    if (reason === 'no-leader' && !fenced) {
      this.#askAgainLater()
      return
    }
    const waiting = kind === 'proposal' ? this.#remove(request) : this.#reads.get(request)
    if (kind === 'read') this.#reads.delete(request)
    waiting?.reject(refusalError(reason, term))
  }

  #askAgainLater(): void {
    this.#again ??= this.#parts.clock.after(ASK_AGAIN_MS, () => {
      this.#again = null
      if (this.#ended === null && this.#parts.isLed?.()) this.leaderChanged()
    })
  }

  /** Resolves when nothing is under way any more, or when that takes too long. */
  async drain(): Promise<void> {
    if (this.#proposals.size === 0) return
    const idle = new Promise<void>(resolve => this.#idle.push(resolve))
    await endsWithin(this.#parts.clock, DRAIN_MS_MAX, idle)
  }

  /** Refuses everything from now on; what is under way has an unknown outcome. */
  end(error: Error): void {
    if (this.#ended !== null) return
    this.#ended = error
    this.#sweep?.cancel()
    this.#again?.cancel()
    for (const proposal of this.#proposals.values()) {
      proposal.reject(proposal.left > 0 ? unknownOutcomeError() : error)
    }
    for (const read of this.#reads.values()) read.reject(error)
    this.#proposals.clear()
    this.#reads.clear()
    for (const resolve of this.#idle.splice(0)) resolve()
  }

  #remove(request: number): PendingProposal | undefined {
    const proposal = this.#proposals.get(request)
    if (proposal === undefined) return undefined
    this.#proposals.delete(request)
    this.#bytes -= proposal.bytes
    if (this.#proposals.size === 0) for (const resolve of this.#idle.splice(0)) resolve()
    return proposal
  }

  /** At once when the thread is idle; when it is busy, with everything else of this turn. */
  #schedule(): void {
    this.#armSweep()
    if (this.#scheduled) return
    this.#scheduled = true
    const alone = this.#proposals.size + this.#reads.size <= 1
    if (alone) queueMicrotask(() => this.#sendScheduled())
    else setImmediate(() => this.#sendScheduled())
  }

  #sendScheduled(): void {
    this.#scheduled = false
    this.#send()
  }

  #send(): void {
    if (this.#ended !== null) return
    if (this.#unsent.length === 0 && this.#unsentRead === null && !this.#readsAgain) return
    const unsent = this.#unsent
    this.#unsent = []
    const total = unsent.reduce((sum, { proposal }) => sum + proposal.bytes, 0)
    const entries = new ArrayBuffer(total)
    const bytes = Buffer.from(entries)
    const fences: Fence[] = []
    const now = this.#parts.clock.monotonic()
    let offset = 0
    for (const { request, proposal } of unsent) {
      const { command, bytes: length, term } = proposal
      const payloadBytes = length - ENTRY_HEADER_BYTES
      writeEntryHeader(bytes, offset, {
        type: entryTypeOf(command),
        payloadBytes,
        proposer: this.#parts.proposer,
        request,
      })
      writeCommand(bytes, offset + ENTRY_HEADER_BYTES, command)
      proposal.left++
      proposal.sentAt = now
      if (term !== null) fences.push({ request, term })
      offset += length
    }
    const fresh = this.#unsentRead === null ? [] : [this.#unsentRead.context]
    const reads = this.#readsAgain ? [...this.#reads.keys()] : fresh
    this.#unsentRead = null
    this.#readsAgain = false
    this.#parts.post({ type: 'requests', entries, fences, reads }, [entries])
  }

  #armSweep(): void {
    this.#sweep ??= this.#parts.clock.after(SWEEP_MS, () => {
      this.#sweep = null
      const now = this.#parts.clock.monotonic()
      this.#giveUpOn(now - ANSWER_TIMEOUT_MS)
      if (this.#parts.mayLose?.()) this.#askAgain(now - LOST_AFTER_MS)
      if (this.#proposals.size + this.#reads.size > 0) this.#armSweep()
    })
  }

  /** Late proposals are answered; the commands of those that left stay: their entries may still be applied. */
  #giveUpOn(before: number): void {
    for (const [request, proposal] of this.#proposals) {
      if (proposal.askedAt > before) break
      if (proposal.left > 0) proposal.reject(unknownOutcomeError())
      else this.#remove(request)?.reject(noLeaderError())
    }
    this.#unsent = this.#unsent.filter(({ request }) => this.#proposals.has(request))
    for (const [context, read] of this.#reads) {
      if (read.askedAt > before) break
      this.#reads.delete(context)
      read.reject(new Mk8sError('store/no-leader', 'no member of the datastore confirmed that it leads'))
    }
  }
}

/** Whoever waits is released by the signal; what was asked goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

function noLeaderError(): Mk8sError {
  return new Mk8sError('store/no-leader', 'no member of the datastore leads')
}

function refusalError(reason: RefusedRequest['reason'], term: number): Mk8sError {
  if (reason === 'fenced') return fencedError(term)
  if (reason === 'no-leader') return new Mk8sError('store/no-leader', 'no member of the datastore leads')
  return new Mk8sError('store/version', 'not every member of the cluster understands such a write yet', {
    hint: 'bring all members to the same version of mk8s',
  })
}

function fencedError(term: number): Mk8sError {
  return new Mk8sError('store/fenced', 'the term of this write is over', { why: `the term is ${term} now` })
}

function overloadedError(inFlight: number, bytes: number): Mk8sError {
  return new Mk8sError('store/overloaded', 'too many writes are waiting for the disk', {
    fields: { inFlight, bytes },
  })
}

function unknownOutcomeError(): Mk8sError {
  return new Mk8sError('store/outcome-unknown', 'the write was not answered in time', {
    why: 'it may or may not have happened',
  })
}
