/** `mk8s datastore members`: the members of the datastore and the part that each plays. */
import { print, printJson } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand } from '../base-command.ts'

export class DatastoreMembers extends NodeCommand {
  static override summary = 'List the members of the datastore.'
  static override description =
    'The role is what a member is meant to be, RAFT its part right now. LAG is the number of log entries that a ' +
    'member has yet to make durable, and SILENT how long nothing was heard of it; the leader knows both, so ask ' +
    'there.'
  static override examples = ['<%= config.bin %> datastore members']

  async run(): Promise<number> {
    const { flags } = await this.parse(DatastoreMembers)
    const { members } = await createAdminClient(nodePaths(flags['data-dir']).adminSocket).datastore()
    if (flags.json) {
      printJson(members)
      return 0
    }
    const table = [
      ['ID', 'NAME', 'ADDRESS', 'ROLE', 'RAFT', 'LEADER', 'LAG', 'SILENT'],
      ...members.map(({ id, name, address, role, raft, leader, lag, silentMs }) => [
        id,
        name === '' ? '-' : name,
        address === '' ? '-' : address,
        role ?? '-',
        raft,
        leader ? 'yes' : 'no',
        lag === null ? '-' : String(lag),
        silentMs === null ? '-' : `${Math.round(silentMs)} ms`,
      ]),
    ]
    const widths = table[0]?.map((_, column) => Math.max(...table.map(row => row[column]?.length ?? 0))) ?? []
    const line = (row: readonly string[]) =>
      row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
    print(table.map(row => line(row).trimEnd()).join('\n'))
    return 0
  }
}
