/** The process that holds a process namespace open which the containers of a pod share. Nobody asks how it ends. */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { readPidFile, writePidFile } from '../../../../host/processes.ts'
import type { SandboxConfig } from '../runtime.ts'
import { callProgram, createDirectly, deleteContainer, type OciProgram } from './conmon.ts'
import { ownNamespaces } from './namespaces.ts'
import { sandboxFiles } from './oci-paths.ts'

export interface PauseParts {
  readonly id: string
  readonly directory: string
  readonly program: OciProgram
  /** The pod's. */
  readonly cgroup: string
  /** An executable that needs nothing else. */
  readonly pause: Uint8Array
  readonly sandbox: SandboxConfig
  readonly sandboxDirectory: string
}

const pidFile = (directory: string): string => join(directory, 'pid')

export async function startPause(parts: PauseParts): Promise<void> {
  const { directory, id, program } = parts
  const rootfs = join(directory, 'rootfs')
  await mkdir(rootfs, { recursive: true, mode: 0o755 })
  await writeFile(join(rootfs, 'pause'), parts.pause, { mode: 0o755 })
  await writeFile(join(directory, 'config.json'), JSON.stringify(renderPause(parts)), { mode: 0o600 })
  await createDirectly(program, directory, { id, pidFile: pidFile(directory) })
  await callProgram(program, ['start', id])
  const pid = Number(await readFile(pidFile(directory), 'utf8').catch(() => ''))
  if (pid > 1) writePidFile(pidFile(directory), pid)
}

/** False once somebody has killed it, and with it all processes of the pod. */
export const isPauseRunning = ({ directory }: Pick<PauseParts, 'directory'>): boolean =>
  readPidFile(pidFile(directory)) !== undefined

export async function endPause({ program, id }: PauseParts): Promise<void> {
  await deleteContainer(program, id)
}

/** Path of the namespace, for containers to join. */
export async function pauseNamespace({ directory }: PauseParts): Promise<string> {
  const holder = readPidFile(pidFile(directory))
  if (holder !== undefined) return `/proc/${holder.pid}/ns/pid`
  throw new Mk8sError('kubelet/runtime', 'the process namespace of the sandbox is gone')
}

function renderPause({ sandbox, sandboxDirectory, cgroup, id }: PauseParts): object {
  const files = sandboxFiles(sandboxDirectory)
  const types = { net: 'network', ipc: 'ipc', uts: 'uts' } as const
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 65_535, gid: 65_535 },
      args: ['/pause'],
      cwd: '/',
      env: [],
      noNewPrivileges: true,
    },
    root: { path: 'rootfs', readonly: true },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      namespaces: [
        ...[{ type: 'mount' }, { type: 'pid' }],
        ...ownNamespaces(sandbox).map(name => ({ type: types[name], path: files[name] })),
      ],
      cgroupsPath: join(cgroup, id),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
    },
  }
}
