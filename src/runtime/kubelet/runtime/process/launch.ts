/** How a container of the process runtime is started on this host: the program line, environment and mounts. */
import { existsSync } from 'node:fs'
import { access, constants, mkdir, readFile, realpath, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Mk8sError, messageOf } from '../../../../base/errors.ts'
import { runProgram } from '../../../../host/programs.ts'
import type { ContainerConfig, Mount } from '../runtime.ts'
import {
  FOREIGN_FILE,
  foreignMounts,
  PLAIN_SCRIPT,
  planSubmounts,
  type ResolvedMount,
  renderMountScript,
} from './launch-script.ts'

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface LaunchHost {
  /** A mount namespace with an overlay of the host's root can be made. */
  readonly isolation: boolean
  readonly isRoot: boolean
  /** Why not, when it cannot. */
  readonly why?: string
}

export interface Launch {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly isolated: boolean
}

export interface LaunchParts {
  readonly config: ContainerConfig
  readonly directory: string
  readonly host: LaunchHost
}

/** Tries a mount namespace once, with the very script that containers get. */
export async function probeIsolation(directory: string): Promise<LaunchHost> {
  const isRoot = process.getuid?.() === 0
  if (process.platform !== 'linux') return { isolation: false, isRoot, why: 'mount namespaces need Linux' }
  if (!isRoot) return { isolation: false, isRoot, why: 'mount namespaces need root' }
  await mkdir(join(directory, 'root'), { recursive: true, mode: 0o755 })
  try {
    const script = renderMountScript({ directory, mounts: [], submounts: [] }, {})
    await runProgram('unshare', ['--mount', '/bin/sh', '-c', script, 'sh', '/', 'true'])
    return { isolation: true, isRoot }
  } catch (error) {
    const setup = await readFile(join(directory, 'setup-error'), 'utf8').catch(() => '')
    return { isolation: false, isRoot, why: setup.trim() || messageOf(error) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Devices are files that are bound like any other. */
const withDevices = (parts: LaunchParts): LaunchParts => {
  const { mounts, devices = [] } = parts.config
  return devices.length === 0
    ? parts
    : { ...parts, config: { ...parts.config, mounts: [...mounts, ...devices] } }
}

export async function planLaunch(given: LaunchParts): Promise<Launch> {
  const parts = withDevices(given)
  const { config, host } = parts
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOME: process.env['HOME'] ?? '/', ...config.env }
  const program = [...config.command, ...config.args]
  await requireProgram(program[0] ?? '', { path: env['PATH'] ?? '', mounts: config.mounts })
  const wantsMounts = config.mounts.length > 0
  if (host.isolation && wantsMounts) return planIsolated(parts, env, program)
  return planPlain(parts, env, program)
}

async function planIsolated(
  { config, directory }: LaunchParts,
  env: Record<string, string>,
  program: readonly string[],
): Promise<Launch> {
  const mounts = await Promise.all(config.mounts.map(resolveMount))
  mounts.sort((a, b) => a.containerPath.length - b.containerPath.length)
  const missing = mounts.filter(mount => !existsSync(mount.containerPath)).map(mount => mount.containerPath)
  const mountinfo = await readFile('/proc/self/mountinfo', 'utf8')
  const foreign = foreignMounts(mountinfo, path => isNodeDirectory(path) && !directory.startsWith(`${path}/`))
  const submounts = planSubmounts({ mountinfo, directory, missing, foreign })
  const script = renderMountScript({ directory, mounts, submounts }, config.security)
  await writeFile(join(directory, FOREIGN_FILE), foreign.map(path => `${path}\0`).join(''), { mode: 0o600 })
  const cwd = config.workingDir === '' ? '/' : config.workingDir
  return {
    argv: ['unshare', '--mount', '/bin/sh', '-c', script, 'sh', cwd, ...program],
    env,
    isolated: true,
  }
}

/** What mk8s makes in the directory of a node; its containerd may be all that there is. */
function isNodeDirectory(path: string): boolean {
  const has = (name: string) => existsSync(join(path, name))
  return has('containerd/boot') || (has('config.yaml') && has('pki') && has('run'))
}

async function planPlain(
  { config, directory, host }: LaunchParts,
  env: Record<string, string>,
  program: readonly string[],
): Promise<Launch> {
  const root = join(directory, 'root')
  for (const mount of config.mounts) await linkMount(root, mount)
  if (config.mounts.length > 0) env['MK8S_ROOT'] = root
  const cwd = config.workingDir === '' ? join(directory, 'cwd') : config.workingDir
  const become = ['/bin/sh', '-c', PLAIN_SCRIPT, 'sh', directory, cwd]
  return { argv: [...become, ...asUser(config, host), ...program], env, isolated: false }
}

/** A link under the container's root instead of a mount; it cannot be made read-only. */
async function linkMount(root: string, mount: Mount): Promise<void> {
  const target = join(root, mount.containerPath)
  await mkdir(dirname(target), { recursive: true })
  await symlink(mount.hostPath, target).catch(() => {})
}

/** What a program without a mount namespace is started through, to be the container's user. */
export function asUser(config: ContainerConfig, host: LaunchHost): string[] {
  const { runAsUser, runAsGroup, supplementalGroups = [] } = config.security
  if (runAsUser === undefined && runAsGroup === undefined) return []
  if (!host.isRoot) {
    if (runAsUser === process.getuid?.()) return []
    throw new Mk8sError('kubelet/runtime', `running as user ${runAsUser} needs a node that runs as root`)
  }
  const groups = supplementalGroups.length > 0 ? `--groups=${supplementalGroups.join(',')}` : '--clear-groups'
  return ['setpriv', `--reuid=${runAsUser ?? 0}`, `--regid=${runAsGroup ?? 0}`, groups, '--']
}

/** The mount path without symbolic links, as far as it exists on the host. */
async function resolveMount(mount: Mount): Promise<ResolvedMount> {
  const tail: string[] = []
  let head = mount.containerPath.replace(/\/+$/, '') || '/'
  while (head !== '/' && !existsSync(head)) {
    tail.unshift(head.slice(head.lastIndexOf('/') + 1))
    head = dirname(head)
  }
  const isFile = (await stat(mount.hostPath)).isDirectory() === false
  return { ...mount, containerPath: join(await realpath(head), ...tail), isFile }
}

/** As runtimes say it when the program is not there; one that a volume brings is found out at the start. */
async function requireProgram(
  program: string,
  where: { readonly path: string; readonly mounts: readonly Mount[] },
): Promise<void> {
  if (program.includes('/')) {
    const fromVolume = where.mounts.some(mount => program.startsWith(`${mount.containerPath}/`))
    if (fromVolume || !program.startsWith('/') || (await isExecutable(program))) return
    throw new Mk8sError('kubelet/runtime', `exec: "${program}": stat ${program}: no such file or directory`)
  }
  for (const directory of where.path.split(':')) {
    if (await isExecutable(join(directory, program))) return
  }
  throw new Mk8sError('kubelet/runtime', `exec: "${program}": executable file not found in $PATH`)
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}
