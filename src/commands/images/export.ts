/** `mk8s images export`: images of this node as one archive. */
import { createWriteStream, rmSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import { Mk8sError, messageOf, systemCodeOf } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { exportNodeImages, listNodeImages } from '../../client/image-client.ts'
import { nodePaths } from '../../host/node-files.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'

export class ImagesExport extends NodeCommand {
  static override summary = "Write this node's images into an OCI archive."
  static override strict = false
  static override usage = 'images export NAME... -o FILE'
  static override examples = [
    '<%= config.bin %> images export localhost/web:1 -o web.tar',
    '<%= config.bin %> images export -o all.tar',
    '<%= config.bin %> images export localhost/web:1 -o - | zstd > web.tar.zst',
  ]
  static override flags = {
    output: Flags.string({
      char: 'o',
      description: 'The file; - for standard output.',
      helpValue: 'FILE',
      required: true,
    }),
  }

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(ImagesExport)
    mustBeRoot('images export')
    return exportTo({ dataDir: flags['data-dir'], json: flags.json }, flags.output, argv as string[])
  }
}

/** As MicroK8s has it: the file first. */
export class ImagesExportLocal extends NodeCommand {
  static override hidden = true
  static override strict = false
  static override summary =
    "Write this node's images into an OCI archive: images export, with the file first."

  async run(): Promise<number> {
    const { argv, flags } = await this.parse(ImagesExportLocal)
    mustBeRoot('images export-local')
    const [file = '-', ...names] = argv as string[]
    return exportTo({ dataDir: flags['data-dir'], json: flags.json }, file, names)
  }
}

interface Target {
  readonly dataDir: string
  readonly json: boolean
}

/** Without names: all that have one. */
async function exportTo({ dataDir, json }: Target, file: string, given: readonly string[]): Promise<number> {
  const socketPath = nodePaths(dataDir).adminSocket
  const names = given.length > 0 ? given : await allNames(socketPath)
  const archive = await exportNodeImages(socketPath, names)
  if (file === '-') {
    await pipeline(archive, process.stdout)
    return 0
  }
  const begun = `${file}.part`
  try {
    await pipeline(archive, createWriteStream(begun, { mode: 0o600 }))
    await rename(begun, file)
  } catch (error) {
    if (systemCodeOf(error) === undefined) throw error
    const options = { why: messageOf(error), hint: 'name a file in a directory with room for it' }
    throw new Mk8sError('usage', `${file} cannot be written`, { ...options, cause: error })
  } finally {
    rmSync(begun, { force: true })
  }
  if (json) printJson({ file, images: names })
  else print(names.map(name => `exported ${name}`).join('\n'))
  return 0
}

async function allNames(socketPath: string): Promise<string[]> {
  const images = await listNodeImages(socketPath)
  return images.flatMap(({ names }) => names.filter(name => !name.startsWith('sha256:')))
}
