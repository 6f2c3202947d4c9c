/**
 * What the raft thread measures, and what follows from it: the election timeout in force, and a member whose disk
 * does not answer. The decisions are `raft/timing.ts`'s and the core's.
 */

import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Configuration, MemberId } from '../raft/messages.ts'
import { isAlone } from '../raft/quorum.ts'
import type { Raft } from '../raft/raft.ts'
import { adaptPace, ELECTION_MS_MIN, HEARTBEAT_TICKS, type Pace, SlowDelay, TICK_MS } from '../raft/timing.ts'
import type { WriteAheadLog } from './log/write-ahead-log.ts'
import type { StoreTiming } from './raft-store.ts'

/** How often the timeout is looked at again. */
const ADAPT_EVERY_MS = 100

export interface ReplicaTimingParts {
  readonly raft: Raft
  readonly wal: WriteAheadLog
  readonly clock: Clock
  readonly log: Log
}

interface RoundTrip {
  readonly slow: SlowDelay
  /** The heartbeat whose answer is waited for. */
  waiting: { readonly sequence: number; readonly sentAt: number } | null
}

export class ReplicaTiming {
  readonly #parts: ReplicaTimingParts
  #roundTrips = new Map<MemberId, RoundTrip>()
  #pace: Pace
  #adaptedAt: number
  /** The write under way, and for how long this thread has waited for it while it ran. */
  #writeBegunAt: number | null = null
  #writeWaitedMs = 0
  #stalls = false

  constructor(parts: ReplicaTimingParts) {
    this.#parts = parts
    const now = parts.clock.monotonic()
    this.#pace = { electionMs: ELECTION_MS_MIN, since: now }
    this.#adaptedAt = now
  }

  heartbeatLeaves(to: MemberId, sequence: number): void {
    const roundTrip = this.#roundTrips.get(to) ?? { slow: new SlowDelay(), waiting: null }
    this.#roundTrips.set(to, roundTrip)
    roundTrip.waiting ??= { sequence, sentAt: this.#parts.clock.monotonic() }
  }

  /** The answer to a later heartbeat shows that the one waited for is lost. */
  heartbeatAnswered(from: MemberId, sequence: number): void {
    const roundTrip = this.#roundTrips.get(from)
    const waiting = roundTrip?.waiting ?? null
    if (roundTrip === undefined || waiting === null || sequence < waiting.sequence) return
    roundTrip.waiting = null
    if (sequence === waiting.sequence) roundTrip.slow.add(this.#parts.clock.monotonic() - waiting.sentAt)
  }

  /** What was on its way there is lost. */
  linkClosed(peer: MemberId): void {
    this.#roundTrips.delete(peer)
  }

  /** Called at every turn; `passedMs` is what passed since, without the time in which this thread did not run. */
  update(passedMs: number): void {
    const { raft, clock } = this.#parts
    if (isAlone(raft.configuration, raft.id)) return
    const now = clock.monotonic()
    this.#watchDisk(passedMs)
    if (now < this.#adaptedAt + ADAPT_EVERY_MS) return
    this.#adaptedAt = now
    if (raft.role !== 'leader' && this.#roundTrips.size > 0) this.#roundTrips.clear()
    this.#adapt(now)
  }

  #adapt(now: number): void {
    const { raft, wal, log } = this.#parts
    const before = this.#pace
    const measured = { flushMs: wal.flushTimes.slowMs, roundTripMs: this.#roundTripMs }
    this.#pace = adaptPace(before, measured, now)
    const { electionMs } = this.#pace
    if (electionMs === before.electionMs) return
    raft.setElectionTimeout(Math.round(electionMs / TICK_MS))
    const flushMs = Math.round(measured.flushMs)
    const fields = { flushMs, roundTripMs: Math.round(measured.roundTripMs), electionMs }
    if (electionMs < before.electionMs) log.info('the election timeout is lowered', fields)
    else if (measured.flushMs < measured.roundTripMs) {
      log.warn('other members answer slowly, the election timeout is raised', fields)
    } else log.warn("the disk's flushes are slow, the election timeout is raised", fields)
  }

  /** Of the slowest member of the fastest quorum: one that is slower harms nobody but itself. */
  get #roundTripMs(): number {
    const { voters, outgoing } = this.#parts.raft.configuration
    return Math.max(this.#majorityMs(voters), this.#majorityMs(outgoing))
  }

  #majorityMs(voters: Configuration['voters']): number {
    const delays = voters.map(id => this.#roundTrips.get(id)?.slow.ms ?? 0).sort((a, b) => a - b)
    return delays[Math.floor(voters.length / 2)] ?? 0
  }

  /** A write that is under way for longer than an election timeout: others should lead. */
  #watchDisk(passedMs: number): void {
    const { raft, wal, log } = this.#parts
    const { begunAt } = wal.flushTimes
    this.#writeWaitedMs =
      begunAt === null || begunAt !== this.#writeBegunAt ? 0 : this.#writeWaitedMs + passedMs
    this.#writeBegunAt = begunAt
    const stalls = this.#writeWaitedMs > raft.electionTimeout * TICK_MS
    if (stalls === this.#stalls) return
    this.#stalls = stalls
    const leads = raft.role === 'leader'
    raft.setDiskStalls(stalls)
    if (!stalls) log.info('the disk answers again')
    else log.warn('the disk does not answer', { flushMs: this.#writeWaitedMs, handsOver: leads })
  }

  describe(): StoreTiming {
    const { raft, wal } = this.#parts
    return {
      flushMedianMs: wal.flushTimes.medianMs,
      flushWorstMs: wal.flushTimes.worstMs,
      roundTripMs: this.#roundTripMs,
      heartbeatMs: HEARTBEAT_TICKS * TICK_MS,
      electionMs: raft.electionTimeout * TICK_MS,
    }
  }
}
