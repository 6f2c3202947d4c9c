/**
 * Processes that are not our children, told apart by more than their number: a process id is used again, the
 * pair of id and start time within one boot is not.
 */
import { readFileSync, rmSync } from 'node:fs'
import { type Clock, sleepAlive } from '../base/clock.ts'
import { systemCodeOf } from '../base/errors.ts'
import { readIfThere, readOrEmpty, writeFileDurably } from './files.ts'
import { bootSession, startOf } from './macos/ps.ts'
import { system } from './system.ts'
import { processTimes } from './windows/process-times.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** On Linux the clock ticks between the boot and the start of the process. */
  readonly startTime: string
  readonly bootId: string
}

const GONE_POLL_MS = 10
/** Of Windows' kernel. */
const SYSTEM_PROCESS = 4

/** Undefined when no such process runs (a zombie does not run). */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  const startTime = startTimeOf(pid)
  const bootId = currentBootId()
  return startTime === undefined || bootId === '' ? undefined : { pid, startTime, bootId }
}

function startTimeOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  if (system === 'windows') return processTimes(pid)?.begun.toString()
  return system === 'macos' ? startOf(pid) : startTicksOf(pid)
}

let bootId: string | undefined

/** Changes with every boot; empty where the system does not say. */
export function currentBootId(): string {
  bootId ??= readBootId()
  return bootId
}

function readBootId(): string {
  // The kernel's own process is as old as the boot. Who may not look is served: the times that processes began at are
  // told since 1601, and not since the boot.
  if (system === 'windows') return processTimes(SYSTEM_PROCESS)?.begun.toString() ?? 'any'
  return system === 'macos' ? bootSession() : readOrEmpty('/proc/sys/kernel/random/boot_id').trim()
}

function startTicksOf(pid: number): string | undefined {
  const fields = statOf(pid)
  return fields?.[0] === 'Z' || fields?.[0] === 'X' ? undefined : fields?.[19]
}

/** Fields of /proc/<pid>/stat from the third (state) on; the second, a name in parentheses, may hold anything. */
export function statOf(pid: number): string[] | undefined {
  const stat = readIfThere(`/proc/${pid}/stat`)
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
}

export function isRunning(identity: ProcessIdentity): boolean {
  const now = identifyProcess(identity.pid)
  return now !== undefined && now.startTime === identity.startTime && now.bootId === identity.bootId
}

/** The file begins with the number, as every pid file does. */
export function writePidFile(path: string, pid: number): void {
  const identity = identifyProcess(pid)
  if (identity === undefined) return
  writeFileDurably(path, `${identity.pid} ${identity.startTime} ${identity.bootId}\n`, 0o600)
}

/** The process that wrote the file, while it still runs. */
export function readPidFile(path: string): ProcessIdentity | undefined {
  try {
    const [pid, startTime = '', bootId = ''] = readFileSync(path, 'utf8').trim().split(' ')
    const identity = { pid: Number(pid), startTime, bootId }
    return isRunning(identity) ? identity : undefined
  } catch {
    return undefined
  }
}

export const removePidFile = (path: string): void => rmSync(path, { force: true })

/** Sends the signal to exactly this process; false when it has gone. Windows knows only how to end one at once. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isRunning(identity)) return false
  try {
    return process.kill(identity.pid, signal)
  } catch (error) {
    if (systemCodeOf(error) === 'ESRCH') return false
    throw error
  }
}

/** True once the process has gone, false when it still runs after `timeoutMs`. */
export async function waitUntilGone(
  identity: ProcessIdentity,
  { clock, timeoutMs }: { clock: Clock; timeoutMs: number },
): Promise<boolean> {
  const deadline = clock.monotonic() + timeoutMs
  while (isRunning(identity)) {
    if (clock.monotonic() >= deadline) return false
    await sleepAlive(clock, GONE_POLL_MS)
  }
  return true
}
