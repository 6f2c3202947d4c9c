/** `mk8s backup schedule list`: the schedules of the cluster, and how they went. */
import { renderSchedules } from '../../../cli/backup-schedules-view.ts'
import { print, printJson } from '../../../cli/terminal.ts'
import { createBackupSchedulesClient } from '../../../client/backup-schedules.ts'
import { nodePaths } from '../../../host/node-files.ts'
import { NodeCommand } from '../../base-command.ts'
import { formatFlag } from '../opening-flags.ts'

export class BackupScheduleList extends NodeCommand {
  static override summary = 'List the schedules of backups.'
  static override description = 'As JSON, with their last ten runs and what went wrong in them.'
  static override examples = ['<%= config.bin %> backup schedule list']
  static override flags = { format: formatFlag }

  async run(): Promise<number> {
    const { flags } = await this.parse(BackupScheduleList)
    const client = createBackupSchedulesClient(nodePaths(flags['data-dir']).adminSocket)
    const schedules = await client.list()
    if (flags.json || flags.format === 'json') printJson(schedules)
    else print(schedules.length === 0 ? 'there are no backup schedules' : renderSchedules(schedules))
    return 0
  }
}
