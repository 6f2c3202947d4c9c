/** `mk8s datastore check`: reads everything that the datastore has on disk. */
import { print, printJson } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand } from '../base-command.ts'

const EXIT_DAMAGED = 1

export class DatastoreCheck extends NodeCommand {
  static override summary = "Read this member's whole datastore and verify it."
  static override description =
    'Verifies the checksum of every frame of the log and lets SQLite check its file. The daemon goes on ' +
    'working meanwhile. Exit codes: 0 all is well · 1 something is damaged.'
  static override examples = ['<%= config.bin %> datastore check']

  async run(): Promise<number> {
    const { flags } = await this.parse(DatastoreCheck)
    const check = await createAdminClient(nodePaths(flags['data-dir']).adminSocket).checkDatastore()
    if (flags.json) printJson(check)
    else {
      const { segments, logBytes, databaseBytes, durationMs, findings } = check
      const what = `${segments} log segments (${logBytes} bytes) and the database (${databaseBytes} bytes)`
      const outcome = findings.length === 0 ? 'all is well' : `found damage:\n  ${findings.join('\n  ')}`
      print(`read ${what} in ${durationMs} ms: ${outcome}`)
    }
    return check.findings.length === 0 ? 0 : EXIT_DAMAGED
  }
}
