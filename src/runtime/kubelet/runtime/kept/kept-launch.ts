/** How a container of the runtime is started where there are no namespaces: its program line, environment and links. */
import { join, posix, win32 } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { daemonEnvironment } from '../../../../host/daemon-environment.ts'
import type { System } from '../../../../host/system.ts'
import type { ContainerConfig, Mount } from '../runtime.ts'

/** In the container's directory, for its keeper. */
export interface KeptLaunch {
  readonly id: string
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdin: boolean
  readonly stdinOnce: boolean
  readonly logPath: string
  readonly endpoint: string
  readonly uid?: number
  readonly gid?: number
}

export interface KeptLaunchParts {
  readonly id: string
  readonly config: ContainerConfig
  readonly directory: string
  readonly logPath: string
  readonly endpoint: string
  readonly system: System
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** In the environment of all that a container starts. */
export const CONTAINER_MARK = 'MK8S_CONTAINER_ID'

/** Pure. Throws what this system cannot do. */
export function planKeptLaunch(parts: KeptLaunchParts): KeptLaunch {
  const { id, config, directory, system } = parts
  if (config.tty === true) throw noTerminal(system)
  const { runAsUser: uid, runAsGroup: gid } = config.security
  if (system === 'windows' && (uid !== undefined || gid !== undefined)) {
    throw new Mk8sError('kubelet/runtime', `container ${config.name} asks for a user by number`, {
      why: 'users of Windows have no numbers; leave out runAsUser and runAsGroup',
    })
  }
  return {
    id,
    command: [...config.command, ...config.args],
    env: {
      ...daemonEnvironment(system, parts.environment),
      ...(config.mounts.length > 0 && { MK8S_ROOT: join(directory, 'root') }),
      ...config.env,
      [CONTAINER_MARK]: id,
    },
    cwd: config.workingDir === '' ? join(directory, 'cwd') : config.workingDir,
    stdin: config.stdin === true,
    stdinOnce: config.stdinOnce === true,
    logPath: parts.logPath,
    endpoint: parts.endpoint,
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  }
}

export function noTerminal(system: System): Mk8sError {
  const name = system === 'windows' ? 'Windows' : 'macOS'
  return new Mk8sError('kubelet/runtime', `the runtime process has no terminals on ${name}`, {
    hint: 'leave out tty, and the flag -t of kubectl',
  })
}

export interface MountLink {
  readonly from: string
  readonly to: string
}

/** Links under the container's root in the place of mounts; they cannot be made read-only. Pure. */
export const linksFor = (mounts: readonly Mount[], root: string, on: System): readonly MountLink[] =>
  mounts
    .map(({ containerPath, hostPath }) => ({
      from: on === 'windows' ? windowsPath(root, containerPath) : posix.join(root, containerPath),
      to: hostPath,
    }))
    // One below another: the outer one first.
    .toSorted((a, b) => a.from.length - b.from.length)

const windowsPath = (root: string, path: string): string =>
  win32.join(root, path.replace(/^[A-Za-z]:/, '').replaceAll(':', '_'))
