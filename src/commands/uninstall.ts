/** `mk8s uninstall`: stops the node and leaves nothing of it behind. */
import { existsSync } from 'node:fs'
import { confirm, print, printJson } from '../cli/terminal.ts'
import { stopNode } from '../client/lifecycle.ts'
import { removeNodeDirectory } from '../host/remove.ts'
import { lifecycleOf, mustBeRoot, NodeCommand, yesFlag } from './base-command.ts'

export class Uninstall extends NodeCommand {
  static override summary = 'Stop the node and delete everything that belongs to it.'
  static override flags = { yes: yesFlag }

  async run(): Promise<number> {
    const { flags } = await this.parse(Uninstall)
    mustBeRoot('uninstall')
    const dataDir = flags['data-dir']
    const parts = await lifecycleOf(dataDir)
    const present = existsSync(dataDir)
    if (present) {
      await confirm(`Delete the node in ${dataDir} with all its data?`, flags)
      await stopNode(parts, { workloads: true })
      await parts.forgetContainers()
    }
    await parts.service.remove()
    const left = present ? removeNodeDirectory(dataDir) : []
    if (flags.json) printJson({ removed: present, left })
    else if (!present) print(`There is no node in ${dataDir}.`)
    else if (left.length === 0) print('mk8s is uninstalled.')
    else print(`mk8s is uninstalled; ${dataDir} holds files that are not its own: ${left.join(', ')}`)
    return 0
  }
}
