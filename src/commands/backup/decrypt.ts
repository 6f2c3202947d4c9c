/** `mk8s backup decrypt`: the database in a backup as a file of its own. */
import { rmSync } from 'node:fs'
import * as Args from '@oclif/core/args'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { STATE_NAME } from '../../runtime/backup/manifest.ts'
import { addObjectsView } from '../../runtime/store/sqlite/backup-state.ts'
import { NodeCommand } from '../base-command.ts'
import { formatFlag, openingFlags, withBackup } from './opening-flags.ts'
import { FILE_OR_URL } from './remote-flags.ts'

export class BackupDecrypt extends NodeCommand {
  static override summary = 'Take the database out of a backup, for sqlite3.'
  static override description =
    'Writes the SQLite file that is in the backup, encrypted or not, mode 0600. The view "objects" in it shows each ' +
    'object with its kind, namespace, name, resourceVersion and JSON. The Secrets in it can be read.'
  static override examples = [
    '<%= config.bin %> backup decrypt mk8s.mk8sbackup --passphrase-file passphrase -o state.sqlite',
    `sqlite3 state.sqlite "SELECT namespace, name FROM objects WHERE kind = 'Pod'"`,
  ]
  static override args = { file: Args.string({ description: FILE_OR_URL }) }
  static override flags = {
    ...openingFlags,
    output: Flags.string({
      char: 'o',
      description: 'The file to write.',
      default: STATE_NAME,
      helpValue: 'FILE',
    }),
    force: Flags.boolean({ description: 'Replace the file if it is there.' }),
    format: formatFlag,
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupDecrypt)
    const { output, force } = flags
    return await withBackup(args.file, flags, async backup => {
      await backup.extract(STATE_NAME, output, { force })
      try {
        addObjectsView(output)
      } catch (error) {
        rmSync(output, { force: true })
        throw error
      }
      const { clusterId, revision } = backup.manifest
      if (flags.json || flags.format === 'json') printJson({ file: output, clusterId, revision })
      else print(`wrote ${output}: the state of cluster ${clusterId} at revision ${revision}`)
      return 0
    })
  }
}
