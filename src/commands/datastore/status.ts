/** `mk8s datastore status`: where the log, the state and the leadership of this member stand. */
import { print, printJson } from '../../cli/terminal.ts'
import { createAdminClient } from '../../client/admin-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { NodeCommand } from '../base-command.ts'

export class DatastoreStatus extends NodeCommand {
  static override summary = "Show where this member's datastore stands."
  static override description =
    'Leader, term, indexes of the log, revisions, keys, what it takes on disk, and how fast disk and network are, as this member ' +
    'sees it. The election timeout grows with what is measured.'
  static override examples = [
    '<%= config.bin %> datastore status',
    '<%= config.bin %> datastore status --json',
  ]

  async run(): Promise<number> {
    const { flags } = await this.parse(DatastoreStatus)
    const details = await createAdminClient(nodePaths(flags['data-dir']).adminSocket).datastore()
    if (flags.json) {
      printJson(details)
      return 0
    }
    const { timing } = details
    const ms = (time: number) => `${Number(time.toFixed(1))} ms`
    const rows: [string, string | number][] = [
      ['cluster', details.clusterId],
      ['member', details.memberId],
      ['leader', details.leader ?? 'none'],
      ['term', details.term],
      ['last index', details.lastIndex],
      ['commit index', details.commitIndex],
      ['applied index', details.appliedIndex],
      ['revision', details.revision],
      ['compacted to', details.compactedRevision],
      ['keys', details.keys],
      ['leases', details.leases],
      ['log', `${details.logBytes} bytes`],
      ['database', `${details.databaseBytes} bytes`],
      ['flush', `median ${ms(timing.flushMedianMs)}, worst ${ms(timing.flushWorstMs)} of the last ones`],
      ['round trip', timing.roundTripMs === 0 ? 'not measured here' : ms(timing.roundTripMs)],
      ['heartbeat', `every ${ms(timing.heartbeatMs)}`],
      ['election', `after ${ms(timing.electionMs)} to ${ms(2 * timing.electionMs)} without a leader`],
      ['etcd endpoint', details.etcdEndpoint ?? 'off'],
    ]
    print(rows.map(([name, value]) => `${`${name}:`.padEnd(16)}${value}`).join('\n'))
    return 0
  }
}
