/**
 * The leader's duty of one term: runs the schedules when their time has come, one run at a time, and puts on record
 * what it does before and after. Everything it goes by is in the store, so another leader goes on where this one ended.
 */

import type { Clock } from '../../../base/clock.ts'
import type { Component, Health } from '../../../base/component.ts'
import { messageOf } from '../../../base/errors.ts'
import type { Log } from '../../../base/log.ts'
import { WakingLoop } from '../../../base/waking-loop.ts'
import type { BackupRun } from '../../../client/backup-schedule-status.ts'
import { followRange } from '../../store/follow-range.ts'
import type { Store, Watch } from '../../store/store.ts'
import type { BackupJobResult } from './backup-job.ts'
import { cronTimes } from './cron-times.ts'
import { planSchedule, retryAt, type ScheduleStep } from './plan-schedule.ts'
import { failedRun, finishedRun, settle } from './run-results.ts'
import {
  encodeRecord,
  type RunningRecord,
  readSchedule,
  readSchedules,
  requestKey,
  type ScheduleEntry,
  type StateRecord,
  scheduleKey,
  stateKey,
  WATCHED_RANGES,
} from './schedule-record.ts'

/** Wall time may be set meanwhile. */
const LOOK_MS_MAX = 30_000
/** After a write that did not succeed. */
const AGAIN_MS = 1_000

export interface ScheduleKeeperParts {
  readonly store: Pick<Store, 'get' | 'range' | 'watch' | 'transact' | 'revision'>
  /** The term that this duty belongs to; its writes are fenced with it. */
  readonly term: number
  readonly nodeName: string
  readonly fileName: (schedule: string, atMs: number, taken: readonly string[]) => string
  /** Makes the backup, and brings it where it belongs. */
  readonly perform: (
    entry: ScheduleEntry,
    running: RunningRecord,
    earlier: string | null,
    signal: AbortSignal,
  ) => Promise<BackupJobResult>
  readonly onRun: (name: string, run: BackupRun) => void
  readonly onMissed: (name: string, scheduledMs: number) => void
  readonly clock: Clock
  readonly log: Log
}

export function createScheduleKeeper(parts: ScheduleKeeperParts): Component {
  return new Keeper(parts)
}

type RunStep = ScheduleStep & { readonly type: 'run' }

class Keeper implements Component {
  readonly name = 'backup-schedules'
  readonly #parts: ScheduleKeeperParts
  readonly #ended = new AbortController()
  readonly #loop: WakingLoop
  #watches: readonly Watch[] = []

  constructor(parts: ScheduleKeeperParts) {
    this.#parts = parts
    this.#loop = new WakingLoop({ look: () => this.#lookAtAll(), clock: parts.clock })
  }

  async prepare(): Promise<void> {}

  async start(): Promise<void> {
    const { store, clock } = this.#parts
    const onChange = () => this.#loop.wake()
    this.#watches = WATCHED_RANGES.map(range => followRange({ store, range, onChange, clock }))
    this.#loop.wake()
  }

  async stop(): Promise<void> {
    this.#ended.abort(new Error('this server leads no longer'))
    for (const watch of this.#watches) watch.close()
    await this.#loop.stop()
  }

  health(): Health {
    return { ok: true, reason: '' }
  }

  get #over(): boolean {
    return this.#ended.signal.aborted
  }

  /** Returns when to look again if nothing happens before. */
  async #lookAtAll(): Promise<number> {
    const { store, clock, log } = this.#parts
    let soonestMs = clock.now() + LOOK_MS_MAX
    for (const { name } of readSchedules(store)) {
      try {
        const untilMs = await this.#lookAt(name)
        soonestMs = Math.min(soonestMs, untilMs ?? soonestMs)
      } catch (error) {
        if (this.#over) return 0
        log.warn('a backup schedule could not go on', { schedule: name, why: messageOf(error) })
        soonestMs = Math.min(soonestMs, clock.now() + AGAIN_MS)
      }
    }
    return Math.max(0, soonestMs - clock.now())
  }

