/**
 * The records of scheduled backups: what is wanted, what was asked for, and what the leader has done. They are in the
 * store, so that every server knows them and the next leader goes on; they name a Secret and never hold one.
 */

import { Mk8sError } from '../../../base/errors.ts'
import type { BackupRun, BackupScheduleSpec } from '../../../client/backup-schedule-status.ts'
import { type KeyValue, prefixEnd, type Store } from '../../store/store.ts'

export const SCHEDULES_PREFIX = '/mk8s/backup-schedules/'
export const REQUESTS_PREFIX = '/mk8s/backup-requests/'
export const STATES_PREFIX = '/mk8s/backup-states/'

export const scheduleKey = (name: string): string => `${SCHEDULES_PREFIX}${name}`
export const requestKey = (name: string): string => `${REQUESTS_PREFIX}${name}`
export const stateKey = (name: string): string => `${STATES_PREFIX}${name}`
/** What a leader has to look at again when it changes. */
export const WATCHED_RANGES = [SCHEDULES_PREFIX, REQUESTS_PREFIX].map(start => ({
  start,
  end: prefixEnd(start),
}))

/** How many results are remembered, of each schedule. */
export const RUNS_KEPT = 10

export interface ScheduleRecord {
  readonly spec: BackupScheduleSpec
  readonly createdAt: string
  /** Times up to this one do not count: nothing was scheduled then. */
  readonly sinceMs: number
}

export interface RequestRecord {
  readonly id: string
  readonly askedMs: number
}

export interface RunningRecord {
  readonly file: string
  readonly startedMs: number
  /** Null: it was asked for. */
  readonly scheduledMs: number | null
  readonly request: string | null
  readonly failures: number
  readonly node: string
}

export interface RetryRecord {
  readonly scheduledMs: number
  readonly failures: number
  readonly notBeforeMs: number
}

export interface StateRecord {
  /** Scheduled times up to this one are done, or given up. */
  readonly handledMs: number
  readonly running: RunningRecord | null
  readonly retry: RetryRecord | null
  readonly lastSuccess: BackupRun | null
  /** Latest first. */
  readonly runs: readonly BackupRun[]
}

export const FRESH_STATE: StateRecord = {
  handledMs: 0,
  running: null,
  retry: null,
  lastSuccess: null,
  runs: [],
}

export interface ScheduleEntry {
  readonly name: string
  readonly record: ScheduleRecord
  /** Tells this schedule from an earlier one of its name. */
  readonly createRevision: number
  readonly modRevision: number
  readonly request: (RequestRecord & { readonly modRevision: number }) | null
  readonly state: StateRecord
}

/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

export function encodeRecord(value: ScheduleRecord | RequestRecord | StateRecord): Buffer {
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(value))])
}

function decode({ key, value }: KeyValue): unknown {
  if (value[0] !== FORMAT_PLAIN)
    throw new Mk8sError('store/version', `the record ${key} has the unknown format ${value[0]}`)
  return JSON.parse(value.toString('utf8', 1))
}

/**
 * What a schedule remembers in a restored cluster: what was under way when the backup was made (the backup itself,
 * perhaps) is none of its business, and what would have been due since then is not made up for.
 */
export function restoredState(kv: KeyValue, nowMs: number): Buffer {
  const state = decode(kv) as StateRecord
  return encodeRecord({ ...state, handledMs: Math.max(state.handledMs, nowMs), running: null, retry: null })
}

type Reader = Pick<Store, 'get' | 'range'>

/** In order of their names. */
export function readSchedules(store: Reader): readonly ScheduleEntry[] {
  const { entries } = store.range({ start: SCHEDULES_PREFIX, end: prefixEnd(SCHEDULES_PREFIX) })
  return entries.map(kv => entryOf(store, kv))
}

export function readSchedule(store: Reader, name: string): ScheduleEntry | null {
  const kv = store.get(scheduleKey(name))
  return kv === null ? null : entryOf(store, kv)
}

function entryOf(store: Reader, kv: KeyValue): ScheduleEntry {
  const name = kv.key.slice(SCHEDULES_PREFIX.length)
  const [request, state] = [store.get(requestKey(name)), store.get(stateKey(name))]
  return {
    name,
    record: decode(kv) as ScheduleRecord,
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    request:
      request === null ? null : { ...(decode(request) as RequestRecord), modRevision: request.modRevision },
    state: state === null ? FRESH_STATE : (decode(state) as StateRecord),
  }
}
