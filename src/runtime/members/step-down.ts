/**
 * What a server does before it stops in order: it says so in its record, and when a standby can take its place among
 * the voters, or another voter its leadership, it waits for that, but not for long.
 */
import { type Clock, sleep } from '../../base/clock.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { isVoter } from '../raft/quorum.ts'
import type { RaftStore } from '../store/raft-store.ts'
import type { MemberAnswer } from './member-answer.ts'
import type { MemberRecord } from './member-record.ts'
import { readMembers } from './member-table.ts'
import type { PeerDirectory } from './peer-directory.ts'

/** Whoever has not taken over by then does so when this server is gone. */
export const STEP_DOWN_MS_MAX = 3_000
const LOOK_MS = 20

export interface StepDownParts {
  readonly store: Pick<RaftStore, 'status' | 'range'>
  readonly directory: Pick<PeerDirectory, 'announceStop'>
  /** The answers of the others that came in time. */
  readonly ask: (signal: AbortSignal) => Promise<readonly MemberAnswer[]>
  readonly clock: Clock
  readonly log: Log
}

export async function stepDown(parts: StepDownParts): Promise<void> {
  const { store, directory, ask, clock, log } = parts
  const { memberId, leaderMemberId } = store.status()
  const records = readMembers(store).map(({ record }) => record)
  const own = records.find(({ id }) => id === memberId)
  // Alone, on its way out, or where nobody could write it down: it just goes.
  if (own === undefined || own.leaving || records.length < 2 || leaderMemberId === 0) return
  const late = new AbortController()
  const timer = clock.after(STEP_DOWN_MS_MAX, () => late.abort(new Error('nobody took over in time')))
  try {
    const [answers] = await Promise.all([ask(late.signal), directory.announceStop(late.signal)])
    const living = new Set(answers.map(({ id }) => id))
    const isWaitedFor = () =>
      readMembers(store).some(({ record }) => living.has(record.id) && mayReplace(record, store))
    while (votes(store) && isWaitedFor()) await sleep(clock, LOOK_MS, late.signal)
    log.info('the other servers know that this one stops', { votes: votes(store) })
  } catch (error) {
    log.warn('this server stops without having handed over its role', { why: messageOf(error) })
  } finally {
    timer.cancel()
  }
}

/** Also while a change that takes it out is under way. */
function votes(store: Pick<RaftStore, 'status'>): boolean {
  const { membership, memberId } = store.status()
  return isVoter(membership, memberId)
}

/** It could vote instead; whether it has the log, the leader knows. */
function mayReplace({ id, leaving, stopped }: MemberRecord, store: Pick<RaftStore, 'status'>): boolean {
  return !leaving && !stopped && !isVoter(store.status().membership, id)
}
