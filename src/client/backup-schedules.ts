/** What a server says of scheduled backups over the admin socket, and is told about them. */

import { askAdmin } from './admin-client.ts'
import type { BackupScheduleSpec, BackupScheduleStatus } from './backup-schedule-status.ts'

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
