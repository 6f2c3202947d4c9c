/** The paths of the admin socket that are about scheduled backups. */
import { Mk8sError } from '../../base/errors.ts'
import type { BackupScheduleHandlers } from '../../client/backup-schedules.ts'

const SCHEDULES = '/v1/backup-schedules'
const OF_ONE = /^\/v1\/backup-schedules\/([^/]+)(\/run)?$/

export interface BackupRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly body: () => Promise<unknown>
}

export const isBackupPath = (path: string): boolean =>
  path === '/v1/backup-files' || path === SCHEDULES || path.startsWith(`${SCHEDULES}/`)

/** Undefined: there is no such path. */
export async function routeBackups(
  handlers: BackupScheduleHandlers | undefined,
  { method, path, query, body }: BackupRequest,
): Promise<object | undefined> {
  if (handlers === undefined)
    throw new Mk8sError('refused', 'this node cannot tell of backup schedules', {
      why: 'it is a worker, or still waits for the datastore',
      hint: 'run the command on a server that is ready',
    })
  if (method === 'GET' && path === SCHEDULES) return { schedules: await handlers.list() }
  if (method === 'POST' && path === '/v1/backup-files') return handlers.files(await body())
  const [, encoded, run] = OF_ONE.exec(path) ?? []
  if (encoded === undefined) return undefined
  const name = decodeURIComponent(encoded)
  if (run !== undefined) return method === 'POST' ? { request: await handlers.request(name) } : undefined
  if (method === 'PUT') return handlers.set(name, await body(), query.get('check') !== 'false')
  if (method !== 'DELETE') return undefined
  await handlers.remove(name)
  return { removed: true }
}
