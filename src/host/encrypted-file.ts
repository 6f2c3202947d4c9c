/**
 * A secret in a file, for machines without a keychain: AES-256-GCM, under a passphrase (scrypt) or else under a key of
 * this machine, in a file of its own. A passphrase protects from whoever reads this user's files; the machine's key
 * only where the encrypted file travels alone: in a backup, a copy, a repository.
 */
import { createCipheriv, createDecipheriv, scryptSync } from 'node:crypto'
import { Mk8sError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'

export interface Sealed {
  readonly version: 1
  readonly by: 'passphrase' | 'machine-key'
  readonly salt: string
  readonly nonce: string
  readonly data: string
}

const KEY_BYTES = 32
const TAG_BYTES = 16
const SCRYPT = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 }

/** `name` is bound to the text: what was sealed as one is not opened as another. */
export interface SealParts {
  readonly name: string
  readonly by: Sealed['by']
  /** A passphrase, or the machine's key. */
  readonly secret: string
}

const keyOf = (secret: string, salt: Buffer): Buffer => scryptSync(secret, salt, KEY_BYTES, SCRYPT)

export function seal(text: string, { name, by, secret }: SealParts, random: Random): Sealed {
  const [salt, nonce] = [Buffer.from(random.bytes(16)), Buffer.from(random.bytes(12))]
  const cipher = createCipheriv('aes-256-gcm', keyOf(secret, salt), nonce).setAAD(Buffer.from(name))
  const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
  return {
    version: 1,
    by,
    salt: salt.toString('base64'),
    nonce: nonce.toString('base64'),
    data: data.toString('base64'),
  }
}

/** @throws Mk8sError when the secret is another one, or the file was changed. */
export function unseal(sealed: Sealed, { name, secret }: Omit<SealParts, 'by'>): string {
  try {
    const [salt, nonce, data] = [sealed.salt, sealed.nonce, sealed.data].map(text =>
      Buffer.from(text, 'base64'),
    )
    if (salt === undefined || nonce === undefined || data === undefined) throw new Error('it is not whole')
    const decipher = createDecipheriv('aes-256-gcm', keyOf(secret, salt), nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(name)).setAuthTag(data.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(data.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8')
  } catch (cause) {
    const what =
      sealed.by === 'passphrase' ? 'the passphrase is another one' : 'it was sealed on another machine'
    throw new Mk8sError('refused', `the credential ${name} cannot be opened`, {
      why: `${what}, or the file was changed`,
      hint: 'mk8s config --keychain makes it anew',
      cause,
    })
  }
}
