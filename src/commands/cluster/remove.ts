/** `mk8s cluster remove`: forgets a cluster and its key here; the cluster itself is not touched. */
import * as Args from '@oclif/core/args'
import { print } from '../../cli/terminal.ts'
import { NodeCommand } from '../base-command.ts'

export class ClusterRemove extends NodeCommand {
  static override summary = 'Forget a cluster and its key on this machine; the cluster itself stays as it is.'
  static override args = { name: Args.string({ description: 'Its name.', required: true }) }

  async run(): Promise<number> {
    const { args } = await this.parse(ClusterRemove)
    const [{ removeCluster }, { keptParts }] = await Promise.all([
      import('../../cli/clusters.ts'),
      import('../../cli/kept-parts.ts'),
    ])
    await removeCluster(args.name, await keptParts())
    print(`cluster ${args.name} is forgotten here`)
    return 0
  }
}
