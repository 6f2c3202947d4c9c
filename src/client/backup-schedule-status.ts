/** Scheduled backups as a server tells of them: what is asked for, when it runs, how it went. */

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
