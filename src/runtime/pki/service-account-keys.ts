/**
 * The keys of service-account tokens: `service-account.key` has the private ones, the first of which signs, and
 * `service-account.pub` their public halves, all of which are believed. There is more than one only while the first
 * is being replaced.
 */
import { createHash, createPublicKey } from 'node:crypto'
import { join } from 'node:path'
import type { FileToWrite } from './files.ts'

const BLOCKS = /-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----\n?/g

/** Each key of a text in PEM. */
export const keysIn = (text: string): readonly string[] =>
  Array.from(text.matchAll(BLOCKS), ([block]) => block)

/** The public halves of all keys of a text, private or public. Throws for what is no key. */
export function publicKeysOf(text: string): string {
  const keys = keysIn(text)
  // What has no block at all is refused in the words of the library.
  return (keys.length === 0 ? [text] : keys).map(publicKeyOf).join('')
}

/** The name that tells a pair from another one, by either half. */
export function nameOfKey(pem: string): string {
  return createHash('sha256').update(publicKeyOf(pem)).digest('hex').slice(0, 16)
}

const publicKeyOf = (pem: string): string =>
  createPublicKey(pem).export({ type: 'spki', format: 'pem' }) as string

/** In this order: what is left of an interrupted exchange has the private keys, from which the others follow. */
export function serviceAccountFiles(directory: string, keys: string): readonly FileToWrite[] {
  return [
    { path: join(directory, 'service-account.key'), text: keys, mode: 0o600 },
    { path: join(directory, 'service-account.pub'), text: publicKeysOf(keys), mode: 0o644 },
  ]
}
