/** A pod's namespaces, held by files rather than by a process, and its shared memory. */
import { chmod, chown, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readOrEmpty } from '../../../../host/files.ts'
import { type KernelCalls, kernelCalls, writeSysctl } from '../../../../host/kernel-calls.ts'
import { runProgram } from '../../../../host/programs.ts'
import { quote } from '../process/launch-script.ts'
import type { DnsConfig, IdRange, SandboxConfig } from '../runtime.ts'
import { sandboxFiles } from './oci-paths.ts'

const SHM_FLAGS = ['nosuid', 'noexec', 'nodev'] as const
const SHM_OPTIONS = 'mode=1777,size=64m'
/** The two programs of a new user namespace wait for each other no longer. */
const MEETING_SECONDS = 60

export type OwnNamespace = 'user' | 'net' | 'ipc' | 'uts'

/** As the OCI specification calls them. */
export const NAMESPACE_TYPES: Readonly<Record<OwnNamespace, string>> = {
  user: 'user',
  net: 'network',
  ipc: 'ipc',
  uts: 'uts',
}

/** Which namespaces of its own a pod has. */
export function ownNamespaces(config: SandboxConfig): readonly OwnNamespace[] {
  const hostIpc = config.isolation?.sharing.hostIpc === true
  return [
    // The others belong to it, so that root of the pod may do in them what root does.
    ...(config.isolation?.userRange === undefined ? [] : (['user'] as const)),
    ...(config.hostNetwork ? [] : (['net'] as const)),
    ...(hostIpc ? [] : (['ipc'] as const)),
    // The host's network brings the host's name.
    ...(config.hostNetwork ? [] : (['uts'] as const)),
  ]
}

export async function makeNamespaces(directory: string, config: SandboxConfig): Promise<void> {
  const files = sandboxFiles(directory)
  const own = ownNamespaces(config)
  for (const name of own) await writeFile(files[name], '', { mode: 0o600 })
  await mkdir(files.shm, { recursive: true })
  const name = own.includes('uts') ? config.hostname : readOrEmpty('/proc/sys/kernel/hostname').trim()
  await writeFile(files.hostname, `${name}\n`)
  await writeFile(files.resolver, renderResolver(config.isolation?.dns))
  const owner = config.isolation?.userRange?.first ?? 0
  for (const file of [files.hostname, files.resolver]) {
    await chmod(file, 0o644)
    if (owner > 0) await chown(file, owner, owner)
  }
  const kernel = kernelCalls()
  if (kernel !== null && !own.includes('user')) return enterNamespaces(kernel, directory, config)
  const script = renderNamespaceScript(directory, config)
  if (script !== '') await runProgram('sh', ['-c', script])
  await rm(meetingsOf(directory), { recursive: true, force: true })
}

/** What the script does, without a program. A user namespace is nothing that a process of many threads could make. */
function enterNamespaces(kernel: KernelCalls, directory: string, config: SandboxConfig): void {
  const { shm, net, ipc, uts } = sandboxFiles(directory)
  const own = ownNamespaces(config)
  const files = {
    ...(own.includes('net') && { net }),
    ...(own.includes('ipc') && { ipc }),
    ...(own.includes('uts') && { uts }),
  }
  if (own.includes('ipc')) {
    kernel.mount({ source: 'shm', target: shm, type: 'tmpfs', flags: SHM_FLAGS, data: SHM_OPTIONS })
  }
  if (own.length === 0) return
  kernel.makeNamespaces(files, () => {
    if (own.includes('uts')) writeSysctl('kernel.hostname', config.hostname)
    for (const [name, value] of Object.entries(config.isolation?.sysctls ?? {})) writeSysctl(name, value)
    if (own.includes('net')) kernel.raiseLoopback()
  })
}

/** Pure text. */
export function renderNamespaceScript(directory: string, config: SandboxConfig): string {
  const files = sandboxFiles(directory)
  const own = ownNamespaces(config)
  const sysctls = Object.entries(config.isolation?.sysctls ?? {}).map(
    ([name, value]) => `echo ${quote(value)} >${quote(`/proc/sys/${name.replaceAll('.', '/')}`)}`,
  )
  const inside = [
    ...(own.includes('uts') ? [`echo ${quote(config.hostname)} >/proc/sys/kernel/hostname`] : []),
    ...sysctls,
    ...(own.includes('net') ? ['exec ip link set lo up'] : []),
  ]
  if (own.length === 0) return ''
  const range = config.isolation?.userRange
  const owner = range === undefined ? '' : `,uid=${range.first},gid=${range.first}`
  const memory = `mount -t tmpfs -o ${[...SHM_FLAGS, SHM_OPTIONS].join(',')}${owner} shm ${quote(files.shm)}`
  return [
    'set -e',
    ...(own.includes('ipc') ? [memory] : []),
    ...(range === undefined ? [] : makeUserNamespace(directory, own, range)),
    `exec ${range === undefined ? 'unshare' : 'nsenter'} ${spacesOf(own, files)} sh -ec ${quote(inside.join('\n'))}`,
  ].join('\n')
}

const meetingsOf = (directory: string): string => join(directory, 'meetings')

/** Whoever is in a user namespace cannot say whom its users are, nor keep it: another does that while it waits. */
function makeUserNamespace(directory: string, own: readonly OwnNamespace[], range: IdRange): string[] {
  const files = sandboxFiles(directory)
  const meetings = meetingsOf(directory)
  const [there, kept] = [quote(join(meetings, 'there')), quote(join(meetings, 'kept'))]
  const first = 'echo $$ >&3; read _ <&4'
  const made = own.map(name => `--${name}`).join(' ')
  return [
    `rm -rf ${quote(meetings)}; mkdir -m 700 ${quote(meetings)}; mkfifo ${there} ${kept}`,
    `exec 3<>${there} 4<>${kept}`,
    `{ timeout ${MEETING_SECONDS} unshare ${made} sh -c ${quote(first)} || echo 0 >&3; } &`,
    'read pid <&3',
    '[ "$pid" != 0 ] || exit 1',
    ...['uid', 'gid'].map(kind => `echo 0 ${range.first} ${range.count} >/proc/$pid/${kind}_map`),
    ...own.map(name => `mount --bind /proc/$pid/ns/${name} ${quote(files[name])}`),
    'echo >&4',
    'wait',
  ]
}

/** The machine's root goes into all but the user namespace: what is to be set up belongs to the machine's root. */
const spacesOf = (own: readonly OwnNamespace[], files: ReturnType<typeof sandboxFiles>): string =>
  own
    .filter(name => name !== 'user')
    .map(name => `--${name}=${quote(files[name])}`)
    .join(' ')

/** The host's own where the pod has none. */
function renderResolver(dns: DnsConfig | undefined): string {
  if (dns === undefined) return readOrEmpty('/etc/resolv.conf')
  const lines = [
    ...(dns.searches.length === 0 ? [] : [`search ${dns.searches.join(' ')}`]),
    ...dns.servers.map(server => `nameserver ${server}`),
    ...(dns.options.length === 0 ? [] : [`options ${dns.options.join(' ')}`]),
  ]
  return lines.map(line => `${line}\n`).join('')
}
