/**
 * How long things take: ticks for the core, and how the election timeout follows from what was measured. The
 * heartbeat interval never changes, so that a member that has not heard of a longer timeout is not misled.
 */

export const TICK_MS = 10
export const HEARTBEAT_TICKS = 5
/** The election timeout, if nothing measured asks for more; each wait is one to two times that, at random. */
export const ELECTION_TICKS = 30
/** A closed link to the leader shortens the wait to at most this; chance keeps two members from colliding. */
export const LINK_CLOSED_TICKS_MAX = 6

/** What the election timeout may be. Few steps, so that it changes seldom and each change can be told. */
const ELECTION_STEPS_MS = [300, 450, 700, 1000, 1500, 2200, 3300, 5000] as const
export const ELECTION_MS_MIN = ELECTION_STEPS_MS[0]
export const ELECTION_MS_MAX = 5000
/** An election takes a flush and a round trip or two: its timeout is so many times the slower of both. */
const DELAYS_PER_ELECTION = 10
/** Raised at once, but lowered by one step after so long only. */
export const LOWER_AFTER_MS = 30_000

export interface Pace {
  readonly electionMs: number
  /** When it became so. */
  readonly since: number
}

export interface Measured {
  /** What a slow flush of the log takes, in milliseconds. */
  readonly flushMs: number
  /** What a slow round trip to the slowest member of the fastest quorum takes. */
  readonly roundTripMs: number
}

export function adaptPace(pace: Pace, { flushMs, roundTripMs }: Measured, now: number): Pace {
  const needed = DELAYS_PER_ELECTION * Math.max(flushMs, roundTripMs)
  const wanted = ELECTION_STEPS_MS.find(step => step >= needed) ?? ELECTION_MS_MAX
  if (wanted > pace.electionMs) return { electionMs: wanted, since: now }
  if (wanted === pace.electionMs || now - pace.since < LOWER_AFTER_MS) return pace
  const lower = ELECTION_STEPS_MS.findLast(step => step < pace.electionMs) ?? ELECTION_MS_MIN
  return { electionMs: lower, since: now }
}

const SLOWER_WEIGHT = 0.2
const FASTER_WEIGHT = 0.02
/** Something that took longer counts as so long. */
const DELAY_MS_MAX = 500

/**
 * What a slow one among many delays takes: rises fast, falls slowly. Of two in a row the shorter counts, so that
 * one hiccup changes nothing.
 */
export class SlowDelay {
  #ms = 0
  #last = 0

  get ms(): number {
    return this.#ms
  }

  add(delayMs: number): void {
    const steady = Math.min(delayMs, this.#last, DELAY_MS_MAX)
    this.#last = delayMs
    this.#ms += (steady - this.#ms) * (steady > this.#ms ? SLOWER_WEIGHT : FASTER_WEIGHT)
  }
}
