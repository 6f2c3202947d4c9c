/** SQLite's files with the right mode, and its refusals as the store's own errors. */
import { closeSync, openSync } from 'node:fs'
import { Mk8sError, messageOf, systemCodeOf } from '../../../base/errors.ts'

const CORRUPT = 11
const NOT_A_DATABASE = 26
const diskCodes = new Set([8, 10, 13, 14])

/** A server of several must not come back empty under its old name: it would break what it promised the others. */
export const CORRUPT_HINT =
  'keep a copy of the data directory; with other servers: mk8s remove-node NODE on one of them, then here ' +
  'mk8s uninstall and mk8s join; alone: mk8s restore-datastore FILE, or, without a backup, mk8s reset'

/** Runs `work`; damage becomes `store/corrupt`, a refusing disk `store/disk`, the rest stays as it is. */
export function withSqliteErrors<T>(what: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw sqliteErrorOf(what, error)
  }
}

/** The store's own error for damage and for a refusing disk; anything else as it is. */
export function sqliteErrorOf(what: string, error: unknown): unknown {
  const code = (error as { errcode?: unknown }).errcode
  if (typeof code !== 'number') return error
  const primary = code & 0xff
  const options = { why: messageOf(error), cause: error }
  if (primary === CORRUPT || primary === NOT_A_DATABASE) {
    return new Mk8sError('store/corrupt', `could not ${what}: the database is damaged`, {
      ...options,
      hint: CORRUPT_HINT,
    })
  }
  if (!diskCodes.has(primary)) return error
  return new Mk8sError('store/disk', `could not ${what}`, {
    ...options,
    hint: 'check that the data directory is on a healthy disk that is writable and not full',
  })
}

/**
 * SQLite would create its file readable for all. An existing file is not even opened: closing it again would
 * drop the locks that another connection of this process holds on it.
 */
export function createPrivateFile(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (systemCodeOf(error) !== 'EEXIST') throw error
  }
}
