/** `mk8s images remove`: takes images off this node. */
import { Mk8sError } from '../../base/errors.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { removeNodeImages } from '../../client/image-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

export class ImagesRemove extends NodeCommand {
  static override summary = 'Remove images from this node, each under all of its names.'
  static override strict = false
  static override usage = 'images remove NAME...'
  static override examples = ['<%= config.bin %> images remove localhost/busybox:1']

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(ImagesRemove)
    mustBeRoot('images remove')
    if (argv.length === 0)
      throw new Mk8sError('usage', 'images remove needs a name', { hint: 'mk8s images list' })
    const names = await removeNodeImages(nodePaths(flags['data-dir']).adminSocket, argv as string[])
    if (flags.json) printJson({ removed: names })
    else print(names.map(name => `removed ${name}`).join('\n'))
    return 0
  }
}
