/** `mk8s enable`: adds capabilities to the cluster, and waits until they work. */

import type { TargetFlags } from '../cli/cluster-target.ts'
import { Flags } from '../cli/flags.ts'
import { print, printJson, remark } from '../cli/terminal.ts'
import { ClusterCommand, timeoutFlag } from './base-command.ts'

export class Enable extends ClusterCommand {
  static override summary = 'Enable add-ons, and wait until they work.'
  static override description =
    'An add-on that needs others brings them along. What stands behind a colon is an argument, as in dns:8.8.8.8 or ' +
    'registry:size=40Gi; mk8s addons info NAME lists the parameters. To enable again with other parameters changes ' +
    'them. Parameters and images are checked before anything is changed.'
  static override examples = [
    '<%= config.bin %> enable dns:8.8.8.8,1.1.1.1',
    '<%= config.bin %> enable hostpath-storage --set reclaim-policy=Retain',
    '<%= config.bin %> enable dns registry --timeout 300',
  ]
  static override strict = false
  static override usage = 'enable ADDON[:ARGUMENT]... [--set NAME=VALUE]... [-f FILE] [--no-wait]'
  static override flags = {
    set: Flags.string({
      description: 'A parameter; ADDON.NAME=VALUE where several add-ons are given.',
      helpValue: 'NAME=VALUE',
      multiple: true,
      multipleNonGreedy: true,
    }),
    values: Flags.string({
      char: 'f',
      description: 'A YAML file of parameters; by the name of the add-on where several are given.',
      helpValue: 'FILE',
    }),
    wait: Flags.boolean({ description: 'Wait until they work.', default: true, allowNo: true }),
    timeout: timeoutFlag('How long to wait for each.'),
    'skip-image-check': Flags.boolean({ description: 'Do not look for their images first.' }),
  }

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(Enable)
    // As MicroK8s has it: enable NAME -- --help.
    if (argv.includes('--help')) return this.#explain(argv as string[], flags)
    const [{ withCluster }, { enableAddons }] = await Promise.all([
      import('./addons/cluster.ts'),
      import('./addons/enabling.ts'),
    ])
    const outcomes = await withCluster(flags, 'enable', cluster =>
      enableAddons(cluster, argv as string[], {
        set: flags.set ?? [],
        valuesFile: flags.values ?? null,
        wait: flags.wait,
        timeoutMs: flags.timeout * 1_000,
        checkImages: !flags['skip-image-check'],
        quiet: flags.json,
      }),
    )
    if (flags.json) printJson(outcomes)
    else
      for (const { sentence, notes } of outcomes) {
        print(sentence)
        if (notes !== '') remark(notes)
      }
    return 0
  }

  async #explain(words: readonly string[], flags: TargetFlags): Promise<number> {
    const [{ withCluster }, { findAddon, readAddonWord }, { renderInfo }] = await Promise.all([
      import('./addons/cluster.ts'),
      import('../runtime/addons/catalog.ts'),
      import('./addons/render-info.ts'),
    ])
    await withCluster(flags, 'enable', async cluster => {
      const catalog = await cluster.catalog()
      for (const word of words.filter(one => !one.startsWith('-'))) {
        const entry = findAddon(catalog, readAddonWord(word))
        print(renderInfo(entry, await cluster.addon(entry.source.definition.name)))
      }
    })
    return 0
  }
}
