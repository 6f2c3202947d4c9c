/** `mk8s status --watch`: on a terminal the whole picture again and again, in a pipe a line when it changes. */
import { type Clock, sleepAlive } from '../base/clock.ts'
import { EXIT_INTERRUPTED } from '../base/errors.ts'
import type { DatastoreStatus, NodeStatus } from '../client/node-status.ts'
import type { Paint } from './report-error.ts'
import { renderNotRunning, renderStatus, type StatusFormat, summaryLine } from './status-view.ts'

const REFRESH_MS = 2_000
const CLEAR = '\u001b[H\u001b[2J\u001b[3J'

export interface WatchParts {
  /** Undefined while the daemon does not run. */
  readonly read: () => Promise<NodeStatus | undefined>
  readonly format: StatusFormat
  readonly isTerminal: boolean
  readonly paint: Paint
  readonly write: (text: string) => void
  readonly clock: Clock
  /** Aborted when the user has seen enough. */
  readonly signal: AbortSignal
}

export async function watchStatus(parts: WatchParts): Promise<number> {
  const { read, clock, signal } = parts
  let shown = ''
  while (!signal.aborted) {
    const status = await read()
    const text = parts.isTerminal ? picture(parts, status) : lineOf(parts, status)
    if (parts.isTerminal || text !== shown) parts.write(parts.isTerminal ? text : stamped(parts, text))
    shown = text
    // Interrupted: the loop ends.
    await sleepAlive(clock, REFRESH_MS, signal).catch(() => {})
  }
  return EXIT_INTERRUPTED
}

function picture({ format, paint }: WatchParts, status: NodeStatus | undefined): string {
  return CLEAR + (status === undefined ? renderNotRunning(format, '') : renderStatus(status, format, paint))
}

/** Without what changes all the time, so that equal lines mean that nothing happened. */
function lineOf({ format }: WatchParts, status: NodeStatus | undefined): string {
  if (format !== 'json') return status === undefined ? 'not running' : summaryLine(status)
  if (status === undefined) return JSON.stringify({ running: false, ready: false })
  const { uptimeSeconds: _uptime, datastore, ...rest } = status
  return JSON.stringify({ running: true, ...rest, datastore: datastore && steadyDatastore(datastore) })
}

function steadyDatastore({ revision: _revision, highAvailability, ...store }: DatastoreStatus): object {
  const { why: _why, ...availability } = highAvailability
  const members = store.members.map(({ silentMs: _silentMs, lag: _lag, ...member }) => member)
  return { ...store, members, highAvailability: availability }
}

function stamped({ format, clock }: WatchParts, text: string): string {
  return format === 'json' ? `${text}\n` : `${new Date(clock.now()).toISOString()} ${text}\n`
}
