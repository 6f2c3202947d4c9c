/**
 * What the raft thread measures, and what follows from it: the election timeout in force, and a member whose disk
 * does not answer. The decisions are `raft/timing.ts`'s and the core's.
 */
import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { MemberId } from '../raft/messages.ts'
import { type Configuration, isAlone } from '../raft/quorum.ts'
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
  /** When the oldest heartbeat left that is not answered; null when all are. */
  sentAt: number | null
}

export class ReplicaTiming {
  readonly #parts: ReplicaTimingParts
  #roundTrips = new Map<MemberId, RoundTrip>()
  #pace: Pace
  #adaptedAt: number
  #stalls = false

  constructor(parts: ReplicaTimingParts) {
    this.#parts = parts
    const now = parts.clock.monotonic()
    this.#pace = { electionMs: ELECTION_MS_MIN, since: now }
    this.#adaptedAt = now
  }

  heartbeatLeaves(to: MemberId): void {
    const roundTrip = this.#roundTrips.get(to) ?? { slow: new SlowDelay(), sentAt: null }
    this.#roundTrips.set(to, roundTrip)
    roundTrip.sentAt ??= this.#parts.clock.monotonic()
  }

  heartbeatAnswered(from: MemberId): void {
    const roundTrip = this.#roundTrips.get(from)
    if (roundTrip === undefined || roundTrip.sentAt === null) return
    roundTrip.slow.add(this.#parts.clock.monotonic() - roundTrip.sentAt)
    roundTrip.sentAt = null
  }

  /** What was on its way there is lost. */
  linkClosed(peer: MemberId): void {
    this.#roundTrips.delete(peer)
  }

  /** Called at every turn. */
  update(): void {
    const { raft, clock } = this.#parts
    if (isAlone(raft.configuration, raft.id)) return
    const now = clock.monotonic()
    this.#watchDisk(now)
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
    const what = measured.flushMs >= measured.roundTripMs ? "the disk's flushes" : 'round trips'
    const took = Math.round(Math.max(measured.flushMs, measured.roundTripMs))
    if (electionMs < before.electionMs) log.info(`the election timeout is lowered to ${electionMs} ms`)
    else log.warn(`${what} take ${took} ms, the election timeout is raised to ${electionMs} ms`)
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
  #watchDisk(now: number): void {
    const { raft, wal, log } = this.#parts
    const { begunAt } = wal.flushTimes
    const stalledMs = begunAt === null ? 0 : now - begunAt
    const stalls = stalledMs > raft.electionTimeout * TICK_MS
    if (stalls === this.#stalls) return
    this.#stalls = stalls
    const leads = raft.role === 'leader'
    raft.setDiskStalls(stalls)
    if (!stalls) log.info('the disk answers again')
    else log.warn(`the disk has not answered for ${Math.round(stalledMs)} ms`, { handsOver: leads })
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
