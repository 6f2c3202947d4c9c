/** What a backed-up state holds, read from its keys: counts by resource, objects, and what must not be given away. */
import { isMap, type JsonMap } from '../../kube/json-map.ts'
import { createKeyReader } from '../secrets-encryption/encrypted-store.ts'
import { RECORD_KEY } from '../secrets-encryption/keyring.ts'
import type { BackupState } from '../store/sqlite/backup-state.ts'
import { type KeyValue, prefixEnd } from '../store/store.ts'

export const REGISTRY = '/registry/'
const CORE = 'core'
/** Plain JSON, see ARCHITECTURE, "Values". */
const FORMAT_PLAIN = 1

/** The type of the Secrets in kube-system that hold the credentials of remote backup targets. */
export const BACKUP_TARGET_SECRET_TYPE = 'mk8s.io/backup-target'
const CREDENTIALS_PREFIX = `${REGISTRY}${CORE}/secrets/kube-system/`

export interface ObjectKey {
  /** Empty for the core group. */
  readonly group: string
  readonly resource: string
  /** Empty for objects of the whole cluster. */
  readonly namespace: string
  readonly name: string
}

/** Null for keys that no object of Kubernetes has. */
export function parseObjectKey(key: string): ObjectKey | null {
  if (!key.startsWith(REGISTRY)) return null
  const [group = '', resource = '', ...rest] = key.slice(REGISTRY.length).split('/')
  const [namespace = '', name = ''] = rest.length === 2 ? rest : ['', ...rest]
  if (resource === '' || name === '' || rest.length > 2) return null
  return { group: group === CORE ? '' : group, resource, namespace, name }
}

/** As in `kubectl api-resources -o name`. */
export const resourceNameOf = ({ group, resource }: Pick<ObjectKey, 'group' | 'resource'>): string =>
  group === '' ? resource : `${resource}.${group}`

export const prefixOf = ({ group, resource }: Pick<ObjectKey, 'group' | 'resource'>): string =>
  `${REGISTRY}${group === '' ? CORE : group}/${resource}/`

/** Objects by resource, in order of their names. */
export function countObjects(state: BackupState): Record<string, number> {
  const counts = new Map<string, number>()
  for (const key of state.keys()) {
    const object = parseObjectKey(key)
    if (object === null) continue
    const name = resourceNameOf(object)
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The object as the API serves it; null for a value in a form that cannot be read. */
export function objectOf({ value, modRevision }: Pick<KeyValue, 'value' | 'modRevision'>): JsonMap | null {
  const object = decode(value)
  const metadata = object?.['metadata']
  if (object === null || !isMap(metadata)) return object
  return { ...object, metadata: { ...metadata, resourceVersion: String(modRevision) } }
}

/** The plain JSON object in a value; null for anything else. */
export function decode(value: Buffer): JsonMap | null {
  if (value[0] !== FORMAT_PLAIN) return null
  try {
    const object: unknown = JSON.parse(value.toString('utf8', 1))
    return isMap(object) ? object : null
  } catch {
    return null
  }
}

/** Keys of Secrets that hold credentials of backup targets, or once did. */
export function credentialKeys(state: BackupState, secretsKey: string | null): string[] {
  const reader = createKeyReader(() => secretsKey)
  const record = state.get(RECORD_KEY)
  const end = prefixEnd(CREDENTIALS_PREFIX)
  return state.keysThatHad(CREDENTIALS_PREFIX, end, (value, key) => {
    const plain = reader.plain(record, { key, value })
    return plain.includes(BACKUP_TARGET_SECRET_TYPE) && decode(plain)?.['type'] === BACKUP_TARGET_SECRET_TYPE
  })
}
