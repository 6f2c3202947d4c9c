/** `mk8s options show`: every option, what it is here and where that comes from. */
import { print, printJson } from '../../cli/terminal.ts'
import { clusterInitPath, nodeConfigPath, readRecorded } from '../../config/config-files.ts'
import { options } from '../../config/options.ts'
import { NodeCommand } from '../base-command.ts'

export class OptionsShow extends NodeCommand {
  static override summary = 'Show every option, its value in this node and where it can be set.'

  async run(): Promise<number> {
    const { flags } = await this.parse(OptionsShow)
    const dataDir = flags['data-dir']
    const files = [readRecorded(nodeConfigPath(dataDir)), readRecorded(clusterInitPath(dataDir))]
    const rows = options.map(({ key, kind, flag, env, help, ...option }) => {
      const recorded = files.map(file => file?.values.get(key)).find(text => text !== undefined)
      const preset = option.default || (option.defaultMeaning ?? '')
      const origin = recorded === undefined ? 'default' : 'recorded at install'
      return { key, kind, flag: `--${flag}`, env, value: recorded ?? preset, origin, help }
    })
    if (flags.json) printJson(rows)
    else
      print(
        rows
          .map(row => `${row.key} = ${row.value}   (${row.origin}; ${row.flag}, ${row.env})\n    ${row.help}`)
          .join('\n'),
      )
    return 0
  }
}
