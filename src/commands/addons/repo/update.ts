/** `mk8s addons repo update`: reads repositories again from where they came. */
import * as Args from '@oclif/core/args'
import { print, printJson } from '../../../cli/terminal.ts'
import { ClusterCommand } from '../../base-command.ts'

export class AddonsRepoUpdate extends ClusterCommand {
  static override summary = 'Read a repository again, or all of them.'
  static override description =
    'What is enabled stays as it is until mk8s addons upgrade. Where anything is wrong, nothing is changed.'
  static override args = { name: Args.string({ description: 'Which; all unless given.' }) }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(AddonsRepoUpdate)
    const [{ withCluster }, { findRepository, keepRepository, listRepositories }] = await Promise.all([
      import('../cluster.ts'),
      import('../repositories.ts'),
    ])
    const updated = await withCluster(flags, 'addons repo update', async ({ client }) => {
      const wanted =
        args.name === undefined ? await listRepositories(client) : [await findRepository(client, args.name)]
      const names: string[] = []
      for (const { addons: _, ...repository } of wanted) {
        await keepRepository(client, repository, { isNew: false })
        names.push(repository.name)
      }
      return names
    })
    if (flags.json) printJson(updated)
    else print(updated.length === 0 ? 'there are no repositories' : `updated: ${updated.join(', ')}`)
    return 0
  }
}
