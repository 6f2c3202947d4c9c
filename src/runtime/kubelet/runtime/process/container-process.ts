/** One running container of the process runtime: its keeper, its log pump, and the news that it ended. */
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs'
import { basename, join } from 'node:path'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { ContainerLogWriter } from '../container-log.ts'
import {
  isSameProcess,
  killMarked,
  killSession,
  killSessionOf,
  type ProcessIdentity,
  signalGroup,
} from './host-processes.ts'
import { LogPump } from './log-pump.ts'
import type { OutputTap } from './output-tap.ts'

/** How long pipes held by stray processes are waited for after the end. */
const DRAIN_MS = 1_000
/** How often a killed keeper that is not our child is looked at. */
const KILLED_CHECK_MS = 20

export interface ExitFacts {
  readonly exitCode: number
  readonly finishedAt: number
}

export interface ContainerProcessParts {
  readonly directory: string
  readonly logPath: string
  readonly clock: Clock
}

export class ContainerProcess {
  readonly #parts: ContainerProcessParts
  readonly #pump: LogPump
  readonly #finish = Promise.withResolvers<ExitFacts>()
  readonly #running = Promise.withResolvers<void>()
  #watcher: FSWatcher | null = null
  #keeper: ProcessIdentity | null = null
  #hasEnded = false

  constructor(parts: ContainerProcessParts) {
    this.#parts = parts
    this.#pump = new LogPump(parts.directory, new ContainerLogWriter(parts.logPath, parts.clock))
  }

  /** Resolves once it has ended and its log is complete. */
  get exited(): Promise<ExitFacts> {
    return this.#finish.promise
  }

  /** Resolves once the program itself (not its keeper) runs, or everything has ended. */
  get running(): Promise<void> {
    return this.#running.promise
  }

  /** Before the keeper is started, or when a running one is found again. */
  async open(): Promise<void> {
    await this.#pump.open()
    this.#watcher = watch(this.#parts.directory, { persistent: false }, () => this.#look())
    this.#watcher.on('error', () => {})
  }

  /** Of one that ended while no daemon was there: its facts, and its last words into the log. */
  async readEnd(keeper: ProcessIdentity): Promise<ExitFacts> {
    this.#hasEnded = true
    // A keeper that was killed leaves no exit code, and perhaps children.
    killSessionOf(keeper)
    killMarked(basename(this.#parts.directory))
    await this.#pump.saveRest()
    return this.#facts()
  }

  /** `ended` is there for our own child only. */
  attach(keeper: ProcessIdentity, ended?: Promise<unknown>): void {
    this.#keeper = keeper
    ended?.then(() => void this.#end())
    this.#pump.drained.then(() => this.#look())
    this.#look()
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#keeper === null) return
    signalGroup(this.#keeper.pid, signal)
    const leader = this.#terminalLeader()
    if (leader > 1) signalGroup(leader, signal)
  }

  /** What the container writes from now on goes to the tap as well. */
  tap(tap: OutputTap): void {
    this.#pump.tap(tap)
  }

  reopenLog(): Promise<void> {
    return this.#pump.reopen()
  }

  async kill(): Promise<void> {
    const keeper = this.#keeper
    if (keeper === null || this.#hasEnded) return
    this.#killAll(keeper)
    while (!this.#hasEnded && isSameProcess(keeper)) await sleep(this.#parts.clock, KILLED_CHECK_MS)
    void this.#end()
  }

  /** Lets go for good: whoever finds the container next learns of its end. */
  async detach(): Promise<void> {
    this.#hasEnded = true
    this.#watcher?.close()
    await this.#pump.detach()
  }

  #look(): void {
    if (this.#hasEnded) return
    // The file is there, and empty, a moment before the process id is in it.
    const noted = statSync(join(this.#parts.directory, 'pid'), { throwIfNoEntry: false })
    if (noted !== undefined && noted.size > 0) this.#running.resolve()
    const keeper = this.#keeper
    if (keeper === null) return
    if (readExitFile(this.#parts.directory) !== null || !isSameProcess(keeper)) void this.#end()
  }

  async #end(): Promise<void> {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#watcher?.close()
    if (this.#keeper !== null) this.#killAll(this.#keeper)
    await Promise.race([this.#pump.drained, sleep(this.#parts.clock, DRAIN_MS)])
    await this.#pump.finish()
    this.#running.resolve()
    this.#finish.resolve(this.#facts())
  }

  #killAll(keeper: ProcessIdentity): void {
    const leader = this.#terminalLeader()
    if (leader > 1) killSession(leader)
    killSession(keeper.pid)
    killMarked(basename(this.#parts.directory))
  }

  /** A program in a terminal leads a session of its own; 0 where there is no terminal. */
  #terminalLeader(): number {
    try {
      return Number.parseInt(readFileSync(join(this.#parts.directory, 'terminal'), 'utf8'), 10) || 0
    } catch {
      return 0
    }
  }

  #facts(): ExitFacts {
    const killed = { exitCode: 137, finishedAt: this.#parts.clock.now() }
    return readExitFile(this.#parts.directory) ?? killed
  }
}

/** Null until the keeper has noted a whole line. */
export function readExitFile(directory: string): ExitFacts | null {
  const path = join(directory, 'exit')
  try {
    const text = readFileSync(path, 'utf8')
    if (!text.endsWith('\n')) return null
    return { exitCode: Number(text), finishedAt: Math.round(statSync(path).mtimeMs) }
  } catch {
    return null
  }
}
