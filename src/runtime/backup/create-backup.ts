/**
 * Makes a backup out of a copy of the database: takes out what must not be in it, gathers the other parts, and hands
 * out the bytes of the file. What lies beside the datastore meanwhile is gone at the end, whatever the end is.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { GIT_VERSION, MK8S_VERSION } from '../../config/version.ts'
import { renderYaml } from '../../kube/yaml.ts'
import { decodeMember, MEMBERS_RANGE, memberName } from '../members/member-record.ts'
import { readIfThere } from '../pki/files.ts'
import { SECRETS_KEY_FILE } from '../pki/pki.ts'
import { BackupState, rewriteWithout } from '../store/sqlite/backup-state.ts'
import { planArchive, type StagedPart, stageBytes, stageFile } from './backup-archive.ts'
import type { SealingKey } from './keys.ts'
import {
  BACKUP_FORMAT,
  BACKUP_FORMAT_VERSION,
  type BackupManifest,
  CLUSTER_NAME,
  KEYS_PREFIX,
  STATE_NAME,
} from './manifest.ts'
import { type FreshMaster, makeMaster, seal } from './seal.ts'
import { countObjects, credentialKeys, decode, parseObjectKey } from './state-contents.ts'

/** Not the peer authority: a restored cluster is another generation, whose members trust one of their own. */
const KEY_FILES = [
  'cluster-ca.crt',
  'cluster-ca.key',
  'front-proxy-ca.crt',
  'front-proxy-ca.key',
  'service-account.key',
  'service-account.pub',
  SECRETS_KEY_FILE,
]
const CONFIG_KEY = '/mk8s/config'

export interface CreateBackupParts {
  /** Has a consistent copy of the database made, in a file that is then ours. */
  readonly copy: () => Promise<{ readonly path: string; readonly nodeName: string }>
  readonly pkiDirectory: string
  /** Null: not encrypted. */
  readonly sealing: SealingKey | null
  readonly clock: Clock
  readonly random: Random
  /** What has to go when the process ends before its time. */
  readonly leftovers: Set<string>
}

export interface BackupContent {
  readonly manifest: BackupManifest
  /** The bytes of the file; may be asked for once. */
  readonly bytes: () => AsyncGenerator<Buffer>
}

/** `write` puts the bytes where they belong; its result is the result. */
export async function createBackup<T>(
  parts: CreateBackupParts,
  write: (content: BackupContent) => Promise<T>,
): Promise<T> {
  const { sealing, random } = parts
  // On another thread meanwhile.
  const master = sealing === null ? null : makeMaster(sealing, random)
  master?.catch(() => {})
  const copy = await parts.copy()
  const anew = `${copy.path}.anew`
  const scratch = [copy.path, anew].flatMap(path => ['', '-wal', '-shm', '-journal'].map(end => path + end))
  for (const path of scratch) parts.leftovers.add(path)
  try {
    return await write(await prepare(parts, copy, anew, master))
  } finally {
    for (const path of scratch) {
      rmSync(path, { force: true })
      parts.leftovers.delete(path)
    }
  }
}

async function prepare(
  { pkiDirectory, sealing, clock }: CreateBackupParts,
  copy: { readonly path: string; readonly nodeName: string },
  anew: string,
  master: Promise<FreshMaster> | null,
): Promise<BackupContent> {
  const secretsKey = await readIfThere(join(pkiDirectory, SECRETS_KEY_FILE))
  const leftOut = sealing === null ? leaveOut(copy.path, anew, secretsKey) : []
  const statePath = leftOut.length > 0 ? anew : copy.path
  const { facts, counts, cluster } = withState(statePath, state => ({
    facts: state.facts,
    counts: countObjects(state),
    cluster: describeCluster(state),
  }))
  const parts = [
    stageBytes(CLUSTER_NAME, cluster),
    await stageFile(STATE_NAME, statePath),
    ...(sealing === null ? [] : await readKeys(pkiDirectory)),
  ]
  const manifest: BackupManifest = {
    format: BACKUP_FORMAT,
    formatVersion: BACKUP_FORMAT_VERSION,
    clusterId: facts.clusterId,
    revision: facts.revision,
    compactedRevision: facts.compacted,
    appliedIndex: facts.applied,
    createdAt: new Date(clock.now()).toISOString(),
    mk8sVersion: MK8S_VERSION,
    kubernetesVersion: GIT_VERSION,
    nodeName: copy.nodeName,
    counts,
    keys: facts.keys,
    leftOut,
    hasKeys: sealing !== null,
    parts: parts.map(({ name, size, sha256 }) => ({ name, size, sha256 })),
  }
  const { size, bytes } = planArchive(manifest, parts)
  const { createdAt, clusterId } = manifest
  const fresh = await master
  const sealed = () => (fresh === null ? bytes() : seal(bytes(), { size, createdAt, clusterId }, fresh))
  return { manifest, bytes: sealed }
}

/** Names, `namespace/name`, of what is not in the new file, which is only written when there is any. */
function leaveOut(from: string, to: string, secretsKey: string | null): string[] {
  const keys = withState(from, state => credentialKeys(state, secretsKey))
  if (keys.length > 0) rewriteWithout(from, to, keys)
  return keys.map(key => {
    const { namespace = '', name = '' } = parseObjectKey(key) ?? {}
    return `${namespace}/${name}`
  })
}

export function withState<T>(path: string, use: (state: BackupState) => T): T {
  const state = new BackupState(path)
  try {
    return use(state)
  } finally {
    state.close()
  }
}

/** For people, and for a machine that has nothing else: the same is in the state. */
function describeCluster(state: BackupState): Buffer {
  const config = state.get(CONFIG_KEY)
  const members = [...state.range(MEMBERS_RANGE.start, MEMBERS_RANGE.end)].map(decodeMember)
  const documents = [
    ...(config === null ? [] : [decode(config.value)]),
    ...members.map(member => ({
      apiVersion: 'mk8s.io/v1',
      kind: 'Member',
      ...member,
      id: memberName(member.id),
    })),
  ]
  return Buffer.from(documents.map(renderYaml).join('---\n'))
}

async function readKeys(directory: string): Promise<StagedPart[]> {
  const parts = await Promise.all(
    KEY_FILES.map(async name => {
      const text = await readIfThere(join(directory, name))
      if (text !== null) return [stageBytes(`${KEYS_PREFIX}${name}`, Buffer.from(text))]
      // Clusters that are older than the encryption of Secrets have none.
      if (name === SECRETS_KEY_FILE) return []
      throw new Mk8sError('pki/invalid', `${name} is missing in ${directory}`, {
        why: 'without it, an encrypted backup would not be complete',
        hint: 'make the backup on another server',
      })
    }),
  )
  return parts.flat()
}
