/**
 * Recovers a node whose cluster has lost its quorum for good: prepares a new generation beside the present one, and
 * puts it in place when that is confirmed. The daemon is stopped meanwhile, and the caller holds its lock.
 */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { must } from '../../base/assert.ts'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import { renderNodeConfig } from '../../config/config-files.ts'
import type { NodeConfig } from '../../config/node-config.ts'
import { nodePaths } from '../../host/node-files.ts'
import { pairPaths, readIfThere } from '../pki/files.ts'
import { peerPartsOf } from '../pki/node-facts.ts'
import { ensurePeerCertificate, type PemPair } from '../pki/pki.ts'
import { databaseBytesOf, recoverStore } from '../store/recover-store.ts'
import { lockDirectory } from '../store/sqlite/directory-lock.ts'
import { firstOperations, planRecovery, type RecoveryPlan } from './generation.ts'
import {
  discardPrepared,
  REPLACED_FILES,
  type RecoveryJournal,
  recoveryDirectory,
  switchOver,
  writeJournal,
} from './switch-over.ts'

export interface RecoveryParts {
  readonly config: NodeConfig
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
}

export interface PreparedRecovery extends RecoveryPlan {
  /** The directory that will keep the present datastore. */
  readonly keptIn: string
  /** Of the present datastore. */
  readonly datastoreBytes: number
}

/** For the segments of a new log, certificates and the like. */
const ROOM_BYTES = 64 * 1024 * 1024

/** Makes everything new under `recovery/`; nothing of the node is changed yet. */
export async function prepareRecovery(parts: RecoveryParts): Promise<PreparedRecovery> {
  const { config, clock, random } = parts
  const { dataDir } = config
  if (config.role !== 'server') throw workerError()
  discardPrepared(dataDir)
  const from = join(dataDir, 'datastore')
  checkRoom(dataDir, databaseBytesOf(from))
  const clusterId = random.uuid()
  mkdirSync(recoveryDirectory(dataDir), { recursive: true, mode: 0o700 })
  const plan = await prepareStore(parts, from, clusterId)
  await prepareFiles(config, clusterId, { clock, random })
  const time = new Date(clock.now())
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(':', '-')
  return { ...plan, keptIn: `before-recovery-${time}`, datastoreBytes: bytesIn(from) }
}

async function prepareStore(parts: RecoveryParts, from: string, clusterId: string): Promise<RecoveryPlan> {
  const { config, clock, random, log } = parts
  let plan: RecoveryPlan | undefined
  const lock = existsSync(from) ? lockDirectory(from) : undefined
  try {
    await recoverStore({
      from,
      to: join(recoveryDirectory(config.dataDir), 'datastore'),
      clusterId,
      edit(state, found) {
        plan = planRecovery(config, clusterId, state, found)
        return firstOperations(config, new Date(clock.now()), state, found)
      },
      clock,
      random,
      log,
    })
  } finally {
    lock?.release()
  }
  return must(plan, 'a plan of the recovery')
}

/** A new authority for links between members, this node's certificate of it, and a configuration with the new id. */
export async function prepareFiles(
  config: NodeConfig,
  clusterId: string,
  means: { clock: Clock; random: Random },
): Promise<void> {
  const prepared = recoveryDirectory(config.dataDir)
  const pki = join(prepared, 'pki')
  mkdirSync(pki, { recursive: true, mode: 0o700 })
  // The other authorities stay as they are: with them there, only the peer authority is made.
  const present = nodePaths(config.dataDir).pki
  for (const name of readdirSync(present)) {
    if (/^(cluster|front-proxy)-ca\.(crt|key)$/.test(name)) copyFileSync(join(present, name), join(pki, name))
  }
  const next = { ...config, clusterId }
  await ensurePeerCertificate({ ...peerPartsOf(next, means), directory: pki })
  const path = join(prepared, 'config.yaml')
  writeFileSync(path, renderNodeConfig(next), { mode: 0o600, flush: true })
  for (const name of REPLACED_FILES) if (!existsSync(join(prepared, name))) throw incomplete(name)
}

/** The authority for links between members that was prepared. */
export async function readPreparedPeerAuthority(dataDir: string): Promise<PemPair> {
  const paths = pairPaths(join(recoveryDirectory(dataDir), 'pki'), 'peer-ca')
  const [key, certificate] = await Promise.all([readIfThere(paths.key), readIfThere(paths.certificate)])
  if (key === null || certificate === null) throw incomplete('peer-ca')
  return { key, certificate }
}

/** Puts what was prepared in place. After an error or a crash, `finishRecovery` goes on. */
export function carryOutRecovery(dataDir: string, prepared: PreparedRecovery): RecoveryJournal {
  const journal = { newClusterId: prepared.newClusterId, keptIn: prepared.keptIn }
  writeJournal(dataDir, journal)
  switchOver(dataDir, journal)
  return journal
}

/** The new database is about as large as the present one, which stays. */
export function checkRoom(dataDir: string, databaseBytes: number): void {
  const { bavail, bsize } = statfsSync(dataDir)
  const [free, needed] = [Number(bavail) * Number(bsize), databaseBytes * 2 + ROOM_BYTES]
  if (free >= needed) return
  const mebibytes = (bytes: number) => `${Math.ceil(bytes / 2 ** 20)} MiB`
  throw new Mk8sError('host/disk', `there is not enough room in ${dataDir} for a new datastore`, {
    why: `it needs ${mebibytes(needed)}, because the present datastore is kept; ${mebibytes(free)} are free`,
    hint: 'make room, or move the data directory to a larger disk',
  })
}

function bytesIn(directory: string): number {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter(file => file.isFile())
  return files.reduce((sum, { parentPath, name }) => sum + statSync(join(parentPath, name)).size, 0)
}

const workerError = (): Mk8sError =>
  new Mk8sError('refused', 'this node is a worker and holds no data to recover from', {
    hint: 'mk8s recover on a server that survived; without one: mk8s restore-datastore FILE',
  })

const incomplete = (name: string): Mk8sError =>
  new Mk8sError('pki/invalid', `${name} of the new generation was not made`)
