/** The CDI specifications of this machine, read anew for each container that asks for a device. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { parseYaml } from '../../../../kube/yaml.ts'
import { type FilledNode, fillNode, kindOfFile } from './apply-edits.ts'
import { type CdiEdits, parseCdiSpec } from './cdi-spec.ts'
import { type CdiFile, resolveDevices } from './resolve-devices.ts'

/** What is in a later one counts before what is in an earlier one. */
export const CDI_DIRECTORIES: readonly string[] = ['/etc/cdi', '/var/run/cdi']
const FILES_MAX = 1_000
const FILE_BYTES_MAX = 4 * 1_024 * 1_024

interface CdiFiles {
  readonly files: readonly CdiFile[]
  readonly problems: readonly string[]
}

export interface FilledEdits {
  readonly edits: readonly CdiEdits[]
  /** What the machine says of each device file, by its path in the container. */
  readonly nodes: readonly FilledNode[]
}

/** A directory or a file that cannot be read spoils nothing else. */
export async function readCdiFiles(directories: readonly string[]): Promise<CdiFiles> {
  const files: CdiFile[] = []
  const problems: string[] = []
  for (const [priority, directory] of directories.entries()) {
    const names = await readdir(directory).catch(() => [])
    const wanted = names.filter(name => ['.json', '.yaml'].includes(extname(name))).sort()
    for (const name of wanted.slice(0, FILES_MAX)) {
      const path = join(directory, name)
      try {
        files.push({ path, priority, spec: parseCdiSpec(parseYaml(await readSmall(path))) })
      } catch (error) {
        problems.push(`${path}: ${messageOf(error)}`)
      }
    }
  }
  return { files, problems }
}

async function readSmall(path: string): Promise<string> {
  const { size } = await stat(path)
  if (size > FILE_BYTES_MAX) throw new Error(`it has more than ${FILE_BYTES_MAX} bytes`)
  return await readFile(path, 'utf8')
}

/** What a container needs for its devices; throws when one is not there. */
export async function readEdits(
  ids: readonly string[],
  directories: readonly string[],
): Promise<FilledEdits> {
  if (ids.length === 0) return { edits: [], nodes: [] }
  const edits = resolveDevices(ids, await readCdiFiles(directories))
  const [network] = edits.flatMap(({ netDevices }) => netDevices ?? [])
  if (network !== undefined)
    throw new Mk8sError('kubelet/runtime', `the CDI network device ${network.name} cannot be moved`, {
      why: 'network devices of CDI need a newer runtime than crun and runc are taken for here',
    })
  const wanted = edits.flatMap(({ deviceNodes }) => deviceNodes ?? [])
  const nodes = wanted.map(async node => {
    const path = node.hostPath || node.path
    try {
      return await fillNode(node, async () => kindOfFile(await stat(path)))
    } catch (error) {
      throw new Mk8sError('kubelet/runtime', `the CDI device node ${path} cannot be used`, {
        why: messageOf(error),
        cause: error,
      })
    }
  })
  return { edits, nodes: await Promise.all(nodes) }
}
