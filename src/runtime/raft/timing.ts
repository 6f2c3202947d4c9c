/** How long things take, in ticks. */

export const TICK_MS = 10
export const HEARTBEAT_TICKS = 5
export const ELECTION_TICKS_MIN = 30
export const ELECTION_TICKS_MAX = 60
/** A closed link to the leader shortens the wait to at most this; chance keeps two members from colliding. */
export const LINK_CLOSED_TICKS_MAX = 6
