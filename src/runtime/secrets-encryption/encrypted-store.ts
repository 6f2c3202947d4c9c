/**
 * A store whose Secrets are encrypted before they are proposed, so that log, wire and SQLite hold ciphertext, and
 * which hands them out plain. An entry is decrypted once while somebody holds it. All else goes straight through.
 */
import { Mk8sError } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import {
  type KeyValue,
  type Operation,
  prefixEnd,
  type Store,
  type StoreEvent,
  type Transaction,
  type TransactionOptions,
  type TransactionResult,
} from '../store/store.ts'
import {
  decodeRecord,
  decryptValue,
  type EncryptionRecord,
  encryptValue,
  FORMAT_ENCRYPTED,
  keyNameOf,
  type NamedKey,
  openDataKey,
  parseFileKeys,
  RECORD_KEY,
} from './keyring.ts'

export const SECRETS_PREFIX = '/registry/core/secrets/'
export const SECRETS_END = prefixEnd(SECRETS_PREFIX)
/** How often a write is encrypted anew because the keys changed under it. */
const ATTEMPTS_MAX = 5

export interface EncryptionParts {
  /** The present text of `secrets-encryption.key`; null where there is none. */
  readonly fileKey: () => string | null
  readonly random: Pick<Random, 'bytes'>
}

export const isSecret = (key: string): boolean => key.startsWith(SECRETS_PREFIX)

const touchesSecrets = ({ start, end }: { readonly start: string; readonly end: string }): boolean =>
  start < SECRETS_END && end > SECRETS_PREFIX

/** Reads the record of one moment and the keys in it, each once. */
export function createKeyReader(readFileKey: () => string | null) {
  const records = new WeakMap<KeyValue, EncryptionRecord>()
  const opened = new Map<string, Buffer>()
  const recordOf = (kv: KeyValue | null): EncryptionRecord | null => {
    if (kv === null) return null
    const known = records.get(kv) ?? decodeRecord(kv)
    records.set(kv, known)
    return known
  }
  const keyNamed = (record: EncryptionRecord | null, id: string): Buffer => {
    const known = opened.get(id)
    if (known !== undefined) return known
    const wrapped = record?.keys.find(one => one.id === id)
    const fileKey = readFileKey()
    if (wrapped === undefined || fileKey === null) throw noKey(id, fileKey === null)
    const key = openDataKey(parseFileKeys(fileKey), wrapped)
    opened.set(id, key)
    return key
  }
  return {
    recordOf,
    /** The key that encrypts now; null when nothing is to be encrypted. */
    current(kv: KeyValue | null): NamedKey | null {
      const record = recordOf(kv)
      const id = record?.keys[0]?.id
      return record?.enabled === true && id !== undefined ? { id, key: keyNamed(record, id) } : null
    },
    plain(record: KeyValue | null, { key, value }: Pick<KeyValue, 'key' | 'value'>): Buffer {
      if (value[0] !== FORMAT_ENCRYPTED) return value
      return decryptValue(key, value, keyNamed(recordOf(record), keyNameOf(value)))
    },
  }
}

const noKey = (id: string, noFile: boolean): Mk8sError =>
  new Mk8sError('pki/invalid', `Secrets are encrypted with the key ${id}, which this server does not have`, {
    why: noFile ? 'its pki directory has no secrets-encryption.key' : 'the record of keys does not name it',
    hint: 'copy the file from another server, or restore it from a backup that has the keys',
  })

export function createEncryptedStore(store: Store, { fileKey, random }: EncryptionParts): Store {
  return new EncryptedStore(store, createKeyReader(fileKey), random)
}

class EncryptedStore implements Store {
  readonly #store: Store
  readonly #keys: ReturnType<typeof createKeyReader>
  readonly #random: Pick<Random, 'bytes'>
  readonly #entries = new WeakMap<KeyValue, KeyValue>()
  readonly #events = new WeakMap<StoreEvent, StoreEvent>()

  constructor(store: Store, keys: ReturnType<typeof createKeyReader>, random: Pick<Random, 'bytes'>) {
    this.#store = store
    this.#keys = keys
    this.#random = random
  }

