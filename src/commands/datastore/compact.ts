/** `mk8s datastore compact`: forgets the history of the datastore now. */
import { print, printJson } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand } from '../base-command.ts'

export class DatastoreCompact extends NodeCommand {
  static override summary = 'Forget the history of the datastore now.'
  static override description =
    'What is there stays; only earlier versions go. The datastore does this by itself with what is older than ' +
    'five minutes. Watches that are behind have to begin again with a list.'
  static override examples = ['<%= config.bin %> datastore compact']

  async run(): Promise<number> {
    const { flags } = await this.parse(DatastoreCompact)
    const result = await createAdminClient(nodePaths(flags['data-dir']).adminSocket).compactDatastore()
    if (flags.json) printJson(result)
    else print(`compacted to revision ${result.revision}`)
    return 0
  }
}
