/** `mk8s disable`: takes add-ons away; their data stays unless it is to go. */
import { Flags } from '../cli/flags.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import { ClusterCommand, timeoutFlag } from './base-command.ts'

export class Disable extends ClusterCommand {
  static override summary = 'Disable add-ons; their data stays unless --purge is said.'
  static override description = 'Refused while another add-on that is enabled needs it.'
  static override examples = [
    '<%= config.bin %> disable registry',
    '<%= config.bin %> disable registry --purge',
  ]
  static override strict = false
  static override usage = 'disable ADDON... [--purge] [--no-wait]'
  static override flags = {
    purge: Flags.boolean({ description: 'Remove their data too.' }),
    wait: Flags.boolean({ description: 'Wait until they are gone.', default: true, allowNo: true }),
    timeout: timeoutFlag('How long to wait for each.'),
  }

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(Disable)
    const [{ withCluster }, { disableAddons }] = await Promise.all([
      import('./addons/cluster.ts'),
      import('./addons/disabling.ts'),
    ])
    const { purge, wait, timeout } = flags
    const outcomes = await withCluster(flags, 'disable', cluster =>
      disableAddons(cluster, argv as string[], {
        purge,
        wait,
        timeoutMs: timeout * 1_000,
        quiet: flags.json,
      }),
    )
    if (flags.json) printJson(outcomes)
    else
      for (const { sentence, warning } of outcomes) {
        if (warning !== '') remark(`Warning: ${warning}`)
        print(sentence)
      }
    return 0
  }
}
