/** Checks everything about a backup: the container, each part's SHA-256, and the database against the manifest. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BackupState } from '../store/sqlite/backup-state.ts'
import type { Backup } from './backup-reader.ts'
import { STATE_NAME } from './manifest.ts'
import { damaged } from './refusals.ts'
import { countObjects } from './state-contents.ts'

/**
 * The database in a backup, for as long as `use` takes. It is written to a private directory for temporary files, and
 * unlinked before it is used, so that nothing is left behind.
 */
export async function withBackupState<T>(
  backup: Backup,
  use: (state: BackupState) => T | Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'mk8s-backup-'))
  let state: BackupState
  try {
    const path = join(directory, STATE_NAME)
    await backup.extract(STATE_NAME, path)
    state = new BackupState(path)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    return await use(state)
  } finally {
    state.close()
  }
}

/** Throws `backup/damaged` for whatever is wrong. */
export async function verifyBackup(backup: Backup): Promise<void> {
  await backup.checkParts()
  await withBackupState(backup, state => {
    const findings = stateFindings(backup, state)
    if (findings.length > 0) throw damaged(backup.path, findings.join('; '))
  })
}

/** Sentences about what is wrong with the database itself, and with it and the manifest together. */
export const stateFindings = (backup: Backup, state: BackupState): string[] => [
  ...state.findings(),
  ...differences(backup, state),
]

function differences({ manifest }: Backup, state: BackupState): string[] {
  const { clusterId, applied, revision, compacted, keys } = state.facts
  const pairs: [string, unknown, unknown][] = [
    ['cluster', clusterId, manifest.clusterId],
    ['applied index', applied, manifest.appliedIndex],
    ['revision', revision, manifest.revision],
    ['compacted revision', compacted, manifest.compactedRevision],
    ['keys', keys, manifest.keys],
    ['objects', JSON.stringify(countObjects(state)), JSON.stringify(manifest.counts)],
  ]
  return pairs
    .filter(([, found, told]) => found !== told)
    .map(([what, found, told]) => `the database has ${what} ${found}, the manifest ${told}`)
}
