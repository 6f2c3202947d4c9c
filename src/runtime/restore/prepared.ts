/**
 * What lies in `recovery/` of a server before a restore is decided: `prepared.json` where another server restores,
 * `command.json` where the command runs. Without a journal beside them, nothing of it counts.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { must } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import { writeFileDurably } from '../../host/files.ts'
import { identifyProcess, isRunning, type ProcessIdentity } from '../../host/processes.ts'
import { renderJson } from '../join/join-file.ts'
import type { MemberAddress } from '../members/member-record.ts'
import { prepareFiles } from '../recovery/recover-node.ts'
import {
  discardPrepared,
  REPLACED_FILES,
  type RecoveryJournal,
  readJournal,
  recoveryDirectory,
  writeJournal,
} from '../recovery/switch-over.ts'
import type { Decision, PrepareRequest } from './protocol.ts'

export interface Prepared {
  readonly journal: RecoveryJournal
  /** The join listener of the server that restores. */
  readonly restorer: MemberAddress
}

interface Command {
  readonly newClusterId: string
  readonly process: ProcessIdentity
}

/** In a datastore that begins empty because the other servers have the state. */
export const BEGINS_EMPTY = 'begins-empty'

const preparedPath = (dataDir: string): string => join(recoveryDirectory(dataDir), 'prepared.json')
const commandPath = (dataDir: string): string => join(recoveryDirectory(dataDir), 'command.json')

export const readPrepared = (dataDir: string): Prepared | null => readJson(preparedPath(dataDir))

export function refuseWhileUndecided(dataDir: string): void {
  if (readJournal(dataDir) === undefined) return
  throw new Mk8sError('refused', 'a restore or a recovery of this server was interrupted', {
    why: 'what it prepared is only partly in place',
    hint: 'mk8s start finishes a restore, mk8s recover a recovery',
  })
}

/** On a server that is told to: its part of the new generation, which it joins without a state. */
export async function prepareToFollow(
  config: NodeConfig,
  request: PrepareRequest,
  means: { readonly clock: Clock; readonly random: Random },
): Promise<void> {
  const { dataDir } = config
  if (config.clusterId !== request.clusterId)
    throw new Mk8sError('refused', `${config.nodeName} is not of the cluster that is restored`)
  refuseWhileUndecided(dataDir)
  discardPrepared(dataDir)
  const directory = recoveryDirectory(dataDir)
  for (const name of ['pki', 'datastore']) mkdirSync(join(directory, name), { recursive: true, mode: 0o700 })
  writeFileSync(join(directory, 'datastore', BEGINS_EMPTY), '', { mode: 0o600, flush: true })
  const { newClusterId, peerAuthority, cluster, restorer, keptIn } = request
  const files = { key: peerAuthority.key, crt: peerAuthority.certificate }
  for (const [ending, text] of Object.entries(files))
    writeFileDurably(join(directory, 'pki', `peer-ca.${ending}`), text, ending === 'key' ? 0o600 : 0o644)
  await prepareFiles(config, newClusterId, means)
  const joined = renderJson({ clusterId: newClusterId, cluster, members: [restorer] })
  writeFileDurably(join(directory, 'join.json'), joined, 0o600)
  const journal: RecoveryJournal = {
    newClusterId,
    keptIn,
    restore: {
      files: [...REPLACED_FILES, 'join.json'],
      obsolete: ['peer-addresses.json', 'cluster-init.yaml'],
      others: [],
      voters: [],
    },
  }
  const prepared: Prepared = { journal, restorer: restorer.joinAddress }
  writeFileDurably(preparedPath(dataDir), renderJson(prepared), 0o600)
}

/** The decision has been made: from here on it is finished. False when nothing of that generation is prepared. */
export function commitPrepared(dataDir: string, newClusterId: string): boolean {
  if (readJournal(dataDir)?.newClusterId === newClusterId) return true
  const prepared = readPrepared(dataDir)
  if (prepared?.journal.newClusterId !== newClusterId) return false
  writeJournal(dataDir, prepared.journal)
  return true
}

export function abortPrepared(dataDir: string, newClusterId: string): void {
  if (readJournal(dataDir) !== undefined) return
  if (readPrepared(dataDir)?.journal.newClusterId === newClusterId) discardPrepared(dataDir)
}

/** Before anybody is asked to prepare, so that everybody can be told how it ends. */
export function announceCommand(dataDir: string, newClusterId: string): void {
  const process = must(identifyProcess(globalThis.process.pid), 'this process')
  mkdirSync(recoveryDirectory(dataDir), { recursive: true, mode: 0o700 })
  writeFileDurably(commandPath(dataDir), renderJson({ newClusterId, process }), 0o600)
}

/** Whether a command that restores here is still at work. */
export function isCommanded(dataDir: string): boolean {
  const command = readJson<Command>(commandPath(dataDir))
  return command !== null && isRunning(command.process)
}

/** A command died here before it came to a decision: what it prepared is of no use. */
export const wasAbandoned = (dataDir: string): boolean =>
  existsSync(commandPath(dataDir)) && !isCommanded(dataDir)

/** Something died that had only begun to prepare, or it is about to say what it is. */
export const isUnclaimed = (dataDir: string): boolean =>
  existsSync(recoveryDirectory(dataDir)) &&
  ![commandPath(dataDir), preparedPath(dataDir)].some(path => existsSync(path)) &&
  readJournal(dataDir) === undefined

/** How the restore ended that was to begin this generation. A command that is gone decides nothing any more. */
export function decisionHere(config: NodeConfig, newClusterId: string): Decision {
  const { dataDir, clusterId } = config
  if (clusterId === newClusterId) return 'committed'
  const works = isCommanded(dataDir) && readJson<Command>(commandPath(dataDir))?.newClusterId === newClusterId
  if (readJournal(dataDir)?.newClusterId === newClusterId) return 'committed'
  return works ? 'pending' : 'none'
}

function readJson<T>(path: string): T | null {
  if (!existsSync(path)) return null
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return null
  }
}
