/** The process that holds a process namespace open which the containers of a pod share. Nobody asks how it ends. */
import { chown, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { readPidFile, writePidFile } from '../../../../host/processes.ts'
import type { SandboxConfig } from '../runtime.ts'
import { callProgram, createDirectly, deleteContainer, type OciProgram } from './conmon.ts'
import { NAMESPACE_TYPES, ownNamespaces } from './namespaces.ts'
import { sandboxFiles } from './oci-paths.ts'
import { renderMappings } from './user-namespace.ts'

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
  /** Of its own, to be made. */
  readonly rootfs: string
}

const pidFile = (directory: string): string => join(directory, 'pid')

export async function startPause(parts: PauseParts): Promise<void> {
  const { directory, id, program, rootfs } = parts
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await mkdir(rootfs, { recursive: true, mode: 0o755 })
  const owner = parts.sandbox.isolation?.userRange?.first
  // Places of mounts are made in it by root of the pod.
  if (owner !== undefined) await chown(rootfs, owner, owner)
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

export async function endPause({ program, id, rootfs }: PauseParts): Promise<void> {
  await deleteContainer(program, id)
  await rm(rootfs, { recursive: true, force: true })
}

/** Path of the namespace, for containers to join. */
export async function pauseNamespace({ directory }: PauseParts): Promise<string> {
  const holder = readPidFile(pidFile(directory))
  if (holder !== undefined) return `/proc/${holder.pid}/ns/pid`
  throw new Mk8sError('kubelet/runtime', 'the process namespace of the sandbox is gone')
}

function renderPause({ sandbox, sandboxDirectory, cgroup, id, rootfs }: PauseParts): object {
  const files = sandboxFiles(sandboxDirectory)
  return {
    ociVersion: '1.0.2',
    process: {
      user: { uid: 65_535, gid: 65_535 },
      args: ['/pause'],
      cwd: '/',
      env: [],
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    linux: {
      namespaces: [
        ...[{ type: 'mount' }, { type: 'pid' }],
        ...ownNamespaces(sandbox).map(name => ({ type: NAMESPACE_TYPES[name], path: files[name] })),
      ],
      cgroupsPath: join(cgroup, id),
      resources: { devices: [{ allow: false, access: 'rwm' }] },
      ...renderMappings(sandbox.isolation?.userRange),
    },
  }
}
