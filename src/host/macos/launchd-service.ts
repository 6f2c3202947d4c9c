/** The daemon as a daemon of launchd, which starts it with the machine and again when it fails. */

import { existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Service, ServiceParts } from '../daemon-service.ts'
import { endDaemon, restartDaemon, STOP_MS_MAX } from '../end-daemon.ts'
import { instanceName, nodePaths } from '../node-files.ts'
import { ownProgram } from '../own-program.ts'
import { readPidFile } from '../processes.ts'
import { runProgram } from '../programs.ts'
import { plistText } from './launchd-plist.ts'

const DIRECTORY = '/Library/LaunchDaemons'

export function launchdService({ dataDir, clock, program = ownProgram() }: ServiceParts): Service {
  const label = `io.mk8s.${instanceName(dataDir)}`
  const path = join(DIRECTORY, `${label}.plist`)
  const target = `system/${label}`
  const { daemonPid, log } = nodePaths(dataDir)
  const launchctl = (args: readonly string[]) =>
    runProgram('launchctl', args, { accept: 'any', timeoutMs: STOP_MS_MAX })
  const isLoaded = async () => (await launchctl(['print', target])).exitCode === 0
  return {
    manager: 'launchd',
    files: [{ path, content: plistText({ label, program, dataDir, log }), mode: 0o644 }],
    async start() {
      await launchctl(['enable', target])
      // What is loaded is what the file said then.
      if (await isLoaded()) await launchctl(['bootout', target])
      await runProgram('launchctl', ['bootstrap', 'system', path])
    },
    isActive: () => readPidFile(daemonPid) !== undefined,
    async restart() {
      if (readPidFile(daemonPid) !== undefined && (await isLoaded())) {
        await restartDaemon(dataDir, clock)
        return
      }
      await runProgram('launchctl', ['kickstart', '-k', target], { timeoutMs: STOP_MS_MAX })
    },
    async stop() {
      // Disabled, it does not come back with the machine.
      await launchctl(['disable', target])
      if (await isLoaded()) await launchctl(['bootout', target])
      await endDaemon(dataDir, clock)
    },
    async remove() {
      if (existsSync(path)) rmSync(path)
      await launchctl(['enable', target])
    },
  }
}
