/** Starts `mk8s upgrade` as a process that outlives this daemon, because it is to restart it. */
import { closeSync, openSync } from 'node:fs'
import { nodePaths } from '../../host/node-files.ts'
import { ownProgram } from '../../host/own-program.ts'
import { spawnDetached } from '../../host/programs.ts'

export async function carryOn(dataDir: string, args: readonly string[]): Promise<void> {
  const log = openSync(nodePaths(dataDir).log, 'a', 0o600)
  try {
    await spawnDetached(ownProgram(), ['upgrade', ...args, '--data-dir', dataDir], {
      cwd: '/',
      env: { PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root', LANG: 'C.UTF-8' },
      stdio: ['ignore', log, log],
    })
  } finally {
    closeSync(log)
  }
}
