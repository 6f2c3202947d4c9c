/** Builds what makes backups by schedule: the leader's duty, what commands ask of it, what `mk8s status` tells. */

import type { Component } from '../base/component.ts'
import { Mk8sError } from '../base/errors.ts'
import type { BackupScheduleStatus } from '../client/backup-schedule-status.ts'
import type { BackupScheduleHandlers } from '../client/backup-schedules.ts'
import { EventRecorder } from '../client/event-recorder.ts'
import { KubeClient } from '../client/kube-client.ts'
import { ownProgram } from '../host/own-program.ts'
import type { ApiServer } from './apiserver/apiserver.ts'
import { type BackupJob, startJob } from './backup/schedule/backup-job.ts'
import { eventsOf, scheduleMetrics, scheduleStatus } from './backup/schedule/describe-schedules.ts'
import { untakenFileName } from './backup/schedule/retention.ts'
import { createScheduleHandlers } from './backup/schedule/schedule-handlers.ts'
import { createScheduleKeeper } from './backup/schedule/schedule-keeper.ts'
import { type RunningRecord, readSchedules, type ScheduleEntry } from './backup/schedule/schedule-record.ts'
import { passphraseIn, readCredentials } from './backup/targets/credentials.ts'
import type { TargetCredentials } from './backup/targets/target.ts'
import type { Metric } from './metrics/metrics.ts'
import type { Shared } from './server-api.ts'
import type { RaftStore } from './store/raft-store.ts'

const SECRETS_NAMESPACE = 'kube-system'
/** Who records the Events. */
const BACKUP_USER = { username: 'mk8s:backup', groups: ['system:masters', 'system:authenticated'] }

export interface Backups {
  readonly handlers: BackupScheduleHandlers
  /** A duty of the leader of this term. */
  keeperOf(term: number): Component
  /** For `mk8s status`, from memory. */
  status(): readonly BackupScheduleStatus[]
}

export type BackupNeeds = Shared & { readonly server: ApiServer }

export function buildBackups(needs: BackupNeeds): Backups {
  const { store, server, clock, random } = needs
  const credentialsOf = (name: string | null): TargetCredentials =>
    name === null
      ? new Map()
      : readCredentials(name, server.objects.get('', 'secrets', SECRETS_NAMESPACE, name))
  return {
    handlers: createScheduleHandlers({ store, credentialsOf, clock, random }),
    keeperOf: term => keeperOf(needs, credentialsOf, term),
    status: () => readSchedules(store).map(entry => scheduleStatus(entry, clock.now())),
  }
}

export const backupMetrics = (store: RaftStore, nowMs: number): Metric[] =>
  scheduleMetrics(readSchedules(store).map(entry => scheduleStatus(entry, nowMs)))

function keeperOf(
  needs: BackupNeeds,
  credentialsOf: (secret: string | null) => TargetCredentials,
  term: number,
): Component {
  const { config, store, server, clock, random } = needs
  const log = needs.log.child({ component: 'backup' })
  const { clusterId, dataDir, nodeName } = config
  const client = new KubeClient(server.transportFor(BACKUP_USER), { userAgent: 'mk8s/backup', term })
  const events = new EventRecorder({ client, clock, random, log, component: 'mk8s-backup', host: nodeName })
  const about = (name: string) => ({
    apiVersion: 'mk8s.io/v1',
    kind: 'BackupSchedule',
    namespace: SECRETS_NAMESPACE,
    name,
  })
  return createScheduleKeeper({
    ...{ store, term, nodeName, clock, log },
    fileName: (schedule, atMs, taken) => untakenFileName({ clusterId, schedule }, atMs, taken),
    async perform(entry, running, earlier, signal) {
      const credentials = credentialsOf(entry.record.spec.secret)
      const job = {
        ...jobOf(entry, credentials, running),
        earlier,
        owner: { clusterId, schedule: entry.name },
      }
      return await startJob(job, { program: ownProgram(), dataDir }, signal)
    },
    onRun(name, run) {
      for (const { type, reason, message } of eventsOf(run))
        events.recordReference(about(name), type, reason, message)
    },
    onMissed(name, scheduledMs) {
      const time = new Date(scheduledMs).toISOString()
      const message = `The backup of ${time} was missed: no server could begin it before its deadline`
      events.recordReference(about(name), 'Warning', 'BackupMissed', message)
    },
  })
}

function jobOf(
  { record: { spec } }: ScheduleEntry,
  credentials: TargetCredentials,
  { file }: RunningRecord,
): Omit<BackupJob, 'earlier' | 'owner'> {
  const { to, encryption, keep, keepForSeconds } = spec
  return {
    ...{ to, file, keep },
    keepForMs: keepForSeconds === null ? null : keepForSeconds * 1_000,
    credentials: Object.fromEntries([...credentials].map(([key, value]) => [key, value.toString('base64')])),
    sealing: encryption.type === 'passphrase' ? passphraseOf(spec.secret, credentials) : encryption,
  }
}

function passphraseOf(secret: string | null, credentials: TargetCredentials): BackupJob['sealing'] {
  const passphrase = passphraseIn(credentials)
  if (passphrase !== null) return { type: 'passphrase', passphrase: passphrase.toString('base64') }
  throw new Mk8sError('config/invalid', `the Secret ${secret} has no passphrase to encrypt with`, {
    hint: `put it there: mk8s kubectl -n ${SECRETS_NAMESPACE} edit secret ${secret}`,
  })
}
