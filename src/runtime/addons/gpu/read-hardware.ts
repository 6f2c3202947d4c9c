/** What the kernel of this machine says of its GPUs, below any root, so that tests can make one. */
import { readdir, readFile, readlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Hardware, NvidiaFacts, PciFunction } from './find-gpus.ts'

const FUNCTIONS_MAX = 4_096

export async function readHardware(root: string): Promise<Hardware> {
  const bus = join(root, 'sys/bus/pci/devices')
  const addresses = (await names(bus)).slice(0, FUNCTIONS_MAX)
  const functions = await Promise.all(addresses.map(address => readFunction(join(bus, address), address)))
  return { functions, files: await deviceFiles(root), nvidia: await nvidiaFacts(root) }
}

async function readFunction(directory: string, address: string): Promise<PciFunction> {
  const number = async (name: string) => (await text(join(directory, name))).replace(/^0x/, '')
  const numaNode = Number((await text(join(directory, 'numa_node'))) || '-1')
  const driver = await readlink(join(directory, 'driver')).catch(() => '')
  return {
    address,
    vendor: await number('vendor'),
    device: await number('device'),
    class: await number('class'),
    driver: basename(driver),
    numaNode: numaNode < 0 ? null : numaNode,
    drm: (await names(join(directory, 'drm'))).filter(name => /^(card|renderD)\d+$/.test(name)).sort(),
  }
}

async function deviceFiles(root: string): Promise<Set<string>> {
  const top = (await names(join(root, 'dev'))).filter(name => /^(nvidia.*|kfd)$/.test(name))
  const drm = await names(join(root, 'dev/dri'))
  return new Set([...top.map(name => `/dev/${name}`), ...drm.map(name => `/dev/dri/${name}`)])
}

async function nvidiaFacts(root: string): Promise<Map<string, NvidiaFacts>> {
  const directory = join(root, 'proc/driver/nvidia/gpus')
  const found = new Map<string, NvidiaFacts>()
  for (const address of await names(directory)) {
    const said = await text(join(directory, address, 'information'))
    const line = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(said)?.[1]?.trim() ?? ''
    const minor = line('Device Minor')
    const uuid = line('GPU UUID')
    // A driver that is still starting says question marks.
    if (/^\d+$/.test(minor))
      found.set(address, { minor, uuid: uuid.includes('?') ? '' : uuid, model: line('Model') })
  }
  return found
}

const names = (directory: string): Promise<string[]> => readdir(directory).catch(() => [])
const text = async (path: string): Promise<string> => (await readFile(path, 'utf8').catch(() => '')).trim()
