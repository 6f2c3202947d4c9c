/** `mk8s images remove`: takes images off this node. */
import * as Args from '@oclif/core/args'
import { print, printJson } from '../../cli/terminal.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

export class ImagesRemove extends NodeCommand {
  static override summary = 'Remove an image from this node, under all of its names.'
  static override examples = ['<%= config.bin %> images remove localhost/busybox:1']
  static override args = {
    image: Args.string({ description: 'Its name or id, as images list shows it.', required: true }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(ImagesRemove)
    mustBeRoot('images remove')
    const { removeImage } = await import('../../runtime/node-images.ts')
    const names = await removeImage(flags['data-dir'], args.image)
    if (flags.json) printJson({ removed: names })
    else print(names.map(name => `removed ${name}`).join('\n'))
    return 0
  }
}
