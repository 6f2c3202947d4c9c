/** `mk8s addons repo remove`: forgets a repository. */
import * as Args from '@oclif/core/args'
import { print } from '../../../cli/terminal.ts'
import { ClusterCommand } from '../../base-command.ts'

export class AddonsRepoRemove extends ClusterCommand {
  static override summary = 'Forget a repository; what is enabled of it goes on.'
  static override args = { name: Args.string({ description: 'Which.', required: true }) }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(AddonsRepoRemove)
    const [{ withCluster }, { removeRepository }] = await Promise.all([
      import('../cluster.ts'),
      import('../repositories.ts'),
    ])
    await withCluster(flags, 'addons repo remove', ({ client }) => removeRepository(client, args.name))
    print(`repository ${args.name} removed`)
    return 0
  }
}
