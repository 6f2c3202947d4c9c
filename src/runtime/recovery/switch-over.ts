/**
 * Puts what a recovery prepared in the place of what was there. From the moment that the journal is on disk it is
 * finished, whatever happens; every step finds out by itself whether it has been done.
 */
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { diskFailure, writeFileDurably } from '../../host/files.ts'
import { flushDirectorySync } from '../../host/flush.ts'
import { renameSync } from '../../host/rename.ts'

export const recoveryDirectory = (dataDir: string): string => join(dataDir, 'recovery')
const journalPath = (dataDir: string): string => join(recoveryDirectory(dataDir), 'journal.json')

/** Files that a recovery replaces; they lie under the same names in `recovery/`. */
export const REPLACED_FILES = [
  'pki/peer-ca.key',
  'pki/peer-ca.crt',
  'pki/peer.key',
  'pki/peer.crt',
  'config.yaml',
] as const
/** Files that only the old generation needs. */
export const OBSOLETE_FILES = ['join.json', 'peer-addresses.json']

export interface RecoveryJournal {
  readonly newClusterId: string
  /** Name of the directory, in the node's, that keeps what is replaced. */
  readonly keptIn: string
  /** Of a restore, which a starting daemon finishes by itself; absent: of `mk8s recover`. */
  readonly restore?: RestoreJournal
}

export interface RestoreJournal {
  /** Files to replace, beside the datastore. */
  readonly files: readonly string[]
  /** Files that go. */
  readonly obsolete: readonly string[]
  /** Who has to leave the old generation first; empty on all servers but the one that restores. */
  readonly others: readonly ServerToTell[]
  /** Members that voted in the old generation. */
  readonly voters: readonly number[]
}

export interface ServerToTell {
  readonly id: number
  readonly nodeName: string
  readonly joinAddress: { readonly host: string; readonly port: number }
}

/** A recovery that was begun and has to be finished. */
export function readJournal(dataDir: string): RecoveryJournal | undefined {
  const path = journalPath(dataDir)
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as RecoveryJournal
  } catch (error) {
    throw new Mk8sError('config/unreadable', `${path} cannot be read`, {
      why: messageOf(error),
      cause: error,
    })
  }
}

/** What the daemon asks before it touches anything. */
export function refuseInterruptedRecovery(dataDir: string): void {
  const journal = readJournal(dataDir)
  if (journal === undefined || journal.restore !== undefined) return
  throw new Mk8sError('refused', 'a recovery of this node was interrupted', {
    why: 'what it prepared is only partly in place',
    hint: 'mk8s recover finishes it',
  })
}

/** The point of no return. */
export function writeJournal(dataDir: string, journal: RecoveryJournal): void {
  flushDirectorySync(recoveryDirectory(dataDir))
  flushDirectorySync(join(recoveryDirectory(dataDir), 'pki'))
  flushDirectorySync(join(recoveryDirectory(dataDir), 'datastore'))
  writeFileDurably(journalPath(dataDir), `${JSON.stringify(journal)}\n`, 0o600)
  flushDirectorySync(recoveryDirectory(dataDir))
}

/** `onStep` is called before each step, with its name. */
export function switchOver(
  dataDir: string,
  { keptIn, restore }: RecoveryJournal,
  onStep: (name: string) => void = () => {},
): void {
  const kept = join(dataDir, keptIn)
  const { files, obsolete } = restore ?? { files: REPLACED_FILES, obsolete: OBSOLETE_FILES }
  try {
    onStep('directory')
    for (const root of [kept, dataDir]) mkdirSync(join(root, 'pki'), { recursive: true, mode: 0o700 })
    flushDirectorySync(kept)
    flushDirectorySync(dataDir)
    switchDatastore(dataDir, kept, onStep)
    for (const name of files) {
      onStep(name)
      switchFile(dataDir, kept, name)
    }
    for (const name of obsolete) {
      onStep(name)
      if (existsSync(join(dataDir, name))) renameSync(join(dataDir, name), join(kept, name))
    }
    for (const directory of [kept, join(kept, 'pki'), join(dataDir, 'pki'), dataDir])
      flushDirectorySync(directory)
    onStep('journal')
    rmSync(journalPath(dataDir))
    flushDirectorySync(recoveryDirectory(dataDir))
    onStep('rest')
    discardPrepared(dataDir)
  } catch (error) {
    throw error instanceof Mk8sError ? error : diskFailure(dataDir, error)
  }
}

export function discardPrepared(dataDir: string): void {
  rmSync(recoveryDirectory(dataDir), { recursive: true, force: true })
}

/** Two renames; what is where tells which of them have been done. */
function switchDatastore(dataDir: string, kept: string, onStep: (name: string) => void): void {
  const [present, prepared] = [join(dataDir, 'datastore'), join(recoveryDirectory(dataDir), 'datastore')]
  onStep('datastore away')
  if (existsSync(prepared) && existsSync(present)) {
    renameSync(present, join(kept, 'datastore'))
    flushDirectorySync(kept)
    flushDirectorySync(dataDir)
  }
  onStep('datastore in place')
  if (existsSync(prepared)) {
    renameSync(prepared, present)
    flushDirectorySync(dataDir)
  }
}

/** The old file gets a second name before the new one takes its first. */
function switchFile(dataDir: string, kept: string, name: string): void {
  const [present, prepared] = [join(dataDir, name), join(recoveryDirectory(dataDir), name)]
  if (!existsSync(prepared)) return
  if (existsSync(present) && !existsSync(join(kept, name))) linkSync(present, join(kept, name))
  renameSync(prepared, present)
  flushDirectorySync(dirname(present))
}
