/** What the commands about schedules ask of any server: to list, write and remove them, and to have one run. */

import type { Clock } from '../../../base/clock.ts'
import { Mk8sError } from '../../../base/errors.ts'
import { nearest } from '../../../base/nearest.ts'
import type { Random } from '../../../base/random.ts'
import type { BackupScheduleSpec } from '../../../client/backup-schedule-status.ts'
import type {
  BackupScheduleHandlers,
  BackupSchedulesClient,
  TargetListing,
} from '../../../client/backup-schedules.ts'
import { isMap } from '../../../kube/json-map.ts'
import type { Operation, Store } from '../../store/store.ts'
import { openTarget } from '../targets/open-target.ts'
import { type BackupTarget, listingOfTarget, type TargetCredentials } from '../targets/target.ts'
import { scheduleStatus } from './describe-schedules.ts'
import { mustBeScheduleName, parseSchedule } from './parse-schedule.ts'
import {
  encodeRecord,
  readSchedule,
  readSchedules,
  requestKey,
  type ScheduleEntry,
  type ScheduleRecord,
  scheduleKey,
  stateKey,
} from './schedule-record.ts'

/** All of them run one after the other. */
const SCHEDULES_MAX = 100
/** How long a target may take to be looked at. */
const TARGET_MS_MAX = 60_000

export interface ScheduleHandlerParts {
  readonly store: Pick<Store, 'get' | 'range' | 'transact' | 'barrier'>
  /** Throws with what is wrong with the Secret. */
  readonly credentialsOf: (secret: string | null) => TargetCredentials
  readonly clock: Clock
  readonly random: Random
}

export function createScheduleHandlers(parts: ScheduleHandlerParts): BackupScheduleHandlers {
  const { store, clock } = parts
  return {
    async list() {
      await store.barrier()
      return readSchedules(store).map(entry => scheduleStatus(entry, clock.now()))
    },
    set: (name, body, check) => setSchedule(parts, name, body, check),
    async remove(name) {
      const { createRevision } = await mustFind(parts, name)
      const keys = [scheduleKey(name), requestKey(name), stateKey(name)]
      await store.transact({
        compares: [{ key: scheduleKey(name), target: 'create-revision', equals: createRevision }],
        operations: keys.map(key => ({ type: 'delete', key })),
      })
    },
    request: name => requestRun(parts, name),
    async files(body) {
      const { schedule, to, secret } = isMap(body) ? body : {}
      if (typeof schedule === 'string') {
        const { spec } = (await mustFind(parts, schedule)).record
        return await listTarget(parts, spec)
      }
      const text = (value: unknown) => (typeof value === 'string' ? value : '')
      return await listTarget(parts, { to: text(to), secret: typeof secret === 'string' ? secret : null })
    },
  }
}

async function mustFind({ store }: ScheduleHandlerParts, name: string): Promise<ScheduleEntry> {
  await store.barrier()
  const entry = readSchedule(store, name)
  if (entry !== null) return entry
  const names = readSchedules(store).map(schedule => schedule.name)
  const near = nearest(name, names)
  throw new Mk8sError('config/invalid', `there is no backup schedule ${JSON.stringify(name)}`, {
    why: names.length === 0 ? 'there is none at all' : `there are ${names.join(', ')}`,
    hint: near === undefined ? 'mk8s backup schedule list' : `did you mean ${near}?`,
  })
}

