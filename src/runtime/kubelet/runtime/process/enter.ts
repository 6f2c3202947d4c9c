/** How a further program is started inside a running container of the process runtime: as its user, in its directory. */
import { accessSync, constants } from 'node:fs'
import { access, lstat } from 'node:fs/promises'
import { join } from 'node:path'
import { Mk8sError } from '../../../../base/errors.ts'
import { asUser, DEFAULT_PATH, type LaunchHost } from './launch.ts'
import { chrootOptions, ENTER } from './launch-script.ts'
import type { ContainerRecord } from './records.ts'

export interface Entry {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** Where paths of the container begin, as the daemon sees them. */
  readonly root: string
}

export interface EntryParts {
  readonly record: ContainerRecord
  /** The container's directory. */
  readonly directory: string
  /** Of the container's own program. */
  readonly pid: string
  readonly host: LaunchHost
  readonly command: readonly string[]
}

export function planEntry(parts: EntryParts): Entry {
  const { record, directory, pid, host, command } = parts
  const { config } = record
  const env: Record<string, string> = { PATH: DEFAULT_PATH, HOME: process.env['HOME'] ?? '/', ...config.env }
  if (record.isolated) {
    const become = ['/bin/sh', '-c', ENTER, config.workingDir === '' ? '/' : config.workingDir]
    const chroot = [hostProgram('chroot'), ...chrootOptions(config.security), join(directory, 'root')]
    const enter = [hostProgram('nsenter'), '--target', pid, '--mount', '--']
    return { argv: [...enter, ...chroot, ...become, ...command], env, root: `/proc/${pid}/root` }
  }
  if (config.mounts.length > 0) env['MK8S_ROOT'] = join(directory, 'root')
  const cwd = config.workingDir === '' ? join(directory, 'cwd') : config.workingDir
  return { argv: ['/bin/sh', '-c', ENTER, cwd, ...asUser(config, host), ...command], env, root: '' }
}

/** Looked up on the daemon's own path: the container's may lead elsewhere. */
export function hostProgram(name: string): string {
  for (const directory of `${process.env['PATH'] ?? ''}:${DEFAULT_PATH}`.split(':')) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      if (directory !== '') return path
    } catch {
      // In the next one, perhaps.
    }
  }
  return name
}

/** As runtimes say it when there is no such program in the container. */
export async function requireInside(entry: Entry, program: string): Promise<void> {
  const fail = (why: string) => new Mk8sError('kubelet/runtime', `failed to exec in container: ${why}`)
  const name = JSON.stringify(program)
  if (program === '') throw fail('exec: no command')
  if (program.includes('/')) {
    if (!program.startsWith('/')) return
    const found = await lookAt(join(entry.root, program))
    if (found === 'missing') throw fail(`exec: ${name}: stat ${program}: no such file or directory`)
    if (found === 'directory') throw fail(`exec: ${name}: is a directory`)
    if (found === 'plain') throw fail(`exec: ${name}: permission denied`)
    return
  }
  for (const directory of (entry.env['PATH'] ?? '').split(':')) {
    if ((await lookAt(join(entry.root, directory, program))) === 'program') return
  }
  throw fail(`exec: ${name}: executable file not found in $PATH`)
}

/** A link is taken for a program: where it leads is known inside only. */
async function lookAt(path: string): Promise<'missing' | 'directory' | 'plain' | 'program'> {
  try {
    const stat = await lstat(path)
    if (stat.isSymbolicLink()) return 'program'
    if (stat.isDirectory()) return 'directory'
  } catch {
    return 'missing'
  }
  return access(path, constants.X_OK).then(
    () => 'program',
    () => 'plain',
  )
}
