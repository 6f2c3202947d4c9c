/**
 * Copies of the database for backups: files of their own beside it, which whoever asked takes away. What a crash
 * leaves is removed at the next start, or by a later copy.
 */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { readIndex } from './snapshot-file.ts'
import { createPrivateFile, sqliteErrorOf } from './sqlite-files.ts'

const COPY_NAME = /^backup-[0-9a-f]+\.sqlite/
/** No backup takes so long. */
const FORGOTTEN_MS = 60 * 60_000

export const backupCopyPath = (directory: string, id: Uint8Array): string =>
  join(directory, `backup-${Buffer.from(id).toString('hex')}.sqlite`)

/** A file of SQLite's, and what may lie beside it. */
export const backupCopyFiles = (path: string): string[] =>
  ['', '-wal', '-shm', '-journal'].map(end => `${path}${end}`)

/**
 * Of one moment, while others write; returns the last entry of the log that the copy holds. Nothing is left when it
 * fails.
 */
export function copyForBackup(databasePath: string, path: string, nowMs: number): number {
  removeBackupCopies(dirname(path), nowMs - FORGOTTEN_MS)
  try {
    writeAnew(databasePath, path)
    indexLatest(path)
    return readIndex(path)
  } catch (error) {
    for (const file of backupCopyFiles(path)) rmSync(file, { force: true })
    throw sqliteErrorOf('copy the database', error)
  }
}

/**
 * Row by row out of one read transaction, so that nothing that was deleted is left in free space. A crash leaves a file
 * that nobody uses: nothing is flushed, which the writers of the log would have to wait for.
 */
function writeAnew(from: string, to: string): void {
  createPrivateFile(to)
  const reader = new DatabaseSync(from, { readOnly: true })
  try {
    reader.exec('PRAGMA synchronous = OFF')
    reader.prepare('VACUUM INTO ?').run(to)
  } finally {
    reader.close()
  }
}

/**
 * Makes the index of keys that whoever reads such a copy needs. Keeping it up to date with every write would cost
 * the store nearly as much as the rows do.
 */
export function indexLatest(path: string): void {
  const database = new DatabaseSync(path)
  try {
    database.exec(`
      PRAGMA temp_store = MEMORY; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
      BEGIN;
      DELETE FROM latest;
      INSERT INTO latest SELECT key, sequence FROM (
        SELECT key, max(sequence) AS sequence, value IS NOT NULL AS present FROM rows GROUP BY key
      ) WHERE present;
      COMMIT`)
  } finally {
    database.close()
  }
}

/** Those that were last written before this wall time; all of them without one. */
export function removeBackupCopies(directory: string, beforeMs = Number.POSITIVE_INFINITY): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (!COPY_NAME.test(name)) continue
    const modifiedMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
    if (modifiedMs < beforeMs) rmSync(path, { force: true })
  }
}
