/**
 * A program and all that it starts, as one thing: signalled, ended and measured together. A job on Windows, a process
 * group elsewhere. For a process that looks after exactly one such program.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { system } from './system.ts'
import { sendConsoleEvent } from './windows/console-events.ts'
import { gatherInJob } from './windows/job.ts'

export interface FamilyUsage {
  readonly cpuNanos: number
  readonly memoryBytes: number
  readonly pageFaults: number
  readonly processes: number
}

export interface MemberOptions {
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  /** Its standard input is a pipe; output and errors always are. */
  readonly hasInput: boolean
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

export type { ChildProcess }

export interface ProcessFamily {
  start(command: readonly string[], options: MemberOptions): ChildProcess
  /** To the program with this id and all of its family. */
  signal(pid: number, signal: NodeJS.Signals): void
  /** Kills all that is left. On Windows, what is not the program itself ends with this process. */
  end(pid: number): void
  usage(pid: number): FamilyUsage
}

/** Before the program is started. */
export const createProcessFamily = (): ProcessFamily =>
  system === 'windows' ? familyInJob() : familyInGroup()

const NANOS_PER_STEP = 100n

function familyInJob(): ProcessFamily {
  const job = gatherInJob()
  const kill = (pid: number) => void attempt(() => process.kill(pid, 'SIGKILL'))
  return {
    start: (command, options) => startMember(command, options, false),
    signal(pid, signal) {
      const event = signal === 'SIGINT' ? 'interrupt' : 'break'
      // What cannot be asked to end would only be waited for in vain.
      if (signal === 'SIGKILL' || !sendConsoleEvent(pid, event)) kill(pid)
    },
    end: kill,
    usage() {
      const { cpu, workingSetBytes, pageFaults, processes } = job.usage()
      return { cpuNanos: Number(cpu * NANOS_PER_STEP), memoryBytes: workingSetBytes, pageFaults, processes }
    },
  }
}

function familyInGroup(): ProcessFamily {
  const signal = (pid: number, name: NodeJS.Signals) => void attempt(() => process.kill(-pid, name))
  return {
    start: (command, options) => startMember(command, options, true),
    signal,
    end: pid => signal(pid, 'SIGKILL'),
    usage: pid => sumOfGroup(listGroups(), pid),
  }
}

function startMember(
  [program = '', ...args]: readonly string[],
  { env, cwd, hasInput, uid, gid }: MemberOptions,
  leadsGroup: boolean,
): ChildProcess {
  return spawn(program, args, {
    ...{ env: { ...env }, cwd, detached: leadsGroup, windowsHide: true },
    stdio: [hasInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
  })
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // It has ended by itself.
  }
}

const ASK_MS = 5_000
const KIB = 1_024
const NANOS_PER_SECOND = 1_000_000_000

function listGroups(): string {
  const args = ['-axo', 'pgid=,rss=,time=']
  const { stdout } = spawnSync('ps', args, {
    encoding: 'utf8',
    timeout: ASK_MS,
    env: { ...process.env, LC_ALL: 'C' },
  })
  return stdout ?? ''
}

/** Of `ps -axo pgid=,rss=,time=`. */
export function sumOfGroup(output: string, group: number): FamilyUsage {
  const members = output
    .split('\n')
    .map(line => line.trim().split(/\s+/))
    .filter(([id]) => Number(id) === group)
  const sum = (of: (fields: string[]) => number) => members.reduce((total, fields) => total + of(fields), 0)
  return {
    cpuNanos: sum(fields => Math.round(secondsIn(fields[2] ?? '') * NANOS_PER_SECOND)),
    memoryBytes: sum(fields => Number(fields[1] ?? 0) * KIB),
    pageFaults: 0,
    processes: members.length,
  }
}

/** `0:01.25`, `1:02:03` or `2-01:02:03`. */
function secondsIn(time: string): number {
  const [clock = '', days = '0'] = time.split('-').reverse()
  return clock.split(':').reduce((total, part) => total * 60 + Number(part), 0) + Number(days) * 86_400
}
