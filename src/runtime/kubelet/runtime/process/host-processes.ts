/** Processes of the host as /proc shows them: is this still the same one, who is in its session, end it. */
import { readdirSync, readFileSync } from 'node:fs'
import { systemCodeOf } from '../../../../base/errors.ts'
import { markedWith } from '../../../../host/macos/ps.ts'
import { currentBootId, statOf } from '../../../../host/processes.ts'
import { system } from '../../../../host/system.ts'

export interface ProcessIdentity {
  readonly pid: number
  /** Boot id and start time, so that a reused process id is not taken for the same process. */
  readonly startedTicks: string
}

/** The identity of a running process; `startedTicks` is empty where there is no /proc. */
export function identifyProcess(pid: number): ProcessIdentity {
  return { pid, startedTicks: startTicksOf(pid) ?? '' }
}

export function isSameProcess(identity: ProcessIdentity): boolean {
  if (identity.startedTicks === '') return isAlive(identity.pid)
  return startTicksOf(identity.pid) === identity.startedTicks
}

function startTicksOf(pid: number): string | null {
  const fields = statOf(pid)
  if (fields === undefined || fields[0] === 'Z') return null
  return `${currentBootId()}:${fields[19] ?? ''}`
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return systemCodeOf(error) === 'EPERM'
  }
}

/** Sends a signal to a process group; false when there is none left. */
export function signalGroup(group: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(-group, signal)
    return true
  } catch {
    return false
  }
}

/**
 * Kills what is left of a session whose leader we knew, though the leader may have gone: its number is not given
 * away while anybody is in the session. A leader that is somebody else, or of another boot, is left alone.
 */
export function killSessionOf(leader: ProcessIdentity): void {
  const sameBoot = leader.startedTicks.startsWith(`${currentBootId()}:`)
  if (isSameProcess(leader) || (sameBoot && statOf(leader.pid) === undefined)) killSession(leader.pid)
}

/** Kills every process of a session, also those that left the process group. */
export function killSession(session: number): void {
  signalGroup(session, 'SIGKILL')
  for (const name of listProc()) {
    const pid = Number(name)
    if (Number.isInteger(pid) && statOf(pid)?.[3] === String(session)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // It ended by itself in between.
      }
    }
  }
}

/** In the environment of all that a container starts, so that what leaves the session is found too. */
export const CONTAINER_MARK = 'MK8S_CONTAINER_ID'
const MARKED_ROUNDS_MAX = 5
const isMacos = system === 'macos'

/** Kills what carries the container's mark; again while new ones appear, for they may fork meanwhile. */
export function killMarked(containerId: string): void {
  // There a job holds them together, and nobody leaves it.
  if (system === 'windows') return
  const mark = `\0${CONTAINER_MARK}=${containerId}\0`
  for (let round = 0; round < MARKED_ROUNDS_MAX; round++) {
    const marked = isMacos
      ? markedWith(`${CONTAINER_MARK}=${containerId}`)
      : listProc().filter(name => `\0${environOf(name)}`.includes(mark))
    for (const name of marked) {
      try {
        process.kill(Number(name), 'SIGKILL')
      } catch {
        // It ended by itself in between.
      }
    }
    if (marked.length === 0) return
  }
}

/** Empty for what has ended (a zombie too) and for what is not a process. */
function environOf(name: string): string {
  try {
    return /^[0-9]+$/.test(name) ? readFileSync(`/proc/${name}/environ`, 'latin1') : ''
  } catch {
    return ''
  }
}

function listProc(): string[] {
  try {
    return readdirSync('/proc')
  } catch {
    return []
  }
}
