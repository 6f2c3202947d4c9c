/** The manifest of a backup: what is inside and how it is recognized. Versioned; read with care, written once. */
import { isMap } from '../../kube/json-map.ts'
import { damaged, newerFormat } from './refusals.ts'

export const MANIFEST_NAME = 'manifest.json'
export const CHECKSUMS_NAME = 'SHA256SUMS'
export const STATE_NAME = 'state.sqlite'
export const CLUSTER_NAME = 'cluster.yaml'
export const KEYS_PREFIX = 'keys/'

export const BACKUP_FORMAT = 'mk8s-backup'
/** Raised when an older reader would misunderstand. */
export const BACKUP_FORMAT_VERSION = 1

export const PART_NAME = /^[a-z0-9][a-z0-9.-]*(\/[a-z0-9][a-z0-9.-]*)?$/
const PARTS_MAX = 64

export interface BackupPart {
  readonly name: string
  readonly size: number
  /** In hexadecimal. */
  readonly sha256: string
}

export interface BackupManifest {
  readonly format: typeof BACKUP_FORMAT
  readonly formatVersion: number
  readonly clusterId: string
  /** Of the state; everything that was acknowledged before the backup began is in it. */
  readonly revision: number
  readonly compactedRevision: number
  /** The last entry of the log that the state holds. */
  readonly appliedIndex: number
  /** RFC 3339. */
  readonly createdAt: string
  readonly mk8sVersion: string
  readonly kubernetesVersion: string
  /** Where it was made. */
  readonly nodeName: string
  /** Objects by resource, named as in `kubectl api-resources -o name`: `pods`, `deployments.apps`. */
  readonly counts: Readonly<Record<string, number>>
  /** All keys, those of mk8s itself too. */
  readonly keys: number
  /** Secrets that were left out, `namespace/name`: those with credentials of backup targets. */
  readonly leftOut: readonly string[]
  /** Whether the authorities and the service-account keys are inside. */
  readonly hasKeys: boolean
  /** In the order of the file. */
  readonly parts: readonly BackupPart[]
}

export const renderManifest = (manifest: BackupManifest): Buffer =>
  Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)

/** In the form that `sha256sum --check` reads. */
export const renderChecksums = (parts: readonly Omit<BackupPart, 'size'>[]): Buffer =>
  Buffer.from(parts.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(''))

/** Throws `backup/version` for a newer format, `backup/damaged` for anything that is no manifest. */
export function parseManifest(path: string, text: string): BackupManifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw damaged(path, 'its manifest is not JSON')
  }
  if (!isMap(value) || value['format'] !== BACKUP_FORMAT || typeof value['formatVersion'] !== 'number')
    throw damaged(path, 'its manifest is not one')
  if (value['formatVersion'] > BACKUP_FORMAT_VERSION)
    throw newerFormat(path, value['formatVersion'], BACKUP_FORMAT_VERSION)
  if (!isManifest(value)) throw damaged(path, 'its manifest lacks what it must have')
  return value
}

function isManifest(value: Record<string, unknown>): value is Record<string, unknown> & BackupManifest {
  const { counts, leftOut, parts } = value
  const texts = ['clusterId', 'createdAt', 'mk8sVersion', 'kubernetesVersion', 'nodeName']
  const numbers = ['revision', 'compactedRevision', 'appliedIndex', 'keys']
  return (
    texts.every(name => typeof value[name] === 'string') &&
    numbers.every(name => isSize(value[name])) &&
    typeof value['hasKeys'] === 'boolean' &&
    isMap(counts) &&
    Object.values(counts).every(isSize) &&
    Array.isArray(leftOut) &&
    leftOut.every(name => typeof name === 'string') &&
    Array.isArray(parts) &&
    parts.length <= PARTS_MAX &&
    parts.every(isPart) &&
    [STATE_NAME, CLUSTER_NAME].every(name => parts.some(part => part.name === name))
  )
}

function isPart(value: unknown): value is BackupPart {
  if (!isMap(value)) return false
  const { name, size, sha256 } = value
  return (
    typeof name === 'string' &&
    PART_NAME.test(name) &&
    isSize(size) &&
    typeof sha256 === 'string' &&
    /^[0-9a-f]{64}$/.test(sha256)
  )
}

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
