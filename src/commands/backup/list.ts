/** `mk8s backup list`: the backups in a directory, or what lies at the target of a schedule. */
import * as Args from '@oclif/core/args'
import { renderListing } from '../../cli/backup-schedules-view.ts'
import { renderColumns } from '../../cli/columns.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { createBackupSchedulesClient, type TargetListing } from '../../client/backup-schedules.ts'
import { nodePaths } from '../../host/node-files.ts'
import { sizeInWords, wordsOf } from '../../runtime/backup/describe-backup.ts'
import { type ListedBackup, listBackups } from '../../runtime/backup/list-backups.ts'
import { listingOfTarget } from '../../runtime/backup/targets/target.ts'
import { NodeCommand } from '../base-command.ts'
import { formatFlag } from './opening-flags.ts'
import { credentialsFlag, isTargetUrl, type RemoteFlags, secretFlag } from './remote-flags.ts'

export class BackupList extends NodeCommand {
  static override summary = 'List the backups in a directory or at a target.'
  static override description =
    'Newest first; whatever the files are called. Only their heads and sizes are looked at: a file that is listed ' +
    'without a problem may still be damaged, which backup verify tells. With --schedule or the URL of a ' +
    'target, the server says what files lie there; into them it does not look.'
  static override examples = [
    '<%= config.bin %> backup list /mnt/backups',
    '<%= config.bin %> backup list --schedule nightly',
    '<%= config.bin %> backup list s3://bucket/mk8s --secret s3',
    '<%= config.bin %> backup list ssh://backup@nas/srv/mk8s --credentials nas.yaml',
  ]
  static override args = {
    directory: Args.string({
      description: 'Where to look: a directory here, or the URL of a target.',
      default: '.',
    }),
  }
  static override flags = {
    schedule: Flags.string({
      description: 'Look at the target of this schedule.',
      helpValue: 'NAME',
      exclusive: ['secret', 'credentials'],
    }),
    secret: secretFlag,
    credentials: credentialsFlag,
    format: formatFlag,
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupList)
    const json = flags.json || flags.format === 'json'
    const { schedule, secret = null } = flags
    if (schedule !== undefined || secret !== null || isTargetUrl(args.directory)) {
      const listing = await listingOf(args.directory, flags)
      if (json) printJson(listing)
      else print(renderListing(listing))
      return 0
    }
    const backups = await listBackups(args.directory)
    if (json) printJson(backups)
    else if (backups.length === 0) print(`there are no backups in ${args.directory}`)
    else
      print(renderColumns([['NAME', 'MADE', 'CLUSTER', 'REVISION', 'SIZE', 'STATE'], ...backups.map(rowOf)]))
    return 0
  }
}

/** With credentials of its own, this command looks by itself; otherwise the server does. */
async function listingOf(to: string, flags: RemoteFlags): Promise<TargetListing> {
  const { schedule, secret = null } = flags
  if (flags.credentials !== undefined) {
    const { openTargetOf } = await import('./remote-backup.ts')
    const { target } = await openTargetOf(to, flags)
    return listingOfTarget(target, await target.list(new AbortController().signal))
  }
  const client = createBackupSchedulesClient(nodePaths(flags['data-dir']).adminSocket)
  return await client.files(schedule === undefined ? { to, secret } : { schedule })
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
