/** What the commands that look into a backup share: how it is opened, and how they answer. */
import { Flags } from '../../cli/flags.ts'
import { type Backup, openBackup } from '../../runtime/backup/backup-reader.ts'
import { type OpeningKey, readOpeningKey } from '../../runtime/backup/keys.ts'
import { type FoundBackup, findBackup, type RemoteFlags, remoteFlags } from './remote-backup.ts'

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
