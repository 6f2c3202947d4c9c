/** What the machine lets containerd do, and where its helpers are. */
import { existsSync, readFileSync } from 'node:fs'
import { Mk8sError } from '../../../../base/errors.ts'
import {
  cniDirectory,
  findProgram,
  hasCapability,
  missingPrograms,
} from '../../../../host/container-programs.ts'
import type { ContainerdFacts } from './containerd-config.ts'

/** Throws `host/program-missing`. */
export function readContainerdFacts(sandboxImage: string): ContainerdFacts {
  const cniPlugins = cniDirectory()
  const runc = findProgram('runc')
  const missing = missingPrograms('containerd')
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
    mayNotLowerOomScore: !hasCapability('CAP_SYS_RESOURCE'),
    hasAppArmor: read('/sys/module/apparmor/parameters/enabled').startsWith('Y'),
    hasHugetlb: hasHugetlb(),
    hasOverlay: /\boverlay$/m.test(read('/proc/filesystems')),
  }
}

function hasHugetlb(): boolean {
  if (/\bhugetlb\b/.test(read('/sys/fs/cgroup/cgroup.controllers'))) return true
  return /^\S+ \S+ cgroup \S*\bhugetlb\b/m.test(read('/proc/self/mounts'))
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}
