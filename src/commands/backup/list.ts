/** `mk8s backup list`: the backups in a directory. */
import * as Args from '@oclif/core/args'
import { renderColumns } from '../../cli/columns.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { sizeInWords, wordsOf } from '../../runtime/backup/describe-backup.ts'
import { type ListedBackup, listBackups } from '../../runtime/backup/list-backups.ts'
import { NodeCommand } from '../base-command.ts'
import { formatFlag } from './opening-flags.ts'

export class BackupList extends NodeCommand {
  static override summary = 'List the backups in a directory.'
  static override description =
    'Newest first; whatever the files are called. Only their heads and sizes are looked at: a file that is listed ' +
    'without a problem may still be damaged, which backup verify tells.'
  static override examples = ['<%= config.bin %> backup list /mnt/backups']
  static override args = { directory: Args.string({ description: 'Where to look.', default: '.' }) }
  static override flags = { format: formatFlag }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupList)
    const backups = await listBackups(args.directory)
    if (flags.json || flags.format === 'json') printJson(backups)
    else if (backups.length === 0) print(`there are no backups in ${args.directory}`)
    else
      print(renderColumns([['NAME', 'MADE', 'CLUSTER', 'REVISION', 'SIZE', 'STATE'], ...backups.map(rowOf)]))
    return 0
  }
}

function rowOf(backup: ListedBackup): readonly string[] {
  if (backup.problem !== null) return [backup.name, '-', '-', '-', '-', backup.problem]
  const { name, createdAt, clusterId, manifest, bytes, encryption } = backup
  const revision = manifest === null ? '-' : String(manifest.revision)
  return [
    name,
    createdAt.replace(/\.\d+Z$/, 'Z'),
    clusterId,
    revision,
    sizeInWords(bytes),
    wordsOf(encryption),
  ]
}
