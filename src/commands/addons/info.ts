/** `mk8s addons info`: everything about one add-on. */
import * as Args from '@oclif/core/args'
import { print, printJson } from '../../cli/terminal.ts'
import { ClusterCommand } from '../base-command.ts'

export class AddonsInfo extends ClusterCommand {
  static override summary = 'Show what an add-on is, its parameters, and how it does.'
  static override args = { name: Args.string({ description: 'Its name.', required: true }) }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(AddonsInfo)
    const [{ withCluster }, { findAddon, readAddonWord }, { renderInfo }] = await Promise.all([
      import('./cluster.ts'),
      import('../../runtime/addons/catalog.ts'),
      import('./render-info.ts'),
    ])
    const { entry, addon } = await withCluster(flags, 'addons info', async cluster => {
      const entry = findAddon(await cluster.catalog(), readAddonWord(args.name))
      return { entry, addon: await cluster.addon(entry.source.definition.name) }
    })
    const { repository, source } = entry
    if (flags.json) printJson({ repository, ...source.definition, addon })
    else print(renderInfo(entry, addon))
    return 0
  }
}
