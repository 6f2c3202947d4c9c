/** `mk8s cluster use`: the cluster of commands that name none, on a machine that is no node. */
import * as Args from '@oclif/core/args'
import { Flags } from '../../cli/flags.ts'
import { print } from '../../cli/terminal.ts'
import { NodeCommand } from '../base-command.ts'

export class ClusterUse extends NodeCommand {
  static override summary = 'Choose the cluster of commands that name none.'
  static override description =
    'Where a node is installed, commands without --cluster and without MK8S_CLUSTER are about its cluster all the same.'
  static override args = { name: Args.string({ description: 'Its name.' }) }
  static override flags = { none: Flags.boolean({ description: 'No cluster any more.' }) }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(ClusterUse)
    const [{ useCluster }, { userDirectory }, { Mk8sError }] = await Promise.all([
      import('../../cli/clusters.ts'),
      import('../../cli/kept-parts.ts'),
      import('../../base/errors.ts'),
    ])
    if ((args.name === undefined) !== (flags.none === true))
      throw new Mk8sError('usage', 'either a name or --none is needed', { hint: 'mk8s cluster list' })
    useCluster(args.name ?? null, userDirectory())
    print(args.name === undefined ? 'no cluster is used' : `cluster ${args.name} is used where none is named`)
    return 0
  }
}
