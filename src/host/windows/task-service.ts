/**
 * The daemon as a scheduled task of Windows. Node is no program of Windows' service manager, which wants a call back on
 * threads of its own; a task needs no such thing, runs as the system and from the start of the machine on. The task
 * runs mk8s' own supervisor, because tasks are started again after a minute at the soonest.
 */

import { existsSync, rmSync } from 'node:fs'
import type { Service, ServiceParts } from '../daemon-service.ts'
import { endSupervised, restartDaemon } from '../end-daemon.ts'
import { makeDirectory, readIfThere, writeFileDurably } from '../files.ts'
import { instanceName, nodePaths } from '../node-files.ts'
import { ownProgram } from '../own-program.ts'
import { readPidFile } from '../processes.ts'
import { runProgram } from '../programs.ts'
import { taskText } from './task.ts'

const PROGRAM = 'schtasks.exe'

export function taskService({ dataDir, clock, program = ownProgram() }: ServiceParts): Service {
  const paths = nodePaths(dataDir)
  const name = instanceName(dataDir)
  const file = { path: paths.taskFile, content: taskText({ program, dataDir }), mode: 0o600 }
  const isThere = async () => (await ask(['/query', '/tn', name])) === 0
  const service: Service = {
    manager: 'task',
    files: [file],
    async start() {
      makeDirectory(paths.run, 0o700)
      if (readIfThere(file.path) !== file.content) writeFileDurably(file.path, file.content, file.mode)
      await runProgram(PROGRAM, ['/create', '/tn', name, '/xml', file.path, '/f'])
      await runProgram(PROGRAM, ['/run', '/tn', name])
    },
    isActive: () => (readPidFile(paths.supervisorPid) ?? readPidFile(paths.daemonPid)) !== undefined,
    async restart() {
      if (readPidFile(paths.supervisorPid) !== undefined && (await restartDaemon(dataDir, clock))) return
      await service.stop()
      await service.start()
    },
    async stop() {
      // It must not come back at the next start of the machine. Nothing is ended through the task: pods are part of it.
      if (await isThere()) await runProgram(PROGRAM, ['/change', '/tn', name, '/disable'])
      await endSupervised(dataDir, clock)
    },
    async remove() {
      if (await isThere()) await runProgram(PROGRAM, ['/delete', '/tn', name, '/f'])
      if (existsSync(file.path)) rmSync(file.path)
    },
  }
  return service
}

const ask = async (args: readonly string[]): Promise<number> =>
  (await runProgram(PROGRAM, args, { accept: 'any' })).exitCode
