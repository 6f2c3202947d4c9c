/** `mk8s images remove`: takes images off this node. */
import { Mk8sError } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { removeEverywhere, removeNodeImages } from '../../client/image-client.ts'
import type { NodeImport } from '../../client/node-images.ts'
import { nodePaths } from '../../host/node-files.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

export class ImagesRemove extends NodeCommand {
  static override summary = 'Remove images from this node, each under all of its names.'
  static override strict = false
  static override usage = 'images remove NAME... [--all-nodes] [--force]'
  static override description =
    'An image that a container of a pod is made of is not removed, and the pods are named. With --force it is: what ' +
    'runs goes on, and starts again only with the image.'
  static override examples = [
    '<%= config.bin %> images remove localhost/busybox:1',
    '<%= config.bin %> images remove localhost/busybox:1 --all-nodes',
  ]
  static override flags = {
    'all-nodes': Flags.boolean({ description: 'From every node of the cluster that has them.' }),
    force: Flags.boolean({ description: 'Also what pods use.' }),
  }

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(ImagesRemove)
    mustBeRoot('images remove')
    if (argv.length === 0)
      throw new Mk8sError('usage', 'images remove needs a name', { hint: 'mk8s images list' })
    const socketPath = nodePaths(flags['data-dir']).adminSocket
    const { force } = flags
    if (flags['all-nodes']) {
      const nodes = await removeEverywhere(socketPath, argv as string[], { force })
      if (flags.json) printJson({ nodes })
      else print(nodes.flatMap(describe).join('\n'))
      return nodes.some(({ problem }) => problem !== '') ? 1 : 0
    }
    const names = await removeNodeImages(socketPath, argv as string[], { force })
    if (flags.json) printJson({ removed: names })
    else print(names.map(name => `removed ${name}`).join('\n'))
    return 0
  }
}

function describe({ node, images, problem }: NodeImport): string[] {
  if (problem !== '') return [`not removed from ${node}: ${problem}`]
  if (images.length === 0) return [`${node} has none of them`]
  return images.map(image => `removed ${image} from ${node}`)
}
