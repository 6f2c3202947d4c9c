/**
 * The rules by which a daemon is kept running where systemd does not: what `supervisor-script.ts` does in shell,
 * for machines that have no /bin/sh. Pure; `supervise.ts` acts.
 */

export interface DaemonEnd {
  /** Exit code; that of a signal is 128 and its number. */
  readonly code: number
  readonly ranMs: number
  /** It had left `run/ready`. */
  readonly hadServed: boolean
  /** The node's directory is still there. */
  readonly hasDirectory: boolean
  readonly isStopping: boolean
}

export type Verdict =
  | { readonly kind: 'end' }
  | { readonly kind: 'again'; readonly pauseMs: number; readonly failures: number }

/** By the number of failures in a row; the last one for all further ones. */
const PAUSES_MS = [100, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000] as const
const LAST_PAUSE_MS = 30_000
/** Whoever ran for so long begins to count anew. */
const STEADY_MS = 60_000
/** A daemon that had served waits no longer than after its second failure. */
const SERVED_FAILURES_MAX = 2

/** `failures` is how many there were in a row before this end. */
export function afterDaemonEnd(end: DaemonEnd, failures: number): Verdict {
  if (end.code === 0 || end.isStopping || !end.hasDirectory) return { kind: 'end' }
  const inRow = (end.ranMs >= STEADY_MS ? 0 : failures) + 1
  const counted = end.hadServed ? Math.min(inRow, SERVED_FAILURES_MAX) : inRow
  return { kind: 'again', pauseMs: PAUSES_MS[counted - 1] ?? LAST_PAUSE_MS, failures: counted }
}
