/** `mk8s backup verify`: checks everything about a backup. */
import * as Args from '@oclif/core/args'
import { print, printJson } from '../../cli/terminal.ts'
import { dataOf, describeBackup } from '../../runtime/backup/describe-backup.ts'
import { verifyBackup } from '../../runtime/backup/verify-backup.ts'
import { NodeCommand } from '../base-command.ts'
import { formatFlag, openingFlags, withBackup } from './opening-flags.ts'
import { FILE_OR_URL } from './remote-flags.ts'

export class BackupVerify extends NodeCommand {
  static override summary = 'Check a backup, all of it.'
  static override description =
    'Reads the whole file: the container, the SHA-256 of every part, the encryption, the database and its contents ' +
    'against the manifest. Works without a cluster. An encrypted backup cannot be checked without its passphrase or ' +
    'key. Exit codes: 0 all is well · 1 damaged, not complete, or no backup · 6 wrong key or newer format.'
  static override examples = [
    '<%= config.bin %> backup verify mk8s.mk8sbackup',
    '<%= config.bin %> backup verify mk8s.mk8sbackup --private-key backup.key',
    '<%= config.bin %> backup verify --schedule nightly',
  ]
  static override args = { file: Args.string({ description: FILE_OR_URL }) }
  static override flags = { ...openingFlags, format: formatFlag }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupVerify)
    return await withBackup(args.file, flags, async backup => {
      await verifyBackup(backup)
      const { bytes, encryption, manifest } = backup
      const described = { file: backup.path, bytes, encryption, manifest }
      if (flags.json || flags.format === 'json') printJson({ verified: true, ...dataOf(described) })
      else print(`${describeBackup(described)}\nThe backup is whole and undamaged.`)
      return 0
    })
  }
}
