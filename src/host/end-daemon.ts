/** Asks a node's daemon to end or to start again, and makes it when it does not listen. */
import { rmSync } from 'node:fs'
import type { Clock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { nodePaths } from './node-files.ts'
import { type ProcessIdentity, readPidFile, signalProcess, waitUntilGone } from './processes.ts'
import { system } from './system.ts'
import { tellDaemon } from './windows/daemon-pipe.ts'

/** A daemon that gets it stops in order and asks its supervisor to start it again. */
export const RESTART_SIGNAL = 'SIGUSR2'
const TERM_MS = 20_000
const KILL_MS = 5_000
/** The longest that an end takes. */
export const STOP_MS_MAX = TERM_MS + KILL_MS

/** False when it neither starts again nor can be ended. */
export async function restartDaemon(dataDir: string, clock: Clock): Promise<boolean> {
  const { daemonPid, daemonPipe } = nodePaths(dataDir)
  const daemon = readPidFile(daemonPid)
  if (daemon === undefined) return false
  if (system === 'windows') await tellDaemon(daemonPipe, 'restart')
  else {
    wake(daemonPid)
    signalProcess(daemon, RESTART_SIGNAL)
  }
  if (await waitUntilGone(daemon, { clock, timeoutMs: TERM_MS })) return true
  signalProcess(daemon, 'SIGKILL')
  return waitUntilGone(daemon, { clock, timeoutMs: KILL_MS })
}

/** Ends the supervisor before it could start the daemon again, and then the daemon. */
export async function endSupervised(dataDir: string, clock: Clock): Promise<void> {
  const { supervisorPid, daemonPid } = nodePaths(dataDir)
  wake(daemonPid)
  // There the supervisor ends with a daemon that was told to stop, and a daemon with its supervisor.
  if (system === 'windows') await endDaemon(dataDir, clock)
  await endByPidFile(supervisorPid, clock)
  await endByPidFile(daemonPid, clock)
}

export async function endDaemon(dataDir: string, clock: Clock): Promise<void> {
  const { daemonPid, daemonPipe } = nodePaths(dataDir)
  const daemon = readPidFile(daemonPid)
  if (system === 'windows' && daemon !== undefined && (await tellDaemon(daemonPipe, 'stop')))
    await waitUntilGone(daemon, { clock, timeoutMs: TERM_MS })
  await endByPidFile(daemonPid, clock)
}

/** A process that was suspended hears nothing until it goes on. */
export function wake(path: string): void {
  const identity = readPidFile(path)
  if (identity !== undefined) goOn(identity)
}

function goOn(identity: ProcessIdentity): void {
  if (system !== 'windows') signalProcess(identity, 'SIGCONT')
}

/** Asks the process to end, then makes it. */
async function endByPidFile(path: string, clock: Clock): Promise<void> {
  const identity = readPidFile(path)
  if (identity !== undefined) {
    signalProcess(identity, 'SIGTERM')
    goOn(identity)
    if (!(await waitUntilGone(identity, { clock, timeoutMs: TERM_MS }))) signalProcess(identity, 'SIGKILL')
    if (!(await waitUntilGone(identity, { clock, timeoutMs: KILL_MS }))) {
      throw new Mk8sError('timeout', `process ${identity.pid} does not end`, { hint: lookAt(identity.pid) })
    }
  }
  rmSync(path, { force: true })
}

function lookAt(pid: number): string {
  if (system === 'windows') return `look at it with: tasklist /v /fi "PID eq ${pid}"`
  return `look at it with: ps -o pid,stat,wchan,args -p ${pid}`
}
