/** `mk8s images list`: what images this node has. */
import { print, printJson } from '../../cli/terminal.ts'
import { listNodeImages } from '../../client/image-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

const MIB = 1024 * 1024

export class ImagesList extends NodeCommand {
  static override summary = "List this node's images."

  async run(): Promise<number> {
    const { flags } = await this.parse(ImagesList)
    mustBeRoot('images list')
    const images = await listNodeImages(nodePaths(flags['data-dir']).adminSocket)
    if (flags.json) {
      printJson(images)
      return 0
    }
    const width = Math.max(5, ...images.flatMap(({ names }) => names.map(name => name.length)))
    const rows = images.flatMap(({ names, id, sizeBytes }) =>
      names.map(name => `${name.padEnd(width)}  ${id.slice(7, 19)}  ${(sizeBytes / MIB).toFixed(1)} MiB`),
    )
    print([`${'IMAGE'.padEnd(width)}  ID            SIZE`, ...rows.sort()].join('\n'))
    return 0
  }
}
