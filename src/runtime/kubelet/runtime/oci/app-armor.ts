/**
 * AppArmor: the profile that `RuntimeDefault` means, loaded when the first container asks for it, and whether one that
 * a pod names is loaded. Files of a container are its own; what of `/proc` and `/sys` belongs to the machine, mounts,
 * and processes under other profiles are closed.
 */
import { Mk8sError } from '../../../../base/errors.ts'
import { findProgram } from '../../../../host/container-programs.ts'
import { readOrEmpty } from '../../../../host/files.ts'
import { runProgram } from '../../../../host/programs.ts'
import type { ContainerSecurity } from '../runtime.ts'

export const DEFAULT_PROFILE = 'mk8s-default'

export interface AppArmorHost {
  /** Lines `name (mode)`: those that the kernel has. */
  readonly loaded: () => string
  /** Puts a profile into the kernel, in place of one of the same name. */
  readonly load: (profile: string) => Promise<void>
}

export const machineAppArmor: AppArmorHost = {
  loaded: () => readOrEmpty('/sys/kernel/security/apparmor/profiles'),
  load: profile => loadWith(findProgram('apparmor_parser'), profile),
}

export async function loadWith(parser: string | undefined, profile: string): Promise<void> {
  if (parser === undefined) {
    throw new Mk8sError('kubelet/runtime', 'the default AppArmor profile cannot be loaded', {
      why: 'apparmor_parser is not installed',
      hint: 'install the package apparmor on the node',
    })
  }
  const ran = await runProgram(parser, ['--replace', '--skip-cache'], { accept: 'any', input: profile })
  if (ran.exitCode === 0) return
  const why = ran.stderr.trim() || `exit code ${ran.exitCode}`
  throw new Mk8sError('kubelet/runtime', 'the default AppArmor profile cannot be loaded', { why })
}

/** The name of the profile that a container is to run under, which is loaded then; undefined for none. */
export async function prepareAppArmor(
  { appArmor }: Pick<ContainerSecurity, 'appArmor'>,
  { loaded, load }: AppArmorHost,
): Promise<string | undefined> {
  if (appArmor === undefined || appArmor.type === 'Unconfined') return undefined
  const isLoaded = (wanted: string) =>
    loaded()
      .split('\n')
      .some(line => line.replace(/ \(\w+\)$/, '') === wanted)
  if (appArmor.type === 'Localhost') {
    const { name = '' } = appArmor
    if (isLoaded(name)) return name
    throw new Mk8sError('kubelet/runtime', `apparmor profile not found ${name}`)
  }
  if (!isLoaded(DEFAULT_PROFILE)) await load(renderDefaultProfile())
  return DEFAULT_PROFILE
}

/** Of what lies below `/proc/sys/kernel`, a namespace has: domainname, hostname, msg…, ns_…, sem, shm…. */
const KERNEL_SETTINGS = ['[^dhmns]*', 'd[^o]*', 'h[^o]*', 'm[^s]*', 'n[^s]*', 's[^eh]*', 'se[^m]*']
const SETTINGS = ['abi', 'debug', 'dev', 'fs', 'user', 'vm', 'sunrpc']
const PROC_DIRECTORIES = ['acpi', 'asound', 'bus', 'driver', 'fs', 'irq', 'scsi', 'tty']
const PROC_FILES = [
  'kallsyms',
  'kcore',
  'kmem',
  'kmsg',
  'kpage*',
  'mem',
  'sysrq-trigger',
  'timer_*',
  'sched_debug',
]
const SYS = ['block', 'bus', 'class', 'dev', 'devices', 'hypervisor', 'module', 'power', 'kernel', 'firmware']
const SECRET = ['/sys/firmware', '/sys/kernel/security', '/sys/devices/virtual/powercap']

const anyOf = (names: readonly string[]): string => `{${names.join(',')}}`

/** Pure text, in AppArmor's language. */
export function renderDefaultProfile(): string {
  const peers = ['unconfined', 'runc', 'crun', DEFAULT_PROFILE]
  const rules = [
    'network,',
    'capability,',
    'file,',
    'umount,',
    ...peers.map(peer => `signal (receive) peer=${peer},`),
    `signal (send) peer=${DEFAULT_PROFILE},`,
    `ptrace (trace, read, tracedby, readby) peer=${DEFAULT_PROFILE},`,
    'deny mount,',
    `deny /proc/${anyOf(PROC_FILES)} rwklx,`,
    `deny /proc/${anyOf(PROC_DIRECTORIES)}/** wklx,`,
    `deny /proc/sys/${anyOf(SETTINGS)}/** wklx,`,
    ...KERNEL_SETTINGS.flatMap(names => [
      `deny /proc/sys/kernel/${names} wklx,`,
      `deny /proc/sys/kernel/${names}/** wklx,`,
    ]),
    `deny /sys/${anyOf(SYS)}/** wklx,`,
    'deny /sys/fs/[^c]** wklx,',
    'deny /sys/fs/c[^g]** wklx,',
    ...SECRET.map(path => `deny ${path}/** rwklx,`),
  ]
  const flags = 'flags=(attach_disconnected,mediate_deleted)'
  return [`profile ${DEFAULT_PROFILE} ${flags} {`, ...rules.map(rule => `  ${rule}`), '}', ''].join('\n')
}
