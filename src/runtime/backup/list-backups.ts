/** The backups in a directory, newest first, told by what is in the files and not by their names. */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { type BackupGlance, glanceAtBackup } from './backup-reader.ts'
import { BACKUP_EXTENSION } from './describe-backup.ts'
import { MANIFEST_NAME } from './manifest.ts'
import { SEALED_MAGIC } from './seal.ts'

export type ListedBackup =
  | ({ readonly name: string; readonly problem: null } & BackupGlance)
  /** It looks like a backup, or is called one, but is none that could be used. */
  | { readonly name: string; readonly path: string; readonly problem: string }

/** Throws `config/unreadable` when there is no such directory. */
export async function listBackups(directory: string): Promise<readonly ListedBackup[]> {
  const found: ListedBackup[] = []
  for (const name of filesIn(directory)) {
    const path = join(directory, name)
    try {
      if (!name.endsWith(BACKUP_EXTENSION) && !beginsLikeOne(path)) continue
      found.push({ name, problem: null, ...(await glanceAtBackup(path)) })
    } catch (error) {
      const why = error instanceof Mk8sError && error.why !== undefined ? `: ${error.why}` : ''
      found.push({ name, path, problem: `${messageOf(error)}${why}` })
    }
  }
  return found.sort((a, b) => (timeOf(b) > timeOf(a) ? 1 : -1))
}

const timeOf = (backup: ListedBackup): string => (backup.problem === null ? backup.createdAt : '')

function filesIn(directory: string): string[] {
  try {
    const entries = readdirSync(directory, { withFileTypes: true })
    const files = entries.filter(entry => entry.isFile() && !entry.name.endsWith('.part'))
    return files.map(({ name }) => name).sort()
  } catch (error) {
    const options = { why: messageOf(error), cause: error }
    throw new Mk8sError('config/unreadable', `cannot read the directory ${directory}`, options)
  }
}

function beginsLikeOne(path: string): boolean {
  const file = openSync(path, 'r')
  try {
    const head = Buffer.alloc(64)
    const text = head.toString('latin1', 0, readSync(file, head))
    return text.startsWith(SEALED_MAGIC) || text.startsWith(`${MANIFEST_NAME}\0`)
  } finally {
    closeSync(file)
  }
}
