/** CrashLoopBackOff (pure): 10 s, doubling to 5 min, forgotten after a container ran well for 10 min. */

export interface RestartBackoff {
  readonly delayMs: number
  /** When the restart that this delay belongs to was begun. */
  readonly updatedAtMs: number
}

export const BACKOFF_INITIAL_MS = 10_000
export const BACKOFF_MAX_MS = 300_000
const FORGET_AFTER_MS = 2 * BACKOFF_MAX_MS

export type RestartDecision =
  | { readonly kind: 'restart'; readonly next: RestartBackoff }
  | { readonly kind: 'wait'; readonly untilMs: number; readonly delayMs: number }

/** The first restart is at once; each later one waits for the delay since the container ended. */
export function decideRestart(
  backoff: RestartBackoff | undefined,
  facts: { readonly finishedAtMs: number; readonly nowMs: number },
): RestartDecision {
  const { finishedAtMs, nowMs } = facts
  if (backoff === undefined || finishedAtMs - backoff.updatedAtMs > FORGET_AFTER_MS) {
    return { kind: 'restart', next: { delayMs: BACKOFF_INITIAL_MS, updatedAtMs: nowMs } }
  }
  const untilMs = finishedAtMs + backoff.delayMs
  if (nowMs < untilMs) return { kind: 'wait', untilMs, delayMs: backoff.delayMs }
  const delayMs = Math.min(backoff.delayMs * 2, BACKOFF_MAX_MS)
  return { kind: 'restart', next: { delayMs, updatedAtMs: nowMs } }
}

/** What a restarted kubelet knows of a container that had been restarted so often. */
export function restoreBackoff(restartCount: number, startedAtMs: number): RestartBackoff | undefined {
  if (restartCount === 0) return undefined
  const delayMs = Math.min(BACKOFF_INITIAL_MS * 2 ** Math.min(restartCount - 1, 10), BACKOFF_MAX_MS)
  return { delayMs, updatedAtMs: startedAtMs }
}

/** `10s`, `1m20s`, `5m0s`, as Go prints durations. */
export function goDuration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`
}
