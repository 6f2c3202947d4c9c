/** `mk8s addons repo list`: the repositories that the cluster knows. */
import { renderColumns } from '../../../cli/columns.ts'
import { print, printJson } from '../../../cli/terminal.ts'
import { ClusterCommand } from '../../base-command.ts'

export class AddonsRepoList extends ClusterCommand {
  static override summary = 'List the repositories of add-ons.'

  async run(): Promise<number> {
    const { flags } = await this.parse(AddonsRepoList)
    const [{ withCluster }, { listRepositories }, { builtInAddons }] = await Promise.all([
      import('../cluster.ts'),
      import('../repositories.ts'),
      import('../../../runtime/addons/built-in.ts'),
    ])
    const found = await withCluster(flags, 'addons repo list', ({ client }) => listRepositories(client))
    if (flags.json) {
      printJson(found)
      return 0
    }
    const rows = found.map(({ name, addons, source, publicKey }) => [
      name,
      String(addons.length),
      publicKey === '' ? 'no' : 'yes',
      source,
    ])
    const core = ['core', String(builtInAddons().size), 'built in', '-']
    print(renderColumns([['REPO', 'ADDONS', 'SIGNED', 'SOURCE'], core, ...rows]))
    return 0
  }
}
