/**
 * The door of the encryption of Secrets at rest: turning it on and off, changing the data key, and rewriting every
 * Secret afterwards. What is stored says itself how far that is, so an interrupted rewriting just goes on.
 */

import type { Clock } from '../../base/clock.ts'
import { eachAtOnce } from '../../base/each-at-once.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import type { SecretsEncryptionHandlers, SecretsEncryptionStatus } from '../../client/secrets-encryption.ts'
import type { KeyValue, Store } from '../store/store.ts'
import { createEncryptedStore, SECRETS_END, SECRETS_PREFIX } from './encrypted-store.ts'
import {
  decodeRecord,
  type EncryptionRecord,
  encodeRecord,
  FORMAT_ENCRYPTED,
  keyNameOf,
  makeDataKey,
  nameOfFileKey,
  neededFileKeys,
  parseFileKeys,
  RECORD_KEY,
  rewrapped,
} from './keyring.ts'

/** Earlier keys are kept so long that the datastore's history and lagging readers can be read. */
const KEYS_MAX = 4
const REWRITES_AT_ONCE = 8
/** Passes over the Secrets; each but the first is for those that somebody else wrote meanwhile. */
const PASSES_MAX = 20

export interface SecretsEncryptionParts {
  /** As Raft has it, with ciphertext. */
  readonly store: Store
  /** The present text of `secrets-encryption.key`; null where there is none. */
  readonly fileKey: () => string | null
  readonly clock: Pick<Clock, 'now'>
  readonly random: Pick<Random, 'bytes'>
}

export function createSecretsEncryption(parts: SecretsEncryptionParts): SecretsEncryptionHandlers {
  const { store } = parts
  const plain = createEncryptedStore(store, parts)
  let turn: Promise<unknown> = Promise.resolve()
  const change = (decide: (record: EncryptionRecord | null) => EncryptionRecord | null) => {
    const next = turn.then(async () => {
      await store.barrier()
      await writeRecord(store, decide)
      await rewriteAll(store, plain)
      return statusOf(store)
    })
    turn = next.catch(() => {})
    return next
  }
  return {
    status: () => statusOf(store),
    enable: () => change(record => (record?.enabled ? null : enabledRecord(record, parts))),
    disable: () => change(record => (record?.enabled ? { ...record, enabled: false } : null)),
    rotate: () => change(record => rotatedRecord(record, parts)),
  }
}

function enabledRecord(record: EncryptionRecord | null, parts: SecretsEncryptionParts): EncryptionRecord {
  const files = fileKeysOf(parts)
  const key = makeDataKey(files[0], parts.random, new Date(parts.clock.now()))
  const keys = keptKeys(key, record, parts.store)
  return rewrapped({ enabled: true, fileKey: '', keys }, files, parts.random)
}

/** Before the Secrets are all under the present key, there is nothing to rotate: the earlier one goes on. */
function rotatedRecord(
  record: EncryptionRecord | null,
  parts: SecretsEncryptionParts,
): EncryptionRecord | null {
  if (!record?.enabled)
    throw new Mk8sError('refused', 'Secrets are not encrypted', { hint: 'mk8s secrets-encryption enable' })
  return statusOf(parts.store).stale > 0 ? null : enabledRecord(record, parts)
}

function keptKeys(
  key: EncryptionRecord['keys'][number],
  record: EncryptionRecord | null,
  store: Store,
): EncryptionRecord['keys'] {
  const used = new Set(
    secretsIn(store)
      .filter(isEncrypted)
      .map(kv => keyNameOf(kv.value)),
  )
  const earlier = (record?.keys ?? []).filter(({ id }, at) => at < KEYS_MAX - 1 || used.has(id))
  return [key, ...earlier]
}

function fileKeysOf({ fileKey }: Pick<SecretsEncryptionParts, 'fileKey'>) {
  const text = fileKey()
  if (text !== null) return parseFileKeys(text)
  throw new Mk8sError('refused', 'this server has no key to encrypt Secrets with', {
    why: 'the cluster is older than the encryption of Secrets, so there is no pki/secrets-encryption.key',
    hint: 'put the same file, `openssl rand -base64 32`, mode 0600, on all servers, and restart them',
  })
}

/** Puts the data keys under the first wrapping key, where they are not. Doing it again changes nothing. */
export async function rewrapDataKeys(parts: Omit<SecretsEncryptionParts, 'clock'>): Promise<void> {
  await writeRecord(parts.store, record => {
    if (record === null || record.keys.length === 0) return null
    const files = fileKeysOf(parts)
    const needed = neededFileKeys(record)
    return needed.size === 1 && needed.has(nameOfFileKey(files[0]))
      ? null
      : rewrapped(record, files, parts.random)
  })
}

/** Names of the wrapping keys that what is stored needs. */
export function wrappingKeysIn(store: Pick<Store, 'get'>): ReadonlySet<string> {
  const kv = store.get(RECORD_KEY)
  return kv === null ? new Set() : neededFileKeys(decodeRecord(kv))
}

async function writeRecord(
  store: Store,
  decide: (record: EncryptionRecord | null) => EncryptionRecord | null,
): Promise<void> {
  for (;;) {
    const kv = store.get(RECORD_KEY)
    const next = decide(kv === null ? null : decodeRecord(kv))
    if (next === null) return
    const { succeeded } = await store.transact({
      compares: [{ key: RECORD_KEY, target: 'mod-revision', equals: kv?.modRevision ?? 0 }],
      operations: [{ type: 'put', key: RECORD_KEY, value: encodeRecord(next) }],
    })
    if (succeeded) return
  }
}

const secretsIn = (store: Store): readonly KeyValue[] =>
  store.range({ start: SECRETS_PREFIX, end: SECRETS_END }).entries

const isEncrypted = ({ value }: KeyValue): boolean => value[0] === FORMAT_ENCRYPTED

function staleIn(store: Store): readonly KeyValue[] {
  const kv = store.get(RECORD_KEY)
  const record = kv === null ? null : decodeRecord(kv)
  const current = record?.enabled ? record.keys[0]?.id : undefined
  return secretsIn(store).filter(one =>
    current === undefined ? isEncrypted(one) : !isEncrypted(one) || keyNameOf(one.value) !== current,
  )
}

function statusOf(store: Store): SecretsEncryptionStatus {
  const kv = store.get(RECORD_KEY)
  const record = kv === null ? null : decodeRecord(kv)
  const stale = staleIn(store).length
  return {
    enabled: record?.enabled ?? false,
    keys: (record?.keys ?? []).map(({ id, createdAt }) => ({ id, createdAt })),
    current: store.count(SECRETS_PREFIX, SECRETS_END) - stale,
    stale,
  }
}

/** Puts each Secret as it is, unless somebody else has meanwhile. */
async function rewriteAll(store: Store, plain: Store): Promise<void> {
  for (let pass = 0; pass < PASSES_MAX; pass += 1) {
    const stale = [...staleIn(store)]
    if (stale.length === 0) return
    await eachAtOnce(stale, REWRITES_AT_ONCE, one => rewrite(one, plain))
  }
  throw new Mk8sError('timeout', 'the Secrets change faster than they can be rewritten', {
    hint: 'run the command again: it goes on',
  })
}

async function rewrite({ key, modRevision }: KeyValue, plain: Store): Promise<void> {
  const now = plain.get(key)
  if (now === null || now.modRevision !== modRevision) return
  const { value, lease } = now
  await plain.transact({
    compares: [{ key, target: 'mod-revision', equals: modRevision }],
    operations: [{ type: 'put', key, value, ...(lease === 0 ? {} : { lease }) }],
  })
}
