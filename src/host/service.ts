/**
 * How the daemon is kept running: as a unit of systemd, or in the background by a script, and where there is no shell
 * by mk8s itself.
 */
import { closeSync, existsSync, openSync, rmSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { diskFailure, makeDirectory, readIfThere, writeFileDurably } from './files.ts'
import { instanceName, nodePaths } from './node-files.ts'
import { ownProgram } from './own-program.ts'
import { readPidFile, signalProcess, waitUntilGone, writePidFile } from './processes.ts'
import { runProgram, spawnDetached } from './programs.ts'
import { supervisorScript } from './supervisor-script.ts'
import { unitText } from './systemd-unit.ts'

export interface Service {
  readonly manager: 'systemd' | 'background'
  /** Files that must be there with this content before the daemon is started. */
  readonly files: readonly { readonly path: string; readonly content: string; readonly mode: number }[]
  /** Starts the daemon and keeps it running, over reboots where systemd does it. */
  start(): Promise<void>
  /** Whether somebody keeps the daemon running. */
  isActive(): boolean
  /** Starts the daemon anew, from whatever lies under its program's path now; the pods go on running. */
  restart(): Promise<void>
  /** Ends the daemon, which may have ended already, and keeps it from coming back. */
  stop(): Promise<void>
  /** Removes what lies outside the data directory. */
  remove(): Promise<void>
}

export interface ServiceParts {
  readonly dataDir: string
  readonly clock: Clock
  readonly hasSystemd: boolean
  /** Whether /bin/sh can supervise; whether it is there unless given. */
  readonly hasShell?: boolean
  /** What is run as `PROGRAM daemon --data-dir DIR`; this program itself unless given. */
  readonly program?: string
}

const UNIT_DIRECTORY = '/etc/systemd/system'
/** A daemon that gets it stops in order and asks its supervisor to start it again. */
export const RESTART_SIGNAL = 'SIGUSR2'
const SHELL = '/bin/sh'
const TERM_MS = 20_000
const KILL_MS = 5_000

export function createService(parts: ServiceParts): Service {
  return parts.hasSystemd ? systemdService(parts) : backgroundService(parts)
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
      await runProgram('systemctl', ['restart', name], { timeoutMs: TERM_MS + KILL_MS })
    },
    async stop() {
      wake(nodePaths(dataDir).daemonPid)
      if (existsSync(path))
        await runProgram('systemctl', ['disable', '--now', name], { timeoutMs: TERM_MS + KILL_MS })
      await endByPidFile(nodePaths(dataDir).daemonPid, clock)
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
  hasShell = existsSync(SHELL),
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
          cwd: '/',
          env: daemonEnvironment(),
          stdio: ['ignore', log, log],
        })
        writePidFile(paths.supervisorPid, supervisor.pid)
      } finally {
        closeSync(log)
      }
    },
    isActive: () => (readPidFile(paths.supervisorPid) ?? readPidFile(paths.daemonPid)) !== undefined,
    async restart() {
      const daemon = readPidFile(paths.daemonPid)
      if (daemon !== undefined && readPidFile(paths.supervisorPid) !== undefined) {
        // The supervisor starts it again, also when whoever asks for this is gone by then.
        wake(paths.daemonPid)
        signalProcess(daemon, RESTART_SIGNAL)
        if (await waitUntilGone(daemon, { clock, timeoutMs: TERM_MS })) return
        signalProcess(daemon, 'SIGKILL')
        if (await waitUntilGone(daemon, { clock, timeoutMs: KILL_MS })) return
      }
      await service.stop()
      await service.start()
    },
    async stop() {
      wake(paths.daemonPid)
      await endByPidFile(paths.supervisorPid, clock)
      await endByPidFile(paths.daemonPid, clock)
    },
    async remove() {},
  }
  return service
}

/** The daemon sees nothing of the shell that happened to start it. */
function daemonEnvironment(): Record<string, string> {
  const path = process.env['PATH'] ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
  const zone = process.env['TZ']
  return { PATH: path, HOME: '/root', LANG: 'C.UTF-8', ...(zone !== undefined && { TZ: zone }) }
}

function openLog(path: string): number {
  try {
    return openSync(path, 'a', 0o600)
  } catch (error) {
    throw diskFailure(path, error)
  }
}

/** A process that was suspended hears nothing until it goes on. */
function wake(path: string): void {
  const identity = readPidFile(path)
  if (identity !== undefined) signalProcess(identity, 'SIGCONT')
}

/** Asks the process to end, then makes it. */
async function endByPidFile(path: string, clock: Clock): Promise<void> {
  const identity = readPidFile(path)
  if (identity !== undefined) {
    signalProcess(identity, 'SIGTERM')
    signalProcess(identity, 'SIGCONT')
    if (!(await waitUntilGone(identity, { clock, timeoutMs: TERM_MS }))) signalProcess(identity, 'SIGKILL')
    if (!(await waitUntilGone(identity, { clock, timeoutMs: KILL_MS }))) {
      throw new Mk8sError('timeout', `process ${identity.pid} does not end`, {
        hint: `look at it with: ps -o pid,stat,wchan,args -p ${identity.pid}`,
      })
    }
  }
  rmSync(path, { force: true })
}
