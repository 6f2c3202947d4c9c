/**
 * The copy of the database that a backup is made from: made by the process of who wants it, so that neither the memory
 * nor the time of the daemon goes into it. The daemon only says from when on it holds enough.
 */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import type { Random } from '../../base/random.ts'
import type { DatastoreCopy } from '../../client/datastore-details.ts'
import { replacedError } from '../store/engine-errors.ts'
import { backupCopyFiles, backupCopyPath, copyForBackup } from '../store/sqlite/backup-copy.ts'

export interface CopyParts {
  readonly clock: Clock
  readonly random: Random
  /** What has to go when the process ends before its time. */
  readonly leftovers: Set<string>
}

/** Beside the database, mode 0600; whoever asks removes it. Throws `store/disk`, `store/overloaded`. */
export async function copyDatastore(
  { path: database, index, nodeName }: DatastoreCopy,
  { clock, random, leftovers }: CopyParts,
): Promise<{ readonly path: string; readonly nodeName: string }> {
  const path = backupCopyPath(dirname(database), random.bytes(8))
  const files = backupCopyFiles(path)
  for (const file of files) leftovers.add(file)
  try {
    const holds = copyForBackup(database, path, clock.now())
    // A daemon from before an upgrade says no index: what it names is a copy already.
    if (!(holds < index)) return { path, nodeName }
    for (const file of files) rmSync(file, { force: true })
    throw replacedError()
  } finally {
    for (const file of files) leftovers.delete(file)
  }
}
