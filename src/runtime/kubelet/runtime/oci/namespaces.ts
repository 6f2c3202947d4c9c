/** A pod's namespaces, held by files rather than by a process, and its shared memory. */
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { readOrEmpty } from '../../../../host/files.ts'
import { runProgram } from '../../../../host/programs.ts'
import { quote } from '../process/launch-script.ts'
import type { DnsConfig, SandboxConfig } from '../runtime.ts'
import { sandboxFiles } from './oci-paths.ts'

const SHM_OPTIONS = 'nosuid,noexec,nodev,mode=1777,size=64m'

/** Which namespaces of its own a pod has. */
export function ownNamespaces(config: SandboxConfig): readonly ('net' | 'ipc' | 'uts')[] {
  const hostIpc = config.isolation?.sharing.hostIpc === true
  return [
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
  for (const file of [files.hostname, files.resolver]) await chmod(file, 0o644)
  const script = renderNamespaceScript(directory, config)
  if (script !== '') await runProgram('sh', ['-c', script])
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
  const spaces = own.map(name => `--${name}=${quote(files[name])}`)
  return [
    'set -e',
    ...(own.includes('ipc') ? [`mount -t tmpfs -o ${SHM_OPTIONS} shm ${quote(files.shm)}`] : []),
    `exec unshare ${spaces.join(' ')} sh -ec ${quote(inside.join('\n'))}`,
  ].join('\n')
}

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
