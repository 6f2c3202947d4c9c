/** `mk8s cluster list`: the clusters that this user manages from here. */
import { renderColumns } from '../../cli/columns.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { NodeCommand } from '../base-command.ts'

export class ClusterList extends NodeCommand {
  static override summary = 'List the clusters that are managed from here.'

  async run(): Promise<number> {
    const { flags } = await this.parse(ClusterList)
    const [{ listClusters }, { userDirectory }] = await Promise.all([
      import('../../cli/clusters.ts'),
      import('../../cli/kept-parts.ts'),
    ])
    const known = listClusters(userDirectory()).map(({ name, servers, isUsed }) => ({
      name,
      servers,
      isUsed,
    }))
    if (flags.json) printJson(known)
    else if (known.length === 0) print('there are none: mk8s cluster add')
    else {
      const rows = known.map(({ name, servers, isUsed }) => [isUsed ? '*' : '', name, servers.join(',')])
      print(renderColumns([['USED', 'NAME', 'SERVERS'], ...rows]))
    }
    return 0
  }
}
