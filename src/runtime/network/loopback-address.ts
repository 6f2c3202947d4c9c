/** An address of IPv6 on loopback, for what a node's rules lead pods to: there is no 127.0.0.0/8 of that family. */
import type { Component } from '../../base/component.ts'
import { runProgram } from '../../host/programs.ts'

/** Marks ours, so that they are found again. */
const METRIC = 7_710

/** Never chosen as the source of what this machine sends. */
const add = (address: string) => [
  ...['-6', 'addr', 'replace', `${address}/128`, 'dev', 'lo'],
  ...['metric', String(METRIC), 'nodad', 'preferred_lft', '0'],
]

/** Stays while the daemon does not run, as the rules do. */
export function createLoopbackAddress(address: string): Component {
  return {
    name: 'dns-address',
    async prepare() {
      await runProgram('ip', add(address))
    },
    async start() {},
    async stop() {},
    health: () => ({ ok: true, reason: '' }),
  }
}

interface ListedLink {
  readonly addr_info?: readonly { readonly local?: string; readonly metric?: number }[]
}

/** Takes all of ours away. */
export async function removeLoopbackAddresses(): Promise<void> {
  const { stdout } = await runProgram('ip', ['-j', '-6', 'addr', 'show', 'dev', 'lo'], { accept: 'any' })
  const links = JSON.parse(stdout.trim() || '[]') as ListedLink[]
  for (const { local, metric } of links.flatMap(({ addr_info = [] }) => addr_info)) {
    if (metric !== METRIC) continue
    await runProgram('ip', ['-6', 'addr', 'del', `${local}/128`, 'dev', 'lo'], { accept: 'any' })
  }
}