  get revision() {
    return this.#store.revision
  }
  get compactedRevision() {
    return this.#store.compactedRevision
  }
  get leadership() {
    return this.#store.leadership
  }
  barrier(signal?: AbortSignal) {
    return this.#store.barrier(signal)
  }
  get(key: string) {
    return this.#plainOrNull(this.#store.get(key))
  }
  range(range: Parameters<Store['range']>[0]) {
    const result = this.#store.range(range)
    return touchesSecrets(range) ? { ...result, entries: result.entries.map(kv => this.#plain(kv)) } : result
  }
  count(start: string, end: string) {
    return this.#store.count(start, end)
  }

  /** Holds only under the keys it was encrypted with: no server can write with what another has given up. */
  async transact(transaction: Transaction, options?: TransactionOptions): Promise<TransactionResult> {
    if (!transaction.operations.some(one => one.type === 'put' && isSecret(one.key)))
      return this.#plainFound(await this.#store.transact(transaction, options))
    for (let attempt = 1; ; attempt += 1) {
      const record = this.#store.get(RECORD_KEY)
      const under = { key: RECORD_KEY, target: 'mod-revision', equals: record?.modRevision ?? 0 } as const
      const operations = transaction.operations.map(one => this.#encrypted(one, record))
      const compares = [...transaction.compares, under]
      const result = await this.#store.transact({ compares, operations }, options)
      if (result.succeeded) return this.#remember(transaction, result)
      const isOther = (result.found.at(-1)?.modRevision ?? 0) !== under.equals
      if (!isOther || attempt === ATTEMPTS_MAX)
        return this.#plainFound({ ...result, found: result.found.slice(0, -1) })
    }
  }

  decide(...args: Parameters<Store['decide']>) {
    return this.#store.decide(...args)
  }

  watch(request: Parameters<Store['watch']>[0], listener: Parameters<Store['watch']>[1]) {
    if (!touchesSecrets(request)) return this.#store.watch(request, listener)
    let isOver = false
    const watch = this.#store.watch(request, {
      onEvents: (events, revision) => {
        if (isOver) return
        try {
          listener.onEvents(
            events.map(event => this.#plainEvent(event)),
            revision,
          )
        } catch (error) {
          isOver = true
          queueMicrotask(() => watch.close())
          listener.onClosed(error instanceof Error ? error : new Error(String(error)))
        }
      },
      onClosed: error => {
        if (!isOver) listener.onClosed(error)
      },
    })
    return watch
  }
  compact(revision: number) {
    return this.#store.compact(revision)
  }
  grantLease(ttlMs: number, lease?: number) {
    return this.#store.grantLease(ttlMs, lease)
  }
  keepLeaseAlive(lease: number) {
    return this.#store.keepLeaseAlive(lease)
  }
  leaseRemaining(lease: number) {
    return this.#store.leaseRemaining(lease)
  }
  lease(lease: number) {
    return this.#store.lease(lease)
  }
  leases() {
    return this.#store.leases()
  }
  revokeLease(lease: number) {
    return this.#store.revokeLease(lease)
  }
  onLeadership(listener: Parameters<Store['onLeadership']>[0]) {
    return this.#store.onLeadership(listener)
  }

  #plain(kv: KeyValue): KeyValue {
    if (kv.value[0] !== FORMAT_ENCRYPTED || !isSecret(kv.key)) return kv
    const known = this.#entries.get(kv)
    if (known !== undefined) return known
    const plain = { ...kv, value: this.#keys.plain(this.#store.get(RECORD_KEY), kv) }
    this.#entries.set(kv, plain)
    return plain
  }

  #plainOrNull(kv: KeyValue | null): KeyValue | null {
    return kv === null ? null : this.#plain(kv)
  }

  #plainEvent(event: StoreEvent): StoreEvent {
    const known = this.#events.get(event)
    if (known !== undefined) return known
    const previous = this.#plainOrNull(event.previous)
    const plain = (
      event.type === 'put' ? { ...event, kv: this.#plain(event.kv), previous } : { ...event, previous }
    ) as StoreEvent
    this.#events.set(event, plain)
    return plain
  }

  #encrypted(operation: Operation, record: KeyValue | null): Operation {
    if (operation.type !== 'put' || !isSecret(operation.key)) return operation
    const by = this.#keys.current(record)
    if (by === null) return operation
    return { ...operation, value: encryptValue(operation.key, operation.value, by, this.#random) }
  }

  /** What was just written is known in its plain form. */
  #remember(
    { operations }: Transaction,
    result: TransactionResult & { readonly succeeded: true },
  ): TransactionResult {
    const values = operations.flatMap(one => (one.type === 'put' ? [one.value] : []))
    const put = result.put.map((kv, at) => {
      const value = values[at]
      if (kv.value[0] !== FORMAT_ENCRYPTED || value === undefined || !isSecret(kv.key)) return kv
      const plain = this.#entries.get(kv) ?? { ...kv, value }
      this.#entries.set(kv, plain)
      return plain
    })
    return { ...result, put }
  }

  #plainFound(result: TransactionResult): TransactionResult {
    if (result.succeeded || !result.found.some(kv => kv !== null && isSecret(kv.key))) return result
    return { ...result, found: result.found.map(kv => this.#plainOrNull(kv)) }
  }
}
