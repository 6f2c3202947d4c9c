/** `mk8s addons upgrade`: brings enabled add-ons to their latest version, with the parameters that they have. */
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { ClusterCommand, timeoutFlag } from '../base-command.ts'

export class AddonsUpgrade extends ClusterCommand {
  static override summary = 'Bring enabled add-ons to their latest version.'
  static override description = 'Those that are named, or all that are outdated. Parameters and data stay.'
  static override strict = false
  static override usage = 'addons upgrade [ADDON]...'
  static override flags = {
    wait: Flags.boolean({ description: 'Wait until they work.', default: true, allowNo: true }),
    timeout: timeoutFlag('How long to wait for each.'),
    'skip-image-check': Flags.boolean({ description: 'Do not look for their images first.' }),
  }

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(AddonsUpgrade)
    const [{ withCluster }, { upgradeAddons }] = await Promise.all([
      import('./cluster.ts'),
      import('./enabling.ts'),
    ])
    const outcomes = await withCluster(flags, 'addons upgrade', cluster =>
      upgradeAddons(cluster, argv as string[], {
        ...{ set: [], valuesFile: null, wait: flags.wait, timeoutMs: flags.timeout * 1_000 },
        ...{ checkImages: !flags['skip-image-check'], quiet: flags.json },
      }),
    )
    if (flags.json) printJson(outcomes)
    else if (outcomes.length === 0) print('every enabled add-on is at its latest version')
    else for (const { sentence } of outcomes) print(sentence)
    return 0
  }
}
