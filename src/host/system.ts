/** Which operating system this is, and where it keeps what. Other files of this folder ask here, not Node. */
import { join, win32 } from 'node:path'
import { isElevated } from './windows/elevation.ts'

export type System = 'linux' | 'macos' | 'windows' | 'other'

const SYSTEMS: Readonly<Record<string, System>> = { linux: 'linux', darwin: 'macos', win32: 'windows' }

export const systemOf = (platform: string): System => SYSTEMS[platform] ?? 'other'

export const system: System = systemOf(process.platform)

/** As people call it. */
export const SYSTEM_NAMES: Readonly<Record<System, string>> = {
  linux: 'Linux',
  macos: 'macOS',
  windows: 'Windows',
  other: 'this system',
}

type Environment = Readonly<Record<string, string | undefined>>

/** Where a node's directory is unless somebody says otherwise. */
export function defaultDataDir(on: System, environment: Environment): string {
  if (on === 'windows') return win32.join(environment['ProgramData'] ?? 'C:\\ProgramData', 'mk8s')
  // No blanks in it: it stands in scripts and in commands of pods.
  return on === 'macos' ? '/usr/local/var/mk8s' : '/var/lib/mk8s'
}

/** For what lies outside a node's directory and need not survive a reboot. */
export function runtimeDirectory(on: System, environment: Environment): string {
  if (on === 'windows') return environment['TEMP'] ?? 'C:\\Windows\\Temp'
  return on === 'macos' ? '/var/run' : '/run'
}

/** The name of a local endpoint: a file in the node's directory, on Windows a pipe in the one place that has them. */
export function endpointPath(on: System, parts: { run: string; instance: string; name: string }): string {
  if (on === 'windows') return `\\\\.\\pipe\\${parts.instance}-${parts.name}`
  return join(parts.run, `${parts.name}.sock`)
}

/** The longest path that the kernel takes for a local endpoint, in bytes. */
export function socketPathMax(on: System): number {
  if (on === 'windows') return 256
  return on === 'macos' ? 103 : 107
}

/** Root, or on Windows an administrator whose rights are not held back, or the system itself. */
export function isAdministrator(): boolean {
  return system === 'windows' ? isElevated() : process.geteuid?.() === 0
}

/** How a command is run with the rights that a node needs. */
export const asAdministrator = (on: System, command: string): string =>
  on === 'windows' ? `in a terminal that was opened as administrator: ${command}` : `sudo ${command}`
