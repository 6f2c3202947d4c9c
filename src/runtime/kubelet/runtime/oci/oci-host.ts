/** What the machine lets containers do, and which of crun and runc works on it. */
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { release, totalmem } from 'node:os'
import { join } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { findProgram, hasCapability } from '../../../../host/container-programs.ts'
import { readOrEmpty } from '../../../../host/files.ts'
import { runProgram } from '../../../../host/programs.ts'
import { deviceNumbers } from '../cdi/apply-edits.ts'
import type { RuntimeHandler } from '../runtime.ts'
import { capabilityNames } from './capabilities.ts'
import { createDirectly, deleteContainer, type OciProgram } from './conmon.ts'
import type { HostDevice, SpecHost } from './render-spec.ts'
import { hasUserNamespaces } from './user-namespace.ts'

/** crun starts faster and takes less; runc works where crun refuses. */
export const OCI_PROGRAMS = ['crun', 'runc'] as const

export type OciProgramName = (typeof OCI_PROGRAMS)[number]

export function readSpecHost(): SpecHost {
  const bits = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readOrEmpty('/proc/self/status'))?.[1] ?? ''
  const score = Number(readOrEmpty('/proc/self/oom_score_adj').trim() || '0')
  return {
    capabilities: capabilityNames(bits),
    oomScoreMin: hasCapability('CAP_SYS_RESOURCE') ? undefined : score,
    memoryBytes: totalmem(),
    hasUnifiedCgroups: readOrEmpty('/sys/fs/cgroup/cgroup.controllers') !== '',
  }
}

export interface ProgramFinding {
  readonly name: OciProgramName
  readonly version: string
  readonly program: OciProgram
  /** Why it cannot run containers here; empty when it can. */
  readonly problem: string
}

/** Of the programs that are installed, what each says to a container that does next to nothing. */
export async function findPrograms(state: string, probe: ProbeParts): Promise<readonly ProgramFinding[]> {
  const findings: ProgramFinding[] = []
  for (const name of OCI_PROGRAMS) {
    const path = findProgram(name)
    if (path === undefined) continue
    const program = { path, state: join(state, name) }
    await mkdir(program.state, { recursive: true, mode: 0o700 })
    const { stdout } = await runProgram(path, ['--version'], { accept: 'any' })
    const version = /version ([\w.-]+)/.exec(stdout)?.[1] ?? ''
    findings.push({ name, version, program, problem: await tryProgram(program, probe) })
  }
  return findings
}

/** By this name RuntimeClasses mean the usual runtime, as containerd has it; whoever has crun only means that. */
const USUAL = 'runc'

/** What runs the containers of a RuntimeClass' handler; undefined: nothing of that name is installed. */
export function programFor(handler: string, findings: readonly ProgramFinding[]): ProgramFinding | undefined {
  const named = findings.find(({ name }) => name === handler)
  if (named !== undefined || handler !== USUAL) return named
  return findings.find(({ problem }) => problem === '')
}

/** What RuntimeClasses may name; either of the programs can do all of it, where the kernel can. */
export function handlersOf(findings: readonly ProgramFinding[]): readonly RuntimeHandler[] {
  const names = new Set([...findings.map(({ name }) => name), USUAL])
  const works = [...names].filter(name => programFor(name, findings)?.problem === '')
  const namespacesMax = readOrEmpty('/proc/sys/user/max_user_namespaces').trim()
  const userNamespaces = hasUserNamespaces({ release: release(), namespacesMax })
  return ['', ...works].map(name => ({ name, recursiveReadOnly: true, userNamespaces }))
}

/** The best one that works. */
export function chooseProgram(findings: readonly ProgramFinding[]): ProgramFinding {
  const found = findings.find(({ problem }) => problem === '')
  if (found !== undefined) return found
  throw new Mk8sError('kubelet/runtime', 'neither crun nor runc can run containers on this machine', {
    why: findings.map(({ name, problem }) => `${name}: ${problem}`).join('\n') || 'neither is installed',
  })
}

export interface ProbeParts {
  readonly directory: string
  readonly cgroup: string
  /** An executable that needs nothing else. */
  readonly pause: Uint8Array
}

async function tryProgram(program: OciProgram, { directory, cgroup, pause }: ProbeParts): Promise<string> {
  const rootfs = join(directory, 'rootfs')
  const id = `probe-${process.pid}`
  await mkdir(rootfs, { recursive: true, mode: 0o700 })
  await writeFile(join(rootfs, 'pause'), pause, { mode: 0o755 })
  await writeFile(join(directory, 'config.json'), JSON.stringify(probeSpec(cgroup)))
  try {
    await createDirectly(program, directory, { id, pidFile: join(directory, 'pid') })
    return ''
  } catch (error) {
    return messageOf(error)
  } finally {
    await deleteContainer(program, id).catch(() => {})
    await rm(directory, { recursive: true, force: true })
  }
}

const probeSpec = (cgroupsPath: string): object => ({
  ociVersion: '1.0.2',
  process: { user: { uid: 0, gid: 0 }, args: ['/pause'], cwd: '/', env: [] },
  root: { path: 'rootfs' },
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
  linux: {
    namespaces: [{ type: 'mount' }, { type: 'pid' }],
    cgroupsPath,
    resources: { devices: [{ allow: false, access: 'rwm' }] },
  },
})

const DEVICES_MAX = 4_096
const DEPTH_MAX = 4
/** File systems of their own, which a container gets anew. */
const NOT_DEVICES = ['pts', 'shm', 'mqueue', 'fd', 'console', '.lxc', '.udev']

/** A device file of the machine, under the path that it is to have in a container. */
export async function deviceAt(hostPath: string, path = hostPath): Promise<HostDevice> {
  const found = await stat(hostPath)
  const { rdev, mode, uid, gid } = found
  return { path, type: found.isBlockDevice() ? 'b' : 'c', ...deviceNumbers(rdev), mode, uid, gid }
}

/** What a privileged container finds below /dev. */
export async function hostDevices(directory = '/dev', depth = 0): Promise<HostDevice[]> {
  const found: HostDevice[] = []
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    if (depth === 0 && NOT_DEVICES.includes(entry.name)) continue
    const path = join(directory, entry.name)
    if (entry.isDirectory() && depth < DEPTH_MAX) found.push(...(await hostDevices(path, depth + 1)))
    if (!entry.isCharacterDevice() && !entry.isBlockDevice()) continue
    found.push(await deviceAt(path))
    if (found.length > DEVICES_MAX) break
  }
  return found
}
