/**
 * One daemon per data directory. The lock is SQLite's on an empty file: the kernel's record lock, which is
 * taken atomically, holds across containers, and goes with the process however it ends.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Mk8sError } from '../base/errors.ts'
import { diskFailure } from './files.ts'
import { instanceName } from './node-files.ts'
import { runtimeDirectory, system } from './system.ts'

const SQLITE_BUSY = 5

export interface Lock {
  release(): void
}

/** One install at a time: the directory itself may not be there yet, so this one lies outside, and goes again. */
export function acquireInstallLock(dataDir: string): Lock {
  const path = join(runtimeDirectory(system, process.env), `${instanceName(dataDir)}.install-lock`)
  const lock = acquireLock(path, dataDir)
  return {
    release() {
      // An open file can be removed, but not on Windows; and what is closed may be another's already.
      if (system === 'windows') lock.release()
      rmSync(path, { force: true })
      lock.release()
    },
  }
}

/** Throws `store/locked` when another process holds it. */
export function acquireLock(path: string, dataDir: string): Lock {
  let database: DatabaseSync | undefined
  try {
    database = new DatabaseSync(path, { timeout: 0 })
    // IMMEDIATE is one record lock: of several processes at once one has it. EXCLUSIVE takes two, and each may
    // stop the others.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN IMMEDIATE')
  } catch (error) {
    database?.close()
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) {
      throw new Mk8sError('store/locked', `another process uses ${dataDir}`, {
        hint: 'mk8s status; or give this one its own --data-dir',
      })
    }
    throw diskFailure(path, error)
  }
  const held = database
  let released = false
  return {
    release() {
      if (!released) held.close()
      released = true
    },
  }
}
