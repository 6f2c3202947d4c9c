/** `mk8s images import`: image archives into this node, without a registry. */
import * as Args from '@oclif/core/args'
import { Mk8sError } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

/** The whole archive is held in memory when it comes from standard input. */
const INPUT_BYTES_MAX = 1024 * 1024 * 1024

export class ImagesImport extends NodeCommand {
  static override summary = 'Import images from an archive, as docker save or an OCI tool writes it.'
  static override examples = [
    '<%= config.bin %> images import web.tar',
    'docker save web:1 | <%= config.bin %> images import -',
    '<%= config.bin %> images import --busybox localhost/busybox:1',
  ]
  static override args = {
    file: Args.string({ description: 'The archive; - for standard input.' }),
  }
  static override flags = {
    busybox: Flags.string({
      description: "Instead of a file: an image of this name, made of the machine's static busybox.",
      helpValue: 'NAME',
    }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(ImagesImport)
    mustBeRoot('images import')
    const { importToNode } = await import('../../runtime/node-images.ts')
    const images = await importToNode(flags['data-dir'], () => archiveOf(args.file, flags.busybox))
    if (flags.json) printJson({ images })
    else print(images.map(image => `imported ${image}`).join('\n'))
    return 0
  }
}

async function archiveOf(
  file: string | undefined,
  busybox: string | undefined,
): Promise<string | Uint8Array> {
  if ((file === undefined) === (busybox === undefined)) {
    throw new Mk8sError('usage', 'images import needs an archive or --busybox NAME', {
      hint: 'mk8s images import --help',
    })
  }
  if (busybox !== undefined) {
    const { busyboxArchive } = await import('../../runtime/node-images.ts')
    return busyboxArchive(busybox)
  }
  return file === '-' ? readInput() : (file ?? '')
}

async function readInput(): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin) {
    size += (chunk as Buffer).length
    if (size > INPUT_BYTES_MAX) {
      throw new Mk8sError('usage', 'the archive on standard input is larger than 1 GiB', {
        hint: 'write it to a file and import that',
      })
    }
    chunks.push(chunk as Buffer)
  }
  return Buffer.concat(chunks)
}
