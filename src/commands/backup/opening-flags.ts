/** What the commands that look into a backup share: how it is opened, and how they answer. */
import { Flags } from '../../cli/flags.ts'
import { type Backup, openBackup } from '../../runtime/backup/backup-reader.ts'
import { readOpeningKey } from '../../runtime/backup/keys.ts'

export const formatFlag = Flags.string({
  description: 'How to answer.',
  options: ['pretty', 'json'],
  default: 'pretty',
})

export const openingFlags = {
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

export interface OpeningFlags {
  readonly 'passphrase-file'?: string | undefined
  readonly 'private-key'?: string | undefined
}

export async function withBackup<T>(
  path: string,
  flags: OpeningFlags,
  use: (backup: Backup) => Promise<T>,
): Promise<T> {
  const key = readOpeningKey({
    passphraseFile: flags['passphrase-file'],
    privateKeyFile: flags['private-key'],
  })
  const backup = await openBackup(path, key)
  try {
    return await use(backup)
  } finally {
    backup.close()
  }
}
