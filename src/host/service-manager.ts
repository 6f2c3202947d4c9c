/** Who keeps the daemon running on a machine, what they read (files of theirs), and the words for it. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { System } from './system.ts'

export type Manager = 'systemd' | 'launchd' | 'task' | 'background'

const ASK_MS = 10_000

/** What is there of it. */
export interface ManagerFacts {
  readonly system: System
  readonly hasSystemd: boolean
  readonly hasTaskScheduler: boolean
}

export function decideManager({ system, hasSystemd, hasTaskScheduler }: ManagerFacts): Manager {
  if (system === 'macos') return 'launchd'
  if (system === 'windows') return hasTaskScheduler ? 'task' : 'background'
  return hasSystemd ? 'systemd' : 'background'
}

/** Of this machine. */
export const managerFacts = (system: System): ManagerFacts => ({
  system,
  hasSystemd: existsSync('/run/systemd/system'),
  hasTaskScheduler: system === 'windows' && isServiceRunning('Schedule'),
})

function isServiceRunning(name: string): boolean {
  const { stdout } = spawnSync('sc.exe', ['query', name], {
    encoding: 'utf8',
    timeout: ASK_MS,
    windowsHide: true,
  })
  return saysRunning(stdout ?? '')
}

/** Of `sc query NAME`; the words are in the language of the machine, the number is not. */
export const saysRunning = (output: string): boolean => /^\s*\S+\s*:\s*4\s+\S/m.test(output)

export const MANAGER_WORDS: Readonly<Record<Manager, { readonly start: string; readonly file: string }>> = {
  systemd: { start: 'start the daemon as a unit of systemd', file: 'the unit' },
  launchd: { start: 'start the daemon as a daemon of launchd', file: 'the property list' },
  task: { start: 'start the daemon as a scheduled task, at each start of Windows too', file: 'the task' },
  background: {
    start: 'start the daemon in the background',
    file: 'the script that keeps the daemon running',
  },
}
