/** `mk8s backup schedule remove`: takes a schedule away; its backups stay. */
import * as Args from '@oclif/core/args'
import { print, printJson } from '../../../cli/terminal.ts'
import { createBackupSchedulesClient } from '../../../client/backup-schedules.ts'
import { nodePaths } from '../../../host/node-files.ts'
import { NodeCommand } from '../../base-command.ts'
import { formatFlag } from '../opening-flags.ts'

export class BackupScheduleRemove extends NodeCommand {
  static override summary = 'Remove a schedule of backups.'
  static override description =
    'The backups that it made stay where they are; retention does not touch them any more.'
  static override examples = ['<%= config.bin %> backup schedule remove nightly']
  static override args = { name: Args.string({ description: 'Of the schedule.', required: true }) }
  static override flags = { format: formatFlag }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(BackupScheduleRemove)
    const client = createBackupSchedulesClient(nodePaths(flags['data-dir']).adminSocket)
    await client.remove(args.name)
    if (flags.json || flags.format === 'json') printJson({ name: args.name, removed: true })
    else print(`backup schedule ${args.name} removed; its backups stay`)
    return 0
  }
}
