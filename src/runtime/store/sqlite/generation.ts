/** Turns the database of one generation of a cluster into that of the next: offline, on a copy. */
import { DatabaseSync } from 'node:sqlite'
import { sealMeta } from './seal.ts'
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
