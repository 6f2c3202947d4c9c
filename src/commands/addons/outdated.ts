/** `mk8s addons outdated`: enabled add-ons of which there is another version. */
import { renderColumns } from '../../cli/columns.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { ClusterCommand } from '../base-command.ts'

export class AddonsOutdated extends ClusterCommand {
  static override summary = 'List enabled add-ons of which there is a newer version.'
  static override description = 'In the executable, or in the repositories as they were last read.'

  async run(): Promise<number> {
    const { flags } = await this.parse(AddonsOutdated)
    const [{ withCluster }, { describeAddons }] = await Promise.all([
      import('./cluster.ts'),
      import('./describe-addons.ts'),
    ])
    const all = await withCluster(flags, 'addons outdated', describeAddons)
    const outdated = all.filter(addon => addon.outdated)
    if (flags.json) printJson(outdated)
    else if (outdated.length === 0) print('every enabled add-on is at its latest version')
    else {
      const rows = outdated.map(({ name, repository, version, latest }) => [
        name,
        repository,
        version,
        latest,
      ])
      print(renderColumns([['NAME', 'REPO', 'ENABLED', 'LATEST'], ...rows]))
    }
    return 0
  }
}
