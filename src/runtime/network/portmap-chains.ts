/** What the CNI plugin `portmap` leaves behind in the nat tables: chains of its own that no pod uses any more. */
import { findProgram } from '../../host/container-programs.ts'
import { runProgram } from '../../host/programs.ts'

const BASE_CHAINS = ['CNI-HOSTPORT-DNAT', 'CNI-HOSTPORT-SETMARK', 'CNI-HOSTPORT-MASQ']

/** For `iptables-restore --noflush`, of what `iptables-save -t nat` says; empty where somebody still uses them (pure). */
export function planChainRemoval(saved: string): string {
  const lines = saved.split('\n')
  const isThere = (chain: string) => lines.some(line => line.startsWith(`:${chain} `))
  const present = BASE_CHAINS.filter(isThere)
  // A pod's ports are rules in the first one; it may be a pod of somebody else.
  const isUsed = lines.some(line => line.startsWith(`-A ${BASE_CHAINS[0]} `))
  if (present.length === 0 || isUsed) return ''
  const leading = lines.filter(
    line => line.startsWith('-A ') && present.some(chain => line.endsWith(`-j ${chain}`)),
  )
  return [
    '*nat',
    ...leading.map(line => line.replace(/^-A /, '-D ')),
    ...present.map(chain => `-F ${chain}`),
    ...present.map(chain => `-X ${chain}`),
    'COMMIT\n',
  ].join('\n')
}

/** Of both families. Does nothing where there are none. */
export async function removePortmapChains(): Promise<void> {
  for (const family of ['iptables', 'ip6tables']) {
    if (findProgram(family) === undefined) continue
    const { stdout } = await runProgram(`${family}-save`, ['-t', 'nat'], { accept: 'any' })
    const input = planChainRemoval(stdout)
    if (input !== '') await runProgram(`${family}-restore`, ['--noflush'], { input, accept: 'any' })
  }
}
