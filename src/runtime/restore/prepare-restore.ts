/**
 * Makes everything that a restored cluster begins with, in `recovery/` of the server that restores: the datastore out
 * of the backup, and the files of the new generation. Nothing else of the node is changed.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { renderClusterInit, renderNodeConfig } from '../../config/config-files.ts'
import type { ClusterConfig, NodeConfig } from '../../config/node-config.ts'
import { diskFailure } from '../../host/files.ts'
import { nodePaths } from '../../host/node-files.ts'
import type { Backup } from '../backup/backup-reader.ts'
import { KEYS_PREFIX, STATE_NAME } from '../backup/manifest.ts'
import { damaged } from '../backup/refusals.ts'
import { stateFindings } from '../backup/verify-backup.ts'
import type { MemberRecord } from '../members/member-record.ts'
import { readIfThere } from '../pki/files.ts'
import { pkiPartsOf } from '../pki/node-facts.ts'
import { ensurePki, SECRETS_KEY_FILE } from '../pki/pki.ts'
import { checkRoom, prepareFiles } from '../recovery/recover-node.ts'
import {
  OBSOLETE_FILES,
  REPLACED_FILES,
  type RecoveryJournal,
  recoveryDirectory,
} from '../recovery/switch-over.ts'
import {
  decodeRecord,
  nameOfFileKey,
  neededFileKeys,
  parseFileKeys,
  RECORD_KEY,
} from '../secrets-encryption/keyring.ts'
import { type RestoredStore, restoreStore } from '../store/restore-store.ts'
import { BackupState } from '../store/sqlite/backup-state.ts'
import { operationsOnBackup, type StateReader } from './restored-state.ts'

export interface PrepareParts {
  readonly backup: Backup
  /** With the id that the cluster has now, or is to be installed with. */
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface Generation {
  readonly newClusterId: string
  readonly keptIn: string
  readonly nextRevision: number
}

/** So that no client's cached revision can mean something in the new generation. */
export const REVISION_GAP = 1_000_000_000

/** `revisions`: the latest of each server that is still there. */
export function planGeneration(
  { backup, clock, random }: PrepareParts,
  revisions: readonly number[],
): Generation {
  const time = new Date(clock.now())
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-')
  return {
    newClusterId: random.uuid(),
    keptIn: `before-restore-${time}`,
    nextRevision: Math.max(backup.manifest.revision, ...revisions) + REVISION_GAP,
  }
}

/**
 * Puts the state of the backup where the new datastore is made, and checks everything about it there; to be closed by
 * the caller. Throws `backup/damaged`, `host/disk`.
 */
export async function extractState({ backup, config: { dataDir } }: PrepareParts): Promise<BackupState> {
  const to = join(recoveryDirectory(dataDir), 'datastore')
  try {
    mkdirSync(to, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw diskFailure(to, error)
  }
  checkRoom(dataDir, backup.manifest.parts.find(({ name }) => name === STATE_NAME)?.size ?? 0)
  await backup.extract(STATE_NAME, join(to, 'state.sqlite'), { force: true }).catch(error => {
    throw error instanceof Mk8sError && error.code === 'host/disk' ? diskFailure(to, error.cause) : error
  })
  const state = new BackupState(join(to, 'state.sqlite'))
  const findings = stateFindings(backup, state)
  if (findings.length === 0) return state
  state.close()
  throw damaged(backup.path, findings.join('; '))
}

export interface RestoredParts {
  readonly generation: Generation
  /** As `extractState` left it; closed here. */
  readonly state: BackupState
  readonly present: StateReader | null
  /** The other servers that come along. */
  readonly others: readonly MemberRecord[]
  readonly keysFromBackup: boolean
}

export async function prepareDatastore(parts: PrepareParts, restored: RestoredParts): Promise<RestoredStore> {
  const { config, clock, random, log } = parts
  const { generation, state: backup } = restored
  await refuseUnreadableSecrets(parts, restored)
  const now = new Date(clock.now())
  const operations = operationsOnBackup({ ...restored, backup, config, now })
  backup.close()
  const { newClusterId: clusterId, nextRevision } = generation
  const to = join(recoveryDirectory(config.dataDir), 'datastore')
  const member = config.memberId
  return restoreStore({ to, clusterId, member, nextRevision, operations, clock, random, log })
}

/** A cluster whose Secrets nobody can read would come of it. */
async function refuseUnreadableSecrets(
  { backup, config }: PrepareParts,
  { state, keysFromBackup }: RestoredParts,
): Promise<void> {
  const record = state.get(RECORD_KEY)
  if (record === null) return
  const part = `${KEYS_PREFIX}${SECRETS_KEY_FILE}`
  const isInside = backup.manifest.parts.some(({ name }) => name === part)
  const key = keysFromBackup
    ? isInside
      ? backup.read(part).toString('utf8')
      : null
    : await readIfThere(join(nodePaths(config.dataDir).pki, SECRETS_KEY_FILE))
  const names = key === null ? [] : parseFileKeys(key).map(nameOfFileKey)
  if ([...neededFileKeys(decodeRecord(record))].every(name => names.includes(name))) return
  throw new Mk8sError('refused', 'the Secrets in this backup are encrypted, with a key that is not here', {
    why: `a backup without the keys can only be restored where ${SECRETS_KEY_FILE} is that of its cluster`,
    hint: 'restore an encrypted backup, which has the keys, or restore on a server of the same cluster',
  })
}

/** On a node that is installed: its authorities stay, except that of the links between servers. */
export async function prepareInstalled(
  { config, clock, random }: PrepareParts,
  {
    generation,
    others,
    voters,
  }: { generation: Generation; others: readonly MemberRecord[]; voters: readonly number[] },
): Promise<RecoveryJournal> {
  const { newClusterId, keptIn } = generation
  await prepareFiles(config, newClusterId, { clock, random })
  const told = others.map(({ id, nodeName, joinAddress }) => ({ id, nodeName, joinAddress }))
  return {
    newClusterId,
    keptIn,
    restore: { files: REPLACED_FILES, obsolete: OBSOLETE_FILES, others: told, voters },
  }
}

/** On an empty machine: all files, with the keys of the backup where it has some. */
export async function prepareFresh(
  { backup, config, clock, random }: PrepareParts,
  generation: Generation,
  cluster: ClusterConfig,
): Promise<RecoveryJournal> {
  const { newClusterId, keptIn } = generation
  const prepared = recoveryDirectory(config.dataDir)
  const directory = join(prepared, 'pki')
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const write = (path: string, text: string | Buffer, mode = 0o600) => {
    try {
      writeFileSync(path, text, { mode, flush: true })
    } catch (error) {
      throw diskFailure(path, error)
    }
  }
  for (const { name } of backup.manifest.parts.filter(part => part.name.startsWith(KEYS_PREFIX))) {
    const file = name.slice(KEYS_PREFIX.length)
    write(join(directory, file), backup.read(name), file.endsWith('.key') ? 0o600 : 0o644)
  }
  const next = { ...config, clusterId: newClusterId }
  await ensurePki({ ...pkiPartsOf(next, cluster, { clock, random }), directory })
  write(join(prepared, 'config.yaml'), renderNodeConfig(next))
  write(join(prepared, 'cluster-init.yaml'), renderClusterInit({ cluster, manifests: [] }))
  const pki = readdirSync(directory).map(name => `pki/${name}`)
  const files = [...pki, 'cluster-init.yaml', 'config.yaml']
  return { newClusterId, keptIn, restore: { files, obsolete: [], others: [], voters: [] } }
}
