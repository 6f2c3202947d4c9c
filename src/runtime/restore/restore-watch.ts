/**
 * What a running daemon looks after when a restore was cut off: a decision that nobody carried out, and preparations
 * of which nobody has said what becomes of them.
 */
import { type Clock, sleep } from '../../base/clock.ts'
import type { Component } from '../../base/component.ts'
import { messageOf } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { discardPrepared, readJournal } from '../recovery/switch-over.ts'
import {
  abortPrepared,
  commitPrepared,
  isCommanded,
  isUnclaimed,
  readPrepared,
  wasAbandoned,
} from './prepared.ts'
import { DECISION_PATH, type DecisionAnswer } from './protocol.ts'
import type { ServerCalls } from './server-calls.ts'

export interface RestoreWatchParts {
  readonly dataDir: string
  readonly calls: ServerCalls
  readonly clock: Clock
  readonly log: Log
  readonly onRestart: () => void
}

const LOOK_MS = 1_000
/** What nobody claims for so long, nobody is still making. */
const UNCLAIMED_LOOKS = 15
const ASK_MS_MAX = 2_000

export function createRestoreWatch(parts: RestoreWatchParts): Component {
  const ended = new AbortController()
  let looking = Promise.resolve()
  return {
    name: 'restore',
    async prepare() {},
    async start() {
      looking = lookOn(parts, ended.signal)
    },
    async stop() {
      ended.abort()
      await looking
    },
    health: () => ({ ok: true, reason: '' }),
  }
}

async function lookOn(parts: RestoreWatchParts, signal: AbortSignal): Promise<void> {
  const { dataDir } = parts
  // Nothing of this process is under way yet.
  if (isUnclaimed(dataDir)) discardPrepared(dataDir)
  for (let unclaimed = 0; !signal.aborted; ) {
    unclaimed = isUnclaimed(dataDir) ? unclaimed + 1 : 0
    if (unclaimed >= UNCLAIMED_LOOKS) discardPrepared(dataDir)
    await look(parts).catch(error =>
      parts.log.debug('what becomes of a restore is not known yet', { why: messageOf(error) }),
    )
    await sleep(parts.clock, LOOK_MS, signal).catch(() => {})
  }
}

async function look({ dataDir, calls, log, onRestart }: RestoreWatchParts): Promise<void> {
  // In this order: a command that is gone writes no journal any more.
  const abandoned = wasAbandoned(dataDir)
  const journal = readJournal(dataDir)
  if (journal !== undefined) {
    if (journal.restore === undefined || isCommanded(dataDir)) return
    log.warn('a restore was decided and not carried out; this server begins again to finish it')
    onRestart()
    return
  }
  if (abandoned) discardPrepared(dataDir)
  const prepared = readPrepared(dataDir)
  if (prepared === null) return
  const { newClusterId } = prepared.journal
  const path = `${DECISION_PATH}?generation=${newClusterId}`
  const { decision } = (await calls.get(prepared.restorer, path, ASK_MS_MAX)) as DecisionAnswer
  if (decision === 'none') abortPrepared(dataDir, newClusterId)
  else if (decision === 'committed' && commitPrepared(dataDir, newClusterId)) onRestart()
}
