/**
 * How often a thread runs when there is not enough time for all. The raft thread needs little, and everybody waits for
 * it: heartbeats, flushes, the answers of all members. For the store thread nobody waits once the state is loaded.
 * Only Linux has priorities of threads, and only root raises one.
 */
import { getPriority, setPriority } from 'node:os'

const PRIORITY_MIN = -20
const PRIORITY_MAX = 19

/** Of the calling thread; each step is about a quarter more of the time, or less when it is above zero. */
export function makeNicer(steps: number): void {
  if (process.platform !== 'linux') return
  try {
    setPriority(Math.max(PRIORITY_MIN, Math.min(PRIORITY_MAX, getPriority() + steps)))
  } catch {
    // Then it competes with the others as it is.
  }
}
