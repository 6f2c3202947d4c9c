/** What the commands that look into a backup share: how it is opened, and how they answer. */
import { Mk8sError } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { type Backup, openBackup } from '../../runtime/backup/backup-reader.ts'
import { type OpeningKey, readOpeningKey } from '../../runtime/backup/keys.ts'
import { type FoundBackup, isTargetUrl, type RemoteFlags, remoteFlags } from './remote-flags.ts'

export const formatFlag = Flags.string({
  description: 'How to answer.',
  options: ['pretty', 'json'],
  default: 'pretty',
})

export const openingFlags = {
  ...remoteFlags,
  'passphrase-file': Flags.string({
    description: 'The passphrase of an encrypted backup is in this file.',
    helpValue: 'FILE',
    exclusive: ['private-key'],
  }),
  'private-key': Flags.string({
    description: 'The private key (PEM) that an encrypted backup is for.',
    helpValue: 'FILE',
  }),
}

export interface OpeningFlags extends RemoteFlags {
  readonly 'passphrase-file'?: string | undefined
  readonly 'private-key'?: string | undefined
}

export async function withBackup<T>(
  file: string | undefined,
  flags: OpeningFlags,
  use: (backup: Backup) => Promise<T>,
): Promise<T> {
  const key = readOpeningKey({
    passphraseFile: flags['passphrase-file'],
    privateKeyFile: flags['private-key'],
  })
  const backup = await openFound(await findBackup(file, flags), key)
  try {
    return await use(backup)
  } finally {
    backup.close()
  }
}

/** With the passphrase that comes with the credentials, unless another key is given. */
async function openFound(
  { path, shown, passphrase, release }: FoundBackup,
  key: OpeningKey | null,
): Promise<Backup> {
  const own = passphrase === null ? null : ({ kind: 'passphrase', passphrase } as const)
  try {
    return await openBackup(path, key ?? own, shown)
  } finally {
    release()
  }
}

/** Fetched unless it is a file here. */
async function findBackup(file: string | undefined, flags: RemoteFlags): Promise<FoundBackup> {
  if (flags.schedule !== undefined || (file !== undefined && isTargetUrl(file))) {
    const { fetchFrom } = await import('./remote-backup.ts')
    return await fetchFrom(file, flags)
  }
  if (file !== undefined) return { path: file, shown: file, passphrase: null, release() {} }
  throw new Mk8sError('usage', 'it is not said which backup is meant', {
    hint: 'name its file, its URL at a target, or --schedule NAME for the newest one of a schedule',
  })
}
