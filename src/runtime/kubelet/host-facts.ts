/** What a node says about its machine. Read once; kernel files are read with plain reads, no programs. */
import { statfsSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import os from 'node:os'
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
  }
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
