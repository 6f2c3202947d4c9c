/** `mk8s images import`: image archives into this node or all nodes, without a registry. */
import { createReadStream, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import * as Args from '@oclif/core/args'
import { Mk8sError, messageOf } from '../../base/errors.ts'
import { Flags } from '../../cli/flags.ts'
import { type ProgressStep, runSteps } from '../../cli/progress.ts'
import { print, printJson } from '../../cli/terminal.ts'
import { importEverywhere, importNodeImages } from '../../client/image-client.ts'
import { ARCHIVE_NAME, type NodeImport } from '../../client/node-images.ts'
import { nodePaths } from '../../host/node-files.ts'
import { mustBeRoot, NodeCommand } from '../base-command.ts'
import { isLayout, readLayout } from './oci-layout.ts'

interface Archive {
  readonly title: string
  open(): Promise<Readable>
}

export class ImagesImport extends NodeCommand {
  static override summary = 'Import images from archives, as docker save or an OCI tool writes them.'
  static override examples = [
    '<%= config.bin %> images import web.tar',
    'docker save web:1 | <%= config.bin %> images import - --all-nodes',
    '<%= config.bin %> images import --busybox localhost/busybox:1',
  ]
  static override args = {
    file: Args.string({
      description: 'The archive; - for standard input; or a directory of archives, or one in the OCI layout.',
    }),
  }
  static override flags = {
    'all-nodes': Flags.boolean({ description: 'Into every node of the cluster.' }),
    busybox: Flags.string({
      description: "Instead of a file: an image of this name, made of the machine's static busybox.",
      helpValue: 'NAME',
    }),
  }

  async run(): Promise<number> {
    const { args, flags } = await this.parse(ImagesImport)
    mustBeRoot('images import')
    const socketPath = nodePaths(flags['data-dir']).adminSocket
    const nodes: NodeImport[] = []
    const steps = archivesIn(args.file, flags.busybox).map(
      (archive): ProgressStep => ({
        title: `import ${archive.title}`,
        run: async () => {
          const bytes = await archive.open()
          if (flags['all-nodes']) nodes.push(...(await importEverywhere(socketPath, bytes)))
          else {
            const images = await importNodeImages(socketPath, bytes).catch(error => {
              throw withName(error, archive.title)
            })
            nodes.push({ node: '', images, problem: '' })
          }
        },
      }),
    )
    await runSteps(steps, { quiet: flags.json || steps.length === 1 })
    const images = [...new Set(nodes.flatMap(each => each.images))]
    if (flags.json) printJson(flags['all-nodes'] ? { images, nodes } : { images })
    else print(nodes.flatMap(describe).join('\n'))
    return nodes.some(({ problem }) => problem !== '') ? 1 : 0
  }
}

/** The daemon does not know what the archive is called here. */
function withName(error: unknown, name: string): unknown {
  if (!(error instanceof Mk8sError) || !error.message.startsWith('the archive ')) return error
  const { code, why, hint } = error
  return new Mk8sError(code, error.message.replace('the archive', name), {
    ...(why === undefined ? {} : { why }),
    ...(hint === undefined ? {} : { hint }),
    cause: error,
  })
}

function describe({ node, images, problem }: NodeImport): string[] {
  const where = node === '' ? '' : ` into ${node}`
  if (problem !== '') return [`not imported${where}: ${problem}`]
  return images.map(image => `imported ${image}${where}`)
}

function archivesIn(file: string | undefined, busybox: string | undefined): Archive[] {
  if ((file === undefined) === (busybox === undefined)) {
    throw new Mk8sError('usage', 'images import needs an archive or --busybox NAME', {
      hint: 'mk8s images import --help',
    })
  }
  if (busybox !== undefined) return [{ title: busybox, open: () => busyboxOf(busybox) }]
  if (file === undefined || file === '-')
    return [{ title: 'standard input', open: async () => process.stdin as Readable }]
  if (isLayout(file)) return [{ title: file, open: async () => readLayout(file) }]
  return filesAt(file).map(path => ({ title: path, open: async () => createReadStream(path) }))
}

async function busyboxOf(name: string): Promise<Readable> {
  const { busyboxArchive } = await import('../../runtime/node-images.ts')
  return Readable.from([await busyboxArchive(name)], { objectMode: false })
}

/** The file itself, or the archives in a directory. */
function filesAt(path: string): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path]
  } catch (error) {
    throw new Mk8sError('usage', `${path} cannot be imported`, { why: messageOf(error) })
  }
  const names = readdirSync(path).filter(name => ARCHIVE_NAME.test(name))
  if (names.length > 0) return names.sort().map(name => join(path, name))
  throw new Mk8sError('usage', `there are no archives in ${path}`, {
    hint: 'their names end in .tar, .tar.gz, .tgz or .tar.zst',
  })
}
