/** The one lifecycle of everything that runs inside the daemon. */

export interface Health {
  readonly ok: boolean
  /** What is wrong, in words a user can act on; empty when ok. */
  readonly reason: string
}

/**
 *   created ─prepare→ prepared ─start→ running ─stop→ stopped
 *
 * `prepare` does everything that can fail without side effects on the cluster;
 * `start` returns once the component serves; `stop` may be called at any time, twice too.
 */
export interface Component {
  readonly name: string
  prepare(signal: AbortSignal): Promise<void>
  start(signal: AbortSignal): Promise<void>
  stop(): Promise<void>
  health(): Health
}
