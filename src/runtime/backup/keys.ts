/** What a backup is encrypted for, and opened with: a passphrase, or a pair of X25519 or elliptic-curve keys. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { wrongKey } from './refusals.ts'

export type SealingKey =
  | { readonly kind: 'passphrase'; readonly passphrase: Buffer }
  | { readonly kind: 'public-key'; readonly key: KeyObject }

export type OpeningKey =
  | { readonly kind: 'passphrase'; readonly passphrase: Buffer }
  | { readonly kind: 'private-key'; readonly key: KeyObject }

export const CURVES = ['prime256v1', 'secp384r1', 'secp521r1'] as const
const HOW_TO_MAKE =
  'openssl genpkey -algorithm x25519 -out backup.key; openssl pkey -in backup.key -pubout -out backup.pub'
const FILE_BYTES_MAX = 64 * 1024

/** The key that a command's files name; null when it names none. */
export function readSealingKey(files: {
  readonly passphraseFile?: string | undefined
  readonly publicKeyFile?: string | undefined
}): SealingKey | null {
  if (files.passphraseFile !== undefined) return readPassphrase(files.passphraseFile)
  if (files.publicKeyFile === undefined) return null
  const path = files.publicKeyFile
  const text = readKeyFile(path)
  if (/PRIVATE KEY-----/.test(text.toString('latin1')))
    throw unusable(path, 'it holds a private key; a backup is encrypted with the public one')
  return { kind: 'public-key', key: usableKey(path, () => createPublicKey(text)) }
}

export function readOpeningKey(files: {
  readonly passphraseFile?: string | undefined
  readonly privateKeyFile?: string | undefined
}): OpeningKey | null {
  if (files.passphraseFile !== undefined) return readPassphrase(files.passphraseFile)
  if (files.privateKeyFile === undefined) return null
  const path = files.privateKeyFile
  const text = readKeyFile(path)
  if (/BEGIN PUBLIC KEY/.test(text.toString('latin1')))
    throw unusable(path, 'it holds a public key; a backup is opened with the private one')
  return { kind: 'private-key', key: usableKey(path, () => createPrivateKey(text)) }
}

/** The end of the last line does not belong to the passphrase. */
function readPassphrase(path: string): SealingKey & OpeningKey {
  const text = readKeyFile(path)
    .toString('latin1')
    .replace(/\r?\n$/, '')
  if (text === '') throw unusable(path, 'it holds no passphrase')
  return { kind: 'passphrase', passphrase: Buffer.from(text, 'latin1') }
}

function readKeyFile(path: string): Buffer {
  try {
    const bytes = readFileSync(path)
    if (bytes.length > FILE_BYTES_MAX) throw new Error(`it has ${bytes.length} bytes`)
    return bytes
  } catch (error) {
    throw new Mk8sError('config/unreadable', `cannot read ${path}`, { why: messageOf(error), cause: error })
  }
}

function usableKey(path: string, parse: () => KeyObject): KeyObject {
  let key: KeyObject
  try {
    key = parse()
  } catch (error) {
    throw unusable(path, `it is not a key in PEM form: ${messageOf(error)}`)
  }
  const curve = key.asymmetricKeyDetails?.namedCurve
  const isEc = key.asymmetricKeyType === 'ec' && CURVES.some(name => name === curve)
  if (key.asymmetricKeyType === 'x25519' || isEc) return key
  throw unusable(path, `its type is ${key.asymmetricKeyType ?? 'unknown'} ${curve ?? ''}`.trim())
}

const unusable = (path: string, why: string): Mk8sError =>
  wrongKey(`the key file ${path} cannot be used`, why, HOW_TO_MAKE)

/** What tells one pair of keys from another: SHA-256 over the public key. */
export function fingerprintOf(key: KeyObject): string {
  const open = key.type === 'private' ? createPublicKey(key) : key
  return createHash('sha256')
    .update(open.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}