  async #lookAt(name: string): Promise<number | null> {
    const { store, clock, log, onMissed } = this.#parts
    const entry = readSchedule(store, name)
    if (entry === null || this.#over) return null
    const { cron, timeZone } = entry.record.spec
    const nowMs = clock.now()
    const step = planSchedule({ entry, times: cronTimes(cron, timeZone), nowMs })
    if (step.type === 'wait') return step.untilMs
    if (step.type === 'miss') {
      await this.#write(entry, { ...entry.state, handledMs: step.scheduledMs, retry: null })
      log.warn('a scheduled backup was missed', { schedule: name, scheduledMs: step.scheduledMs })
      onMissed(name, step.scheduledMs)
    } else if (step.type === 'give-up') await this.#giveUp(entry)
    else await this.#run(entry, step, nowMs)
    return clock.now()
  }

  async #run(entry: ScheduleEntry, step: RunStep, nowMs: number): Promise<void> {
    const { nodeName, fileName, perform, log } = this.#parts
    const { scheduledMs, request, failures, earlier } = step
    const taken = entry.state.runs.map(run => run.file)
    const file = fileName(entry.name, nowMs, taken)
    const running = { file, startedMs: nowMs, scheduledMs, request, failures, node: nodeName }
    const { state } = entry
    const handled = scheduledMs === null ? {} : { handledMs: scheduledMs, retry: null }
    const begun = { ...state, ...handled, running }
    // Otherwise it has changed meanwhile, and is looked at again.
    if (!(await this.#write(entry, begun, state.running === null && request !== null))) return
    log.info('a backup begins', { schedule: entry.name, file })
    const { signal } = this.#ended
    let run: BackupRun
    try {
      const result = await perform(entry, running, earlier, signal)
      run = finishedRun(running, result, this.#parts.clock.now())
    } catch (error) {
      // The next leader runs it again.
      signal.throwIfAborted()
      run = failedRun(running, error, this.#parts.clock.now())
    }
    await this.#finish(entry, begun, run)
  }

  async #finish(entry: ScheduleEntry, begun: StateRecord, run: BackupRun): Promise<void> {
    const { clock, log, onRun } = this.#parts
    const { outcome, bytes, durationMs, error } = run
    const retryMs = run.outcome === 'Failed' ? retryAt(run.failures + 1, clock.now()) : null
    if (!(await this.#write(entry, settle(begun, run, retryMs)))) return
    const facts = { schedule: entry.name, file: run.file, durationMs }
    if (outcome === 'Succeeded') log.info('a backup is at its target', { ...facts, bytes })
    else log.error('a backup failed', { ...facts, why: error?.message, reason: error?.why })
    onRun(entry.name, run)
  }

  async #giveUp(entry: ScheduleEntry): Promise<void> {
    const { running } = entry.state
    if (running === null) return
    const lost = new Error('the servers that made this backup were lost again and again')
    await this.#finish(entry, entry.state, failedRun(running, lost, this.#parts.clock.now()))
  }

  /** Only while it is the same schedule. With `taken`, the request on record is taken off it. */
  async #write(entry: ScheduleEntry, state: StateRecord, taken = false): Promise<boolean> {
    const { store, term } = this.#parts
    const { name, createRevision, request } = entry
    const takes = taken && request !== null
    const { succeeded } = await store.transact(
      {
        compares: [
          { key: scheduleKey(name), target: 'create-revision', equals: createRevision },
          ...(takes
            ? [{ key: requestKey(name), target: 'mod-revision', equals: request.modRevision } as const]
            : []),
        ],
        operations: [
          { type: 'put', key: stateKey(name), value: encodeRecord(state) },
          ...(takes ? [{ type: 'delete', key: requestKey(name) } as const] : []),
        ],
      },
      { term },
    )
    return succeeded
  }
}
