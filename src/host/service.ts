/**
 * How the daemon is kept running: as a unit of systemd, a daemon of launchd, a task of Windows; or in the background by
 * a script, and where there is no shell by mk8s itself.
 */

import { closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { parse } from 'node:path'
import { daemonEnvironment } from './daemon-environment.ts'
import type { Service, ServiceParts } from './daemon-service.ts'
import { endDaemon, endSupervised, restartDaemon, STOP_MS_MAX, wake } from './end-daemon.ts'
import { diskFailure, makeDirectory, readIfThere, writeFileDurably } from './files.ts'
import { launchdService } from './macos/launchd-service.ts'
import { instanceName, nodePaths } from './node-files.ts'
import { ownProgram } from './own-program.ts'
import { readPidFile, writePidFile } from './processes.ts'
import { runProgram, spawnDetached } from './programs.ts'
import { decideManager, managerFacts } from './service-manager.ts'
import { supervisorScript } from './supervisor-script.ts'
import { system } from './system.ts'
import { unitText } from './systemd-unit.ts'
import { taskService } from './windows/task-service.ts'

const UNIT_DIRECTORY = '/etc/systemd/system'
const SHELL = '/bin/sh'

export function createService(parts: ServiceParts): Service {
  switch (parts.manager ?? decideManager(managerFacts(system))) {
    case 'systemd':
      return systemdService(parts)
    case 'launchd':
      return launchdService(parts)
    case 'task':
      return taskService(parts)
    case 'background':
      return backgroundService(parts)
  }
}

function systemdService({ dataDir, clock, program = ownProgram() }: ServiceParts): Service {
  const name = `${instanceName(dataDir)}.service`
  const path = `${UNIT_DIRECTORY}/${name}`
  const content = unitText({ program, dataDir })
  return {
    manager: 'systemd',
    files: [{ path, content, mode: 0o644 }],
    async start() {
      await runProgram('systemctl', ['daemon-reload'])
      await runProgram('systemctl', ['reset-failed', name], { accept: 'any' })
      await runProgram('systemctl', ['enable', '--now', name])
    },
    isActive: () => readPidFile(nodePaths(dataDir).daemonPid) !== undefined,
    async restart() {
      wake(nodePaths(dataDir).daemonPid)
      await runProgram('systemctl', ['reset-failed', name], { accept: 'any' })
      await runProgram('systemctl', ['restart', name], { timeoutMs: STOP_MS_MAX })
    },
    async stop() {
      wake(nodePaths(dataDir).daemonPid)
      if (existsSync(path))
        await runProgram('systemctl', ['disable', '--now', name], { timeoutMs: STOP_MS_MAX })
      await endDaemon(dataDir, clock)
    },
    async remove() {
      if (!existsSync(path)) return
      rmSync(path)
      await runProgram('systemctl', ['daemon-reload'])
    },
  }
}

function backgroundService({
  dataDir,
  clock,
  hasShell = system !== 'windows' && existsSync(SHELL),
  program = ownProgram(),
}: ServiceParts): Service {
  const paths = nodePaths(dataDir)
  const script = { path: paths.supervisorScript, content: supervisorScript, mode: 0o700 }
  const service: Service = {
    manager: 'background',
    files: hasShell ? [script] : [],
    async start() {
      if (readPidFile(paths.supervisorPid) !== undefined) return
      makeDirectory(paths.run, 0o700)
      if (hasShell && readIfThere(script.path) !== script.content) {
        writeFileDurably(script.path, script.content, script.mode)
      }
      const log = openLog(paths.log)
      try {
        const [name, ...args] = hasShell
          ? [SHELL, script.path, dataDir, program, 'daemon', '--data-dir', dataDir]
          : [program, 'daemon', '--supervise', '--data-dir', dataDir]
        const supervisor = await spawnDetached(name, args, {
          cwd: parse(dataDir).root,
          env: daemonEnvironment(system, process.env),
          stdio: ['ignore', log, log],
        })
        writePidFile(paths.supervisorPid, supervisor.pid)
      } finally {
        closeSync(log)
      }
    },
    isActive: () => (readPidFile(paths.supervisorPid) ?? readPidFile(paths.daemonPid)) !== undefined,
    async restart() {
      // The supervisor starts it again, also when whoever asks for this is gone by then.
      if (readPidFile(paths.supervisorPid) !== undefined && (await restartDaemon(dataDir, clock))) return
      await service.stop()
      await service.start()
    },
    async stop() {
      await endSupervised(dataDir, clock)
    },
    async remove() {},
  }
  return service
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw diskFailure(path, error)
  }
}
