/** A program inside a container whose input, output and terminal belong to a client: what `kubectl exec` needs. */
import { closeSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { constants } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '../../../../base/clock.ts'
import { spawnDetached } from '../../../../host/programs.ts'
import type { ContainerStreams, StreamOptions, TerminalSize } from '../streams.ts'
import type { Entry } from './enter.ts'
import { hostProgram } from './enter.ts'
import { type Fifo, makeFifos, openInput, openOutput } from './fifos.ts'
import { killSession, signalGroup } from './host-processes.ts'
import { renderTerminalScript } from './launch-script.ts'
import { Terminal } from './terminal.ts'

/** A program that ignores that its client has gone is killed after this time. */
const HANG_UP_MS = 1_000
const REPORT_BYTES_MAX = 1_024
/** What a terminal is when nobody says. */
const TERM = 'xterm'
const SIGNAL_BASE = 128

export interface ExecParts {
  readonly entry: Entry
  readonly options: StreamOptions
  /** Does not exist yet, and is gone again when this resolves. */
  readonly directory: string
  readonly clock: Clock
}

export interface RunningExec extends ContainerStreams {
  /** At once and without mercy. */
  kill(): void
}

export async function startExec(parts: ExecParts): Promise<RunningExec> {
  const { directory, options } = parts
  await mkdir(directory, { mode: 0o700 })
  const path = (name: string) => join(directory, name)
  const opened: Fifo[] = []
  const open = (make: (path: string) => Fifo, name: string): Fifo => {
    const fifo = make(path(name))
    opened.push(fifo)
    fifo.socket.on('error', () => {})
    return fifo
  }
  try {
    await makeFifos(['stdin', 'stdout', 'stderr', 'report'].map(path))
    const stdin = options.stdin || options.tty ? open(openInput, 'stdin') : null
    const [stdout, stderr, report] = [
      open(openOutput, 'stdout'),
      open(openOutput, 'stderr'),
      open(openOutput, 'report'),
    ]
    const process = await spawnExec(parts, [stdin?.fd ?? 'ignore', stdout.fd, stderr.fd, report.fd])
    return new ProcessExec(parts, process, {
      stdin: stdin?.socket ?? null,
      stdout: stdout.socket,
      stderr: stderr.socket,
      report: report.socket,
    })
  } catch (error) {
    for (const { socket } of opened) socket.destroy()
    throw error
  } finally {
    for (const { fd } of opened) closeSync(fd)
    await rm(directory, { recursive: true, force: true })
  }
}

interface Started {
  readonly pid: number
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>
}

/** It ends with the daemon, too: nobody could reach it afterwards. */
function spawnExec({ entry, options }: ExecParts, stdio: readonly (number | 'ignore')[]): Promise<Started> {
  const leash = ['--pdeathsig', 'KILL', '--']
  const setpriv = hostProgram('setpriv')
  if (!options.tty) {
    const [stdin = 'ignore', stdout = 'ignore', stderr = 'ignore'] = stdio
    return spawnDetached(setpriv, [...leash, ...entry.argv], {
      env: entry.env,
      stdio: [stdin, stdout, stderr],
    })
  }
  const env = { TERM, ...entry.env }
  const command = renderTerminalScript({
    argv: entry.argv,
    report: '&3',
    size: options.size,
    shell: entry.env['SHELL'],
  })
  const args = [...leash, hostProgram('script'), '-qfec', command, '/dev/null']
  return spawnDetached(setpriv, args, { env: { ...env, SHELL: '/bin/sh' }, stdio })
}

interface Pipes {
  readonly stdin: Socket | null
  readonly stdout: Socket
  readonly stderr: Socket
  readonly report: Socket
}

class ProcessExec implements RunningExec {
  readonly stdin: Socket | null
  readonly stdout: Socket | null
  readonly stderr: Socket | null
  readonly exited: Promise<number>
  readonly #pid: number
  readonly #clock: Clock
  readonly #pipes: Pipes
  readonly #terminal: Terminal | null
  #leader = 0
  #hasEnded = false
  #isClosing = false

  constructor({ options, clock }: ExecParts, started: Started, pipes: Pipes) {
    this.#pid = started.pid
    this.#clock = clock
    this.#pipes = pipes
    this.#terminal = options.tty ? new Terminal() : null
    this.stdin = options.stdin ? pipes.stdin : null
    this.stdout = options.stdout ? pipes.stdout : null
    this.stderr = options.stderr ? pipes.stderr : null
    if (!options.stdout) pipes.stdout.resume()
    if (!options.stderr) pipes.stderr.resume()
    this.#readReport(pipes.report)
    this.exited = started.exited.then(({ code, signal }) => {
      this.#hasEnded = true
      pipes.stdin?.destroy()
      pipes.report.destroy()
      return code ?? SIGNAL_BASE + signalNumber(signal)
    })
  }

  resize(size: TerminalSize): void {
    this.#terminal?.resize(size)
  }

  close(): void {
    if (this.#isClosing) return
    this.#isClosing = true
    for (const pipe of [this.#pipes.stdin, this.#pipes.stdout, this.#pipes.stderr]) pipe?.destroy()
    if (this.#hasEnded) return
    for (const group of this.#sessions) signalGroup(group, 'SIGHUP')
    const timer = this.#clock.after(HANG_UP_MS, () => this.kill())
    void this.exited.then(() => timer.cancel())
  }

  kill(): void {
    if (this.#hasEnded) return
    for (const session of this.#sessions) killSession(session)
  }

  /** With a terminal the program leads a session of its own. */
  get #sessions(): number[] {
    return this.#leader > 1 ? [this.#pid, this.#leader] : [this.#pid]
  }

  #readReport(report: Socket): void {
    let text = ''
    report.on('data', (data: Buffer) => {
      text = (text + data.toString('latin1')).slice(0, REPORT_BYTES_MAX)
      if (!text.includes('\n')) return
      const [pid = '', path = ''] = text.trim().split(' ')
      this.#leader = Number(pid) || 0
      this.#terminal?.found(path)
      report.destroy()
    })
  }
}

function signalNumber(name: string | null): number {
  return (constants.signals as Readonly<Record<string, number>>)[name ?? ''] ?? 0
}
