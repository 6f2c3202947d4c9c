/**
 * The keys that Secrets are encrypted with, and the form of an encrypted value: format byte 2, the name of its data
 * key (8 bytes), a nonce (12), the AES-256-GCM ciphertext, the tag (16); the key of the store is authenticated too.
 * Data keys are in the store, each encrypted with a wrapping key, which is not: those of the file
 * `secrets-encryption.key`, one in a line, the first of which encrypts.
 */
import { createCipheriv, createDecipheriv, createHash } from 'node:crypto'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import type { Random } from '../../base/random.ts'
import { isMap } from '../../kube/json-map.ts'
import type { KeyValue } from '../store/store.ts'

export const RECORD_KEY = '/mk8s/secrets-encryption'
export const FORMAT_ENCRYPTED = 2
const FORMAT_PLAIN = 1
const ALGORITHM = 'aes-256-gcm'
const KEY_BYTES = 32
const ID_BYTES = 8
const NONCE_BYTES = 12
const TAG_BYTES = 16
const ID_AT = 1
const BOX_AT = ID_AT + ID_BYTES

export interface WrappedKey {
  /** In hexadecimal. */
  readonly id: string
  /** Base64 of nonce, ciphertext and tag. */
  readonly wrapped: string
  readonly createdAt: string
  /** The name of the wrapping key; absent: the record's. */
  readonly by?: string
}

/** What is in the store under `RECORD_KEY`. */
export interface EncryptionRecord {
  readonly enabled: boolean
  /** The name of the wrapping key that encrypted last. */
  readonly fileKey: string
  /** The one that encrypts first. */
  readonly keys: readonly WrappedKey[]
}

export function encodeRecord(record: EncryptionRecord): Buffer {
  const value = { apiVersion: 'mk8s.io/v1', kind: 'SecretsEncryption', ...record }
  return Buffer.concat([Buffer.of(FORMAT_PLAIN), Buffer.from(JSON.stringify(value))])
}

export function decodeRecord({ value }: Pick<KeyValue, 'value'>): EncryptionRecord {
  const record: unknown = value[0] === FORMAT_PLAIN ? JSON.parse(value.toString('utf8', 1)) : null
  if (isMap(record) && Array.isArray(record['keys'])) return record as unknown as EncryptionRecord
  throw new Mk8sError('store/version', 'the record of the encryption of Secrets has an unknown form')
}

/** The keys in the text of `secrets-encryption.key`; the first one encrypts. */
export function parseFileKeys(text: string): readonly [Buffer, ...Buffer[]] {
  const [first = '', ...others] = text.trim().split(/\s+/)
  return [parseFileKey(first), ...others.map(parseFileKey)]
}

function parseFileKey(text: string): Buffer {
  const key = Buffer.from(text, 'base64')
  if (key.length === KEY_BYTES) return key
  throw new Mk8sError('pki/invalid', 'secrets-encryption.key does not hold a key', {
    why: `it has ${key.length} bytes in base64 where ${KEY_BYTES} belong`,
    hint: 'copy the file from another server, or restore it from a backup that has the keys',
  })
}

export const nameOfFileKey = (key: Buffer): string =>
  createHash('sha256')
    .update('mk8s secrets-encryption.key')
    .update(key)
    .digest('hex')
    .slice(0, 2 * ID_BYTES)

export function makeDataKey(fileKey: Buffer, random: Pick<Random, 'bytes'>, now: Date): WrappedKey {
  const id = Buffer.from(random.bytes(ID_BYTES)).toString('hex')
  const key = Buffer.from(random.bytes(KEY_BYTES))
  return { ...wrapped(fileKey, { id, key }, random), createdAt: now.toISOString() }
}

function wrapped(fileKey: Buffer, { id, key }: NamedKey, random: Pick<Random, 'bytes'>) {
  return { id, wrapped: close(fileKey, key, id, random).toString('base64'), by: nameOfFileKey(fileKey) }
}

/** The same data keys, all under the first of these. */
export function rewrapped(
  record: EncryptionRecord,
  fileKeys: readonly [Buffer, ...Buffer[]],
  random: Pick<Random, 'bytes'>,
): EncryptionRecord {
  const [first] = fileKeys
  const anew = (one: WrappedKey): WrappedKey => ({
    ...one,
    ...wrapped(first, { id: one.id, key: openDataKey(fileKeys, one) }, random),
  })
  return { ...record, fileKey: nameOfFileKey(first), keys: record.keys.map(anew) }
}

/** Names of the wrapping keys without which not all data keys can be opened. */
export const neededFileKeys = ({ fileKey, keys }: EncryptionRecord): ReadonlySet<string> =>
  new Set(keys.map(({ by = fileKey }) => by))

export function openDataKey(fileKeys: readonly Buffer[], { id, wrapped }: WrappedKey): Buffer {
  let error: unknown
  for (const fileKey of fileKeys) {
    try {
      return open(fileKey, Buffer.from(wrapped, 'base64'), id)
    } catch (failure) {
      error = failure
    }
  }
  throw new Mk8sError('pki/invalid', `the data key ${id} of Secrets cannot be opened`, {
    why: `secrets-encryption.key is not the one that it was made with (${messageOf(error)})`,
    hint: 'copy the file from another server, or restore it from a backup that has the keys',
  })
}

export interface NamedKey {
  readonly id: string
  readonly key: Buffer
}

/** A plain value, encrypted for its place in the store. */
export function encryptValue(
  storeKey: string,
  value: Buffer,
  by: NamedKey,
  random: Pick<Random, 'bytes'>,
): Buffer {
  const head = Buffer.concat([Buffer.of(FORMAT_ENCRYPTED), Buffer.from(by.id, 'hex')])
  return Buffer.concat([head, close(by.key, value, storeKey, random)])
}

/** The name of the data key of an encrypted value. */
export const keyNameOf = (value: Buffer): string => value.toString('hex', ID_AT, BOX_AT)

/** The plain value again, with its own format byte. */
export function decryptValue(storeKey: string, value: Buffer, key: Buffer): Buffer {
  try {
    return open(key, value.subarray(BOX_AT), storeKey)
  } catch (error) {
    throw new Mk8sError('store/corrupt', `the encrypted value of ${storeKey} is damaged`, {
      why: messageOf(error),
      hint: 'delete the Secret and create it again, or restore it from a backup',
    })
  }
}

function close(key: Buffer, plain: Buffer, about: string, random: Pick<Random, 'bytes'>): Buffer {
  const nonce = random.bytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce)
  cipher.setAAD(Buffer.from(about))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function open(key: Buffer, box: Buffer, about: string): Buffer {
  if (box.length < NONCE_BYTES + TAG_BYTES) throw new RangeError('it is too short')
  const decipher = createDecipheriv(ALGORITHM, key, box.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(Buffer.from(about))
  decipher.setAuthTag(box.subarray(box.length - TAG_BYTES))
  return Buffer.concat([decipher.update(box.subarray(NONCE_BYTES, box.length - TAG_BYTES)), decipher.final()])
}
