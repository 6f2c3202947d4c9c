/** Which programs that real containers need are on this machine, and whether it lets anybody run containers. */
import { accessSync, constants, existsSync } from 'node:fs'
import { join } from 'node:path'
import { readOrEmpty } from './files.ts'
import { findExecutable } from './find-program.ts'
import { SYSTEM_NAMES, system } from './system.ts'

export interface ContainerFacts {
  /** By runtime: names of what is not installed; empty when it can run containers. */
  readonly missing: Readonly<Record<RealRuntime, readonly string[]>>
  /** By runtime: the system's package manager knows the packages that bring it. */
  readonly installable: Readonly<Record<RealRuntime, boolean>>
  /** Why no program would help; empty when nothing stands in the way. */
  readonly obstacle: string
}

/** What brings the programs, as Debian and its relatives call it. */
const NETWORK_PACKAGES = ['containernetworking-plugins', 'nftables', 'iptables', 'conntrack']
export const CONTAINER_PACKAGES: Readonly<Record<RealRuntime, readonly string[]>> = {
  oci: ['crun', 'runc', 'conmon', 'perl-base', 'iproute2', ...NETWORK_PACKAGES],
  containerd: ['containerd', 'runc', ...NETWORK_PACKAGES],
}

const CNI_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']
const CNI_PLUGINS = ['ptp', 'host-local', 'portmap', 'loopback']
const NETWORK_PROGRAMS = ['nft', 'iptables', 'conntrack']
const PROGRAMS = {
  containerd: ['containerd', 'ctr', 'runc', ...NETWORK_PROGRAMS],
  oci: ['conmon', 'perl', 'ip', 'unshare', 'nsenter', ...NETWORK_PROGRAMS],
} as const
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_SYS_ADMIN: 21n, CAP_SYS_RESOURCE: 24n } as const

export type Capability = keyof typeof CAPABILITIES

/** The path of a program, or undefined. */
export function findProgram(name: string, path = process.env['PATH'] ?? ''): string | undefined {
  return findExecutable(name, [...path.split(':'), ...PATH_DEFAULT.split(':')])
}

/** The directory that holds every CNI plugin that a node needs. */
export function cniDirectory(): string | undefined {
  return CNI_DIRECTORIES.find(directory => CNI_PLUGINS.every(name => existsSync(join(directory, name))))
}

/** Where all CNI plugins may be, as CNI_PATH has it: those that every node needs first. */
export function cniPath(): string {
  const first = cniDirectory()
  const others = CNI_DIRECTORIES.filter(directory => directory !== first && existsSync(directory))
  return [...(first === undefined ? [] : [first]), ...others].join(':')
}

export type RealRuntime = keyof typeof PROGRAMS

export const isRealRuntime = (name: string): name is RealRuntime => Object.hasOwn(PROGRAMS, name)

export function missingPrograms(runtime: RealRuntime): readonly string[] {
  const isMissing = (name: string) => findProgram(name) === undefined
  const missing: string[] = PROGRAMS[runtime].filter(isMissing)
  if (runtime === 'oci' && ['crun', 'runc'].every(isMissing)) missing.push('crun or runc')
  return cniDirectory() === undefined ? [...missing, 'CNI plugins'] : missing
}

export function hasCapability(name: Capability): boolean {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(readOrEmpty('/proc/self/status'))
  return ((BigInt(`0x${match?.[1] ?? '0'}`) >> CAPABILITIES[name]) & 1n) === 1n
}

export function containerObstacle(): string {
  if (system !== 'linux') return `containers need Linux; this is ${SYSTEM_NAMES[system]}`
  for (const name of ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN'] as const) {
    if (!hasCapability(name)) return `this machine does not let root have ${name}`
  }
  const spaces = ['pid', 'net', 'mnt', 'uts', 'ipc'].every(name => existsSync(`/proc/self/ns/${name}`))
  if (!spaces) return 'the kernel offers no namespaces'
  const tree = ['/sys/fs/cgroup/cgroup.controllers', '/sys/fs/cgroup/memory'].find(existsSync)
  if (tree === undefined) return 'the kernel offers no control groups'
  return isWritable('/sys/fs/cgroup') ? '' : 'control groups cannot be made: /sys/fs/cgroup is read-only'
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK)
    return true
  } catch {
    return false
  }
}
