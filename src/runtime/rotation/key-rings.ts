/**
 * The keys that all servers share in one file each, while one of them is being replaced: the first key of a file is
 * in use, the others are known too. Pure.
 */

import { join } from 'node:path'
import type { Random } from '../../base/random.ts'
import type { RingName } from '../../client/key-rotation.ts'
import type { FileToWrite } from '../pki/files.ts'
import { generateKey } from '../pki/issue.ts'
import { SECRETS_KEY_FILE } from '../pki/pki.ts'
import { keysIn, nameOfKey, serviceAccountFiles } from '../pki/service-account-keys.ts'
import { DAY_MS } from '../pki/validity.ts'
import { nameOfFileKey, parseFileKeys } from '../secrets-encryption/keyring.ts'
import type { KeptMs } from './plan-rotation.ts'
import { type RotationRecords, type RotationStage, rotationRecords, type Stages } from './rotation-record.ts'

/** In the store: names of keys only. It stays when the replacement is over, for servers that missed it. */
export interface KeyRotation extends Stages {
  readonly earlier: string
  readonly next: string
  readonly isOver: boolean
}

export interface KeyRing {
  readonly name: RingName
  /** For people. */
  readonly what: string
  /** In the pki directory. */
  readonly file: string
  readonly records: RotationRecords<KeyRotation>
  readonly kept: KeptMs
  /** The keys in the file's text. */
  split(text: string): readonly string[]
  nameOf(key: string): string
  make(random: Pick<Random, 'bytes'>): string
  files(directory: string, keys: readonly string[]): readonly FileToWrite[]
}

/** What is in the store under it belongs to the keys, so a restore takes both or neither from a backup. */
export const KEY_ROTATIONS_PREFIX = '/mk8s/key-rotations/'
/** Tokens that were asked for by hand, or are in a Secret, end with it; kubelets renew theirs within a day. */
const TOKENS_KEPT_MS = 30 * DAY_MS
const WRAPPING_KEY_BYTES = 32

const SERVICE_ACCOUNT: KeyRing = {
  name: 'service-account',
  what: 'the key of service account tokens',
  file: 'service-account.key',
  records: rotationRecords(`${KEY_ROTATIONS_PREFIX}service-account`),
  kept: { usual: TOKENS_KEPT_MS, asked: 0 },
  split: keysIn,
  nameOf: nameOfKey,
  make: () => withEnd(generateKey()),
  files: (directory, keys) => serviceAccountFiles(directory, keys.map(withEnd).join('')),
}

const SECRETS_ENCRYPTION: KeyRing = {
  name: 'secrets-encryption',
  what: 'the wrapping key of Secrets',
  file: SECRETS_KEY_FILE,
  records: rotationRecords(`${KEY_ROTATIONS_PREFIX}secrets-encryption`),
  kept: { usual: 0, asked: 0 },
  split: text => parseFileKeys(text).map(key => key.toString('base64')),
  nameOf: key => nameOfFileKey(parseFileKeys(key)[0]),
  make: random => Buffer.from(random.bytes(WRAPPING_KEY_BYTES)).toString('base64'),
  files: (directory, keys) => [
    { path: join(directory, SECRETS_KEY_FILE), text: keys.map(withEnd).join(''), mode: 0o600 },
  ],
}

export const KEY_RINGS: readonly KeyRing[] = [SERVICE_ACCOUNT, SECRETS_ENCRYPTION]

function withEnd(text: string): string {
  return `${text.trimEnd()}\n`
}

/** Names of the keys that a server has in a stage; the first one is in use. */
export function keysAt(
  { earlier, next, isOver }: Pick<KeyRotation, 'earlier' | 'next' | 'isOver'>,
  stage: RotationStage,
): readonly string[] {
  if (isOver || stage === 'drop') return [next]
  return stage === 'trust' ? [earlier, next] : [next, earlier]
}

/** What nodes confirm. */
export const bundleOf = (names: readonly string[]): string => names.join(' ')
