/** Which of the programs that real containers need are on this machine, and what the machine lets containerd do. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import type { ContainerdFacts } from './containerd-config.ts'

const CNI_DIRECTORIES = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']
const CNI_PLUGINS = ['ptp', 'host-local', 'portmap', 'loopback']
const PROGRAMS = ['containerd', 'ctr', 'runc', 'nft', 'iptables', 'conntrack']
const PATH_DEFAULT = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const CAP_SYS_RESOURCE = 24n

/** The path of a program, or undefined. */
export function findProgram(name: string, path = process.env['PATH'] ?? PATH_DEFAULT): string | undefined {
  const directories = [...path.split(':'), ...PATH_DEFAULT.split(':')]
  return directories.map(directory => join(directory, name)).find(existsSync)
}

/** Names of what is missing; empty when real containers can be run. */
export function missingPrograms(): readonly string[] {
  const missing = PROGRAMS.filter(name => findProgram(name) === undefined)
  return cniDirectory() === undefined ? [...missing, 'the CNI plugins ptp and portmap'] : missing
}

function cniDirectory(): string | undefined {
  return CNI_DIRECTORIES.find(directory => CNI_PLUGINS.every(name => existsSync(join(directory, name))))
}

/** Throws `host/program-missing`. */
export function readContainerdFacts(sandboxImage: string): ContainerdFacts {
  const cniPlugins = cniDirectory()
  const runc = findProgram('runc')
  const missing = missingPrograms()
  if (cniPlugins === undefined || runc === undefined || missing.length > 0) {
    throw new Mk8sError('host/program-missing', 'the runtime containerd lacks programs on this machine', {
      why: `missing: ${missing.join(', ')}`,
      hint: 'run mk8s install again, which installs them',
    })
  }
  return {
    cniPlugins,
    runc,
    sandboxImage,
    mayNotLowerOomScore: (effectiveCapabilities() & (1n << CAP_SYS_RESOURCE)) === 0n,
    hasAppArmor: read('/sys/module/apparmor/parameters/enabled').startsWith('Y'),
    hasHugetlb: hasHugetlb(),
    hasOverlay: /\boverlay$/m.test(read('/proc/filesystems')),
  }
}

function effectiveCapabilities(): bigint {
  const match = /^CapEff:\s*([0-9a-f]+)$/m.exec(read('/proc/self/status'))
  return BigInt(`0x${match?.[1] ?? '0'}`)
}

function hasHugetlb(): boolean {
  if (/\bhugetlb\b/.test(read('/sys/fs/cgroup/cgroup.controllers'))) return true
  return /^\S+ \S+ cgroup \S*\bhugetlb\b/m.test(read('/proc/self/mounts'))
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
