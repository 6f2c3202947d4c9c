/** `mk8s datastore defrag`: gives the space of what was deleted back to the file system. */
import { print, printJson } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand } from '../base-command.ts'

export class DatastoreDefrag extends NodeCommand {
  static override summary = 'Give the space of what was deleted back to the file system.'
  static override description =
    "Rewrites this member's database. Reads and writes go on meanwhile; what is written waits in the log. The " +
    'other members keep theirs as it is. Space is reused anyway, so this is for a disk that is nearly full.'
  static override examples = ['<%= config.bin %> datastore defrag']

  async run(): Promise<number> {
    const { flags } = await this.parse(DatastoreDefrag)
    const result = await createAdminClient(nodePaths(flags['data-dir']).adminSocket).defragmentDatastore()
    if (flags.json) printJson(result)
    else {
      const { beforeBytes, afterBytes, durationMs } = result
      print(`the database had ${beforeBytes} bytes and has ${afterBytes} now; this took ${durationMs} ms`)
    }
    return 0
  }
}
