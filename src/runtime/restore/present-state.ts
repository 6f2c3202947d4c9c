/** The state that a restore replaces, in a private copy: from the daemon, or from the disk when it cannot answer. */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemClock } from '../../base/clock.ts'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { systemRandom } from '../../base/random.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { copyDatastore } from '../backup/copy-datastore.ts'
import { recoveryDirectory } from '../recovery/switch-over.ts'
import { indexLatest } from '../store/sqlite/backup-copy.ts'
import { BackupState } from '../store/sqlite/backup-state.ts'
import { closeCleanly } from '../store/sqlite/generation.ts'

export interface PresentState {
  readonly state: BackupState
  /** `daemon`: all that was acknowledged. `disk`: the last changes may be missing. */
  readonly from: 'daemon' | 'disk'
}

export interface PresentOutcome {
  /** Null when there is none, or none that can be read. */
  readonly present: PresentState | null
  /** Why it cannot be read; empty when there simply is none. */
  readonly problem: string
}

/** `use` gets the state for as long as it takes; nothing is left behind. */
export async function withPresentState<T>(
  dataDir: string,
  use: (outcome: PresentOutcome) => Promise<T>,
): Promise<T> {
  const outcome = await openPresent(dataDir)
  try {
    return await use(outcome)
  } finally {
    outcome.present?.state.close()
  }
}

async function openPresent(dataDir: string): Promise<PresentOutcome> {
  try {
    const source = await createAdminClient(nodePaths(dataDir).adminSocket).copyDatastore()
    const parts = { clock: systemClock, random: systemRandom, leftovers: new Set<string>() }
    const { path } = await copyDatastore(source, parts)
    try {
      // The file is open, and so readable, although it has no name any more.
      return { present: { state: new BackupState(path), from: 'daemon' }, problem: '' }
    } finally {
      rmSync(path, { force: true })
    }
  } catch (error) {
    if (!(error instanceof Mk8sError)) throw error
    return fromDisk(dataDir)
  }
}

/** Beside what is prepared, in `recovery/`, and gone as soon as it is open. */
function fromDisk(dataDir: string): PresentOutcome {
  const from = join(dataDir, 'datastore')
  if (!existsSync(join(from, 'state.sqlite'))) return { present: null, problem: '' }
  const directory = join(recoveryDirectory(dataDir), 'present')
  const path = join(directory, 'state.sqlite')
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    for (const name of ['state.sqlite', 'state.sqlite-wal']) {
      if (existsSync(join(from, name))) cpSync(join(from, name), join(directory, name))
    }
    closeCleanly(path)
    indexLatest(path)
    return { present: { state: new BackupState(path), from: 'disk' }, problem: '' }
  } catch (error) {
    return { present: null, problem: messageOf(error) }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}