async function setSchedule(
  parts: ScheduleHandlerParts,
  name: string,
  body: unknown,
  check: boolean,
): ReturnType<BackupSchedulesClient['set']> {
  const { store, clock } = parts
  mustBeScheduleName(name)
  const spec = parseSchedule(body)
  const target = open(parts, spec)
  if (spec.encryption.type === 'passphrase') mustHavePassphrase(spec, parts.credentialsOf(spec.secret))
  if (check) await within(parts, target, signal => target.check(signal))
  await store.barrier()
  const present = readSchedule(store, name)
  if (present === null && readSchedules(store).length >= SCHEDULES_MAX)
    throw new Mk8sError('refused', `there are ${SCHEDULES_MAX} backup schedules already`, {
      hint: 'remove one: mk8s backup schedule remove NAME',
    })
  const tell = () => {
    const entry = readSchedule(store, name)
    if (entry === null) throw changedMeanwhile(name)
    return scheduleStatus(entry, clock.now())
  }
  if (present !== null && JSON.stringify(present.record.spec) === JSON.stringify(spec))
    return { change: 'unchanged', schedule: tell() }
  const operations: Operation[] = [
    {
      type: 'put',
      key: scheduleKey(name),
      value: encodeRecord(nextRecord(present?.record, spec, clock.now())),
    },
  ]
  const { succeeded } = await store.transact({
    compares: [{ key: scheduleKey(name), target: 'mod-revision', equals: present?.modRevision ?? 0 }],
    operations,
  })
  if (!succeeded) throw changedMeanwhile(name)
  return { change: present === null ? 'created' : 'changed', schedule: tell() }
}

const changedMeanwhile = (name: string): Mk8sError =>
  new Mk8sError('refused', `the backup schedule ${name} was changed by somebody else meanwhile`, {
    hint: 'run the command again',
  })

/** Times that lie before the schedule had them are no missed runs. */
function nextRecord(
  present: ScheduleRecord | undefined,
  spec: BackupScheduleSpec,
  nowMs: number,
): ScheduleRecord {
  const timesOf = ({ cron, timeZone, suspend }: BackupScheduleSpec) =>
    JSON.stringify([cron, timeZone, suspend])
  const keeps = present !== undefined && timesOf(present.spec) === timesOf(spec)
  return {
    spec,
    createdAt: present?.createdAt ?? new Date(nowMs).toISOString(),
    sinceMs: keeps ? present.sinceMs : nowMs,
  }
}

function mustHavePassphrase({ secret }: BackupScheduleSpec, credentials: TargetCredentials): void {
  if ((credentials.get('passphrase')?.length ?? 0) > 0) return
  throw new Mk8sError('config/invalid', `the Secret ${secret} has no passphrase to encrypt with`, {
    hint: `mk8s kubectl -n kube-system patch secret ${secret} -p '{"stringData":{"passphrase":"…"}}'`,
  })
}

/** Several that ask at the same time get the same run. */
async function requestRun(parts: ScheduleHandlerParts, name: string): Promise<string> {
  const { store, clock, random } = parts
  const entry = await mustFind(parts, name)
  if (entry.request !== null) return entry.request.id
  const id = Buffer.from(random.bytes(8)).toString('hex')
  const { succeeded } = await store.transact({
    compares: [
      { key: scheduleKey(name), target: 'create-revision', equals: entry.createRevision },
      { key: requestKey(name), target: 'mod-revision', equals: 0 },
    ],
    operations: [{ type: 'put', key: requestKey(name), value: encodeRecord({ id, askedMs: clock.now() }) }],
  })
  if (!succeeded) throw changedMeanwhile(name)
  return id
}

type Where = Pick<BackupScheduleSpec, 'to' | 'secret'>

const open = (parts: ScheduleHandlerParts, { to, secret }: Where): BackupTarget =>
  openTarget(to, parts.credentialsOf(secret), parts)

async function listTarget(parts: ScheduleHandlerParts, where: Where): Promise<TargetListing> {
  const target = open(parts, where)
  const files = await within(parts, target, signal => target.list(signal))
  return listingOfTarget(target, files)
}

async function within<T>(
  { clock }: ScheduleHandlerParts,
  { url }: BackupTarget,
  use: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const aborter = new AbortController()
  const late = new Mk8sError('timeout', `${url} did not answer within ${TARGET_MS_MAX / 1_000} s`, {
    hint: 'look at the network between this server and the target',
  })
  const timer = clock.after(TARGET_MS_MAX, () => aborter.abort(late))
  try {
    return await use(aborter.signal)
  } finally {
    timer.cancel()
  }
}
