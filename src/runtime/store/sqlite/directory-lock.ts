/**
 * One process per data directory: an exclusive SQLite lock, which the kernel drops when its holder dies in
 * whatever way. The holder's process id stands beside it, for the message only.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Mk8sError } from '../../../base/errors.ts'
import { createPrivateFile, withSqliteErrors } from './sqlite-files.ts'

const BUSY = 5

export interface DirectoryLock {
  release(): void
}

/** Throws `store/locked` when another process has the directory, or another store of this process. */
export function lockDirectory(directory: string): DirectoryLock {
  const holderPath = join(directory, 'lock.pid')
  createPrivateFile(join(directory, 'lock'))
  const database = withSqliteErrors('open the lock of the data directory', () => {
    const opened = new DatabaseSync(join(directory, 'lock'), { timeout: 0 })
    try {
      // IMMEDIATE: one record lock. EXCLUSIVE takes two, and two processes at once may stop each other.
      opened.exec('PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE')
    } catch (error) {
      opened.close()
      if (((error as { errcode?: number }).errcode ?? 0) % 256 === BUSY)
        throw lockedError(directory, holderPath)
      throw error
    }
    return opened
  })
  writeFileSync(holderPath, `${process.pid}\n`, { mode: 0o600 })
  return { release: () => database.close() }
}

function lockedError(directory: string, holderPath: string): Mk8sError {
  const pid = readHolder(holderPath)
  return new Mk8sError('store/locked', `another process uses ${directory}`, {
    why: pid === null ? 'its lock is held' : `process ${pid} holds its lock`,
    hint: 'stop the other daemon first, or use another --data-dir',
    fields: { directory, pid },
  })
}

function readHolder(path: string): number | null {
  try {
    const pid = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isInteger(pid) ? pid : null
  } catch {
    return null
  }
}
