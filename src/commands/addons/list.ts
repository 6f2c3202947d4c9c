/** `mk8s addons list`: what there is to enable, and what is enabled. */
import { renderColumns } from '../../cli/columns.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { renderYaml } from '../../kube/yaml.ts'
import { ClusterCommand } from '../base-command.ts'

export class AddonsList extends ClusterCommand {
  static override summary = 'List the add-ons, and how those that are enabled do.'
  static override flags = {
    format: Flags.string({
      description: 'How to show it.',
      options: ['table', 'json', 'yaml'],
      default: 'table',
    }),
  }

  async run(): Promise<number> {
    const { flags } = await this.parse(AddonsList)
    const [{ withCluster }, { describeAddons }] = await Promise.all([
      import('./cluster.ts'),
      import('./describe-addons.ts'),
    ])
    const listed = await withCluster(flags, 'addons list', describeAddons)
    if (flags.json || flags.format === 'json') printJson(listed)
    else if (flags.format === 'yaml') print(renderYaml(listed))
    else {
      const rows = listed.map(({ name, repository, state, version, latest, message }) => [
        ...[
          name,
          repository,
          state,
          version === '' || version === latest ? latest : `${version} (${latest})`,
        ],
        message,
      ])
      print(renderColumns([['NAME', 'REPO', 'STATE', 'VERSION', 'MESSAGE'], ...rows]))
    }
    return 0
  }
}
