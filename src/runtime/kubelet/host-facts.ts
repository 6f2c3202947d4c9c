/** What a node says about its machine. Read once; kernel files are read with plain reads, no programs. */
import { existsSync, readdirSync, statfsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import os from 'node:os'
import { join } from 'node:path'
import { readOrEmpty } from '../../host/files.ts'

export interface HostFacts {
  readonly hostname: string
  readonly cpuCount: number
  readonly memoryBytes: number
  readonly diskBytes: number
  /** `linux`, `darwin`, `windows`, as Kubernetes spells them. */
  readonly operatingSystem: string
  /** `amd64`, `arm64`. */
  readonly architecture: string
  readonly kernelVersion: string
  readonly osImage: string
  readonly machineId: string
  readonly bootId: string
  /** Bytes kept for pages of a size, by Kubernetes' name of it: `2Mi`; absent where there are none. */
  readonly hugepages?: Readonly<Record<string, number>>
  readonly hasAppArmor?: boolean
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const SYSTEMS: Readonly<Record<string, string>> = { win32: 'windows' }

/** Facts of this machine; `directory` lies on the disk that pods use. */
export function readHostFacts(directory: string): HostFacts {
  const release = readOrEmpty('/etc/os-release')
  const pretty = /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(release)?.[1]
  const disk = statfsSync(directory)
  return {
    hostname: os.hostname(),
    cpuCount: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    diskBytes: disk.bsize * disk.blocks,
    operatingSystem: SYSTEMS[process.platform] ?? process.platform,
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    kernelVersion: os.release(),
    osImage: pretty ?? `${os.type()} ${os.release()}`,
    machineId: readOrEmpty('/etc/machine-id').trim() || os.hostname(),
    bootId: readOrEmpty('/proc/sys/kernel/random/boot_id').trim(),
    hugepages: readHugepages(),
    hasAppArmor: readOrEmpty('/sys/module/apparmor/parameters/enabled').startsWith('Y'),
  }
}

const KIB = 1_024
const SIZES: readonly [string, number][] = [
  ['Gi', KIB * KIB],
  ['Mi', KIB],
  ['Ki', 1],
]

/** By size, also where none is kept; `directory` has one for each, `hugepages-2048kB`. */
export function readHugepages(directory = '/sys/kernel/mm/hugepages'): Record<string, number> {
  const names = existsSync(directory) ? readdirSync(directory) : []
  const entries = names.flatMap(name => {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0)
    const [unit, scale] = SIZES.find(([, each]) => kib % each === 0) ?? []
    if (kib === 0 || unit === undefined || scale === undefined) return []
    const count = Number(readOrEmpty(join(directory, name, 'nr_hugepages')))
    return [[`${kib / scale}${unit}`, count * kib * KIB] as const]
  })
  return Object.fromEntries(entries)
}

export interface DiskFacts {
  readonly capacityBytes: number
  readonly availableBytes: number
  readonly inodes: number
  readonly inodesFree: number
}

/** Of the file system that a directory lies on. */
export async function readDisk(directory: string): Promise<DiskFacts> {
  const { bsize, blocks, bavail, files, ffree } = await statfs(directory)
  return {
    capacityBytes: bsize * blocks,
    availableBytes: bsize * bavail,
    inodes: files,
    inodesFree: ffree,
  }
}
