/** Turns the database of one generation of a cluster into that of the next: offline, on a copy. */
import { DatabaseSync } from 'node:sqlite'
import { sealMeta, sealSides } from './seal.ts'
import { withSqliteErrors } from './sqlite-files.ts'

/** `revisionGap` is added to the revision, so that no revision of the old generation is used again. */
export function beginGeneration(
  path: string,
  { clusterId, revisionGap }: { readonly clusterId: string; readonly revisionGap: number },
): void {
  withSqliteErrors('begin a new generation of the database', () => {
    const database = new DatabaseSync(path)
    try {
      database.exec('PRAGMA synchronous = FULL; BEGIN IMMEDIATE')
      database.prepare("UPDATE meta SET value = ? WHERE name = 'cluster'").run(clusterId)
      database.prepare("UPDATE meta SET value = value + ? WHERE name = 'revision'").run(revisionGap)
      sealMeta(database)
      database.exec('COMMIT')
    } finally {
      database.close()
    }
  })
}

/** Turns the state in a backup, which was checked, into that of a member of a new generation. */
export function beginFromBackup(
  path: string,
  next: { readonly clusterId: string; readonly member: number; readonly revision: number },
): void {
  withSqliteErrors('begin a new generation of the database', () => {
    const database = new DatabaseSync(path)
    try {
      database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; BEGIN IMMEDIATE')
      const set = database.prepare('INSERT OR REPLACE INTO meta VALUES (?, ?)')
      set.run('cluster', next.clusterId)
      set.run('member', next.member)
      set.run('revision', next.revision)
      // It is whole, and need not be looked through again.
      set.run('clean', 1)
      // Nobody of the old generation is left to ask again.
      database.exec('DELETE FROM results')
      sealSides(database)
      sealMeta(database)
      database.exec('COMMIT')
    } finally {
      database.close()
    }
  })
}

/** Brings what SQLite's own log holds into the file of a copy, so that it can be read alone. */
export function closeCleanly(path: string): void {
  withSqliteErrors('read a copy of the database', () => {
    const database = new DatabaseSync(path)
    try {
      database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } finally {
      database.close()
    }
  })
}
