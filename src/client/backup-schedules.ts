/** What a server says of scheduled backups over the admin socket, and is told about them. */
import { askAdmin } from './admin-client.ts'

/** Of the backups: not at all, for a public key (PEM), or with what the Secret has under `passphrase`. */
export type ScheduleEncryption =
  | { readonly type: 'none' }
  | { readonly type: 'public-key'; readonly publicKey: string }
  | { readonly type: 'passphrase' }

export interface BackupScheduleSpec {
  /** Five fields, or a word such as `@daily`. */
  readonly cron: string
  /** By its name in the IANA's database. */
  readonly timeZone: string
  /** A directory, or the URL of a target. */
  readonly to: string
  /** In kube-system, of the type `mk8s.io/backup-target`. */
  readonly secret: string | null
  readonly encryption: ScheduleEncryption
  /** A backup is kept while it is among the latest so many, or no older than that; null where no rule is given. */
  readonly keep: number | null
  readonly keepForSeconds: number | null
  /** How late a run may begin that nobody could begin in time. */
  readonly startingDeadlineSeconds: number
  readonly suspend: boolean
}

export interface BackupRun {
  readonly outcome: 'Succeeded' | 'Failed'
  /** RFC 3339, as all times here; null for a run that was asked for. */
  readonly scheduledAt: string | null
  /** Of a run that was asked for. */
  readonly request: string | null
  readonly startedAt: string
  readonly finishedAt: string
  readonly durationMs: number
  /** Its name at the target. */
  readonly file: string
  /** 0 when it failed. */
  readonly bytes: number
  /** Of the state in it; null when that is not known any more. */
  readonly revision: number | null
  /** Of the server that made it. */
  readonly node: string
  /** How often it was tried before. */
  readonly failures: number
  readonly error: { readonly message: string; readonly why: string; readonly hint: string } | null
  /** Files that retention took away. */
  readonly removed: readonly string[]
  /** Why retention could not take away what it should have; empty when it could. */
  readonly retentionError: string
}

export interface BackupScheduleStatus {
  readonly name: string
  readonly state: 'Scheduled' | 'Suspended' | 'Running'
  readonly spec: BackupScheduleSpec
  readonly createdAt: string
  /** Null: suspended, or never again. */
  readonly nextRunAt: string | null
  readonly running: { readonly startedAt: string; readonly node: string; readonly file: string } | null
  readonly lastSuccess: BackupRun | null
  /** Latest first. */
  readonly runs: readonly BackupRun[]
}

export interface ListedTargetFile {
  readonly name: string
  readonly bytes: number
  readonly modifiedAt: string
}

export interface TargetListing {
  readonly target: string
  /** Newest first. */
  readonly files: readonly ListedTargetFile[]
}

export interface BackupSchedulesClient {
  list(): Promise<readonly BackupScheduleStatus[]>
  /** Creates or replaces it; changes nothing when it throws. */
  set(
    name: string,
    spec: BackupScheduleSpec,
    options: { readonly check: boolean },
  ): Promise<{
    readonly change: 'created' | 'changed' | 'unchanged'
    readonly schedule: BackupScheduleStatus
  }>
  remove(name: string): Promise<void>
  /** Has the leader run it as soon as it can; the id of the request, by which the run is known. */
  request(name: string): Promise<string>
  /** What lies at the target of a schedule, or at another one. */
  files(
    where: { readonly schedule: string } | { readonly to: string; readonly secret: string | null },
  ): Promise<TargetListing>
}

/** What answers it, on a server. */
export interface BackupScheduleHandlers {
  list(): Promise<readonly BackupScheduleStatus[]>
  /** The body is what a client says that it wants. */
  set(name: string, body: unknown, check: boolean): ReturnType<BackupSchedulesClient['set']>
  remove(name: string): Promise<void>
  request(name: string): Promise<string>
  files(body: unknown): Promise<TargetListing>
}

const ANSWER_MS_MAX = 15_000
/** How long a target may take to be looked at. */
const TARGET_MS_MAX = 90_000
const PATH = '/v1/backup-schedules'

export function createBackupSchedulesClient(socketPath: string): BackupSchedulesClient {
  const of = (name: string) => `${PATH}/${encodeURIComponent(name)}`
  return {
    async list() {
      const answer = await askAdmin(socketPath, 'GET', PATH, ANSWER_MS_MAX)
      return (answer as { schedules: readonly BackupScheduleStatus[] }).schedules
    },
    async set(name, spec, { check }) {
      const answer = await askAdmin(socketPath, 'PUT', `${of(name)}?check=${check}`, TARGET_MS_MAX, spec)
      return answer as Awaited<ReturnType<BackupSchedulesClient['set']>>
    },
    async remove(name) {
      await askAdmin(socketPath, 'DELETE', of(name), ANSWER_MS_MAX)
    },
    async request(name) {
      const answer = await askAdmin(socketPath, 'POST', `${of(name)}/run`, ANSWER_MS_MAX)
      return (answer as { request: string }).request
    },
    async files(where) {
      const body = { schedule: null, to: null, secret: null, ...where }
      const answer = await askAdmin(socketPath, 'POST', '/v1/backup-files', TARGET_MS_MAX, body)
      return answer as TargetListing
    },
  }
}
