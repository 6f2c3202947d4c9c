/** Programs inside a running container: probes and hooks, and those that a client talks to. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { Mk8sError } from '../../../../base/errors.ts'
import { runBriefly } from '../../../../host/brief-programs.ts'
import { processesIn } from '../cri/pod-cgroups.ts'
import { type RunningExec, startExec } from '../process/exec-streams.ts'
import type { ExecResult } from '../runtime.ts'
import type { StreamOptions } from '../streams.ts'
import { type OciProgram, PROGRAM_ENVIRONMENT } from './conmon.ts'
import { containerFiles } from './oci-paths.ts'
import { resolveInside } from './resolve-inside.ts'

export interface ExecTarget {
  readonly id: string
  /** The container's. */
  readonly directory: string
  readonly program: OciProgram
  /** Of the container's own program. */
  readonly init: number
  /** Of this program among others. */
  readonly name: string
  readonly clock: Clock
  /** Resolves when the container has ended. */
  readonly ended: Promise<void>
}

const KILLED = 137
/** How long one that was killed may take to go, with what it still holds open. */
const KILL_MS = 1_000
const KILL_PAUSE_MS = 50
const SETUP_MS_MAX = 30_000

export async function execSync(
  target: ExecTarget,
  command: readonly string[],
  options: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<ExecResult> {
  const { clock } = target
  await requireProgram(target, command)
  const pidFile = await pidFileOf(target)
  const [program = '', ...args] = argumentsFor(target, command, { pidFile, tty: false })
  const over = new AbortController()
  const ran = runBriefly(program, args, {
    cleanEnvironment: true,
    env: PROGRAM_ENVIRONMENT,
    timeoutMs: options.timeoutMs + SETUP_MS_MAX,
    signal: over.signal,
  })
  ran.catch(() => {})
  const waiting = new AbortController()
  const late = sleep(clock, options.timeoutMs, AbortSignal.any([waiting.signal, ...signalOf(options)])).then(
    () => 'late' as const,
    () => 'given up' as const,
  )
  try {
    const first = await Promise.race([ran, late, target.ended.then(() => 'ended' as const)])
    if (typeof first === 'object') return first
    await killProgram(pidFile)
    // What it started may hold its output open for ever.
    const timedOut = first === 'late'
    const rest = await Promise.race([ran.catch(() => null), sleep(clock, KILL_MS).then(() => null)])
    options.signal?.throwIfAborted()
    return { exitCode: KILLED, stdout: rest?.stdout ?? '', stderr: rest?.stderr ?? '', timedOut }
  } finally {
    waiting.abort()
    over.abort()
    await rm(pidFile, { force: true })
  }
}

const signalOf = ({ signal }: { readonly signal?: AbortSignal }) => (signal === undefined ? [] : [signal])

/** Rejects when the program cannot be started. */
export async function execStreams(
  target: ExecTarget,
  command: readonly string[],
  options: StreamOptions,
): Promise<RunningExec> {
  await requireProgram(target, command)
  const pidFile = await pidFileOf(target)
  const processFile = await writeProcess(target, command, { pidFile, options })
  const argv = argumentsFor(target, command, { pidFile, tty: options.tty, processFile })
  const exec = await startExec({
    entry: { argv, env: PROGRAM_ENVIRONMENT, root: '' },
    options,
    directory: `${pidFile}.streams`,
    clock: target.clock,
  })
  void exec.exited.then(async () => {
    for (const path of [pidFile, `${pidFile}.json`]) await rm(path, { force: true })
  })
  // The one that speaks to the client is not the one in the container: both have to end.
  const kill = () => void killProgram(pidFile).then(() => exec.kill())
  return {
    stdin: exec.stdin,
    stdout: exec.stdout,
    stderr: exec.stderr,
    exited: exec.exited,
    resize: size => exec.resize(size),
    kill,
    close: () => void closeExec(exec, pidFile, target.clock),
  }
}

/** A client may go before its program has begun, which is looked for again therefore. */
async function closeExec(exec: RunningExec, pidFile: string, clock: Clock): Promise<void> {
  for (const pipe of [exec.stdin, exec.stdout, exec.stderr]) pipe?.destroy()
  const ended = exec.exited.then(() => true)
  for (let waited = 0; waited < KILL_MS; waited += KILL_PAUSE_MS) {
    await killProgram(pidFile)
    if (await Promise.race([ended, sleep(clock, KILL_PAUSE_MS).then(() => false)])) return
  }
  exec.close()
}

function argumentsFor(
  { program, id }: ExecTarget,
  command: readonly string[],
  { pidFile, tty, processFile }: { pidFile: string; tty: boolean; processFile?: string | undefined },
): string[] {
  const head = [program.path, '--root', program.state, 'exec', '--pid-file', pidFile]
  if (processFile !== undefined) return [...head, '--process', processFile, id]
  return [...head, ...(tty ? ['--tty', '--env', 'TERM=xterm'] : []), id, ...command]
}

/** A terminal has its size before the program begins only if that is said here: told later, it would be none first. */
async function writeProcess(
  { directory }: ExecTarget,
  command: readonly string[],
  { pidFile, options }: { pidFile: string; options: StreamOptions },
): Promise<string | undefined> {
  const { tty, size } = options
  if (!tty || size === undefined) return undefined
  const { process: own } = await readSpec(directory)
  const env = [...own.env.filter(entry => !entry.startsWith('TERM=')), 'TERM=xterm']
  const spec = { ...own, env, args: command, terminal: true, consoleSize: size }
  await writeFile(`${pidFile}.json`, JSON.stringify(spec), { mode: 0o600 })
  return `${pidFile}.json`
}

async function pidFileOf({ directory, name }: ExecTarget): Promise<string> {
  const { execs } = containerFiles(directory)
  await mkdir(execs, { recursive: true, mode: 0o700 })
  return join(execs, name)
}

/** Its number is not given away while crun or runc waits for it. */
async function killProgram(pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
  try {
    if (pid > 1) process.kill(pid, 'SIGKILL')
  } catch {
    // It ended by itself in between.
  }
}

/** What clients of a daemon that was killed had started: nobody could reach it any more. */
export async function endExecs(directory: string, cgroup: string): Promise<void> {
  const { execs } = containerFiles(directory)
  const inside = processesIn(cgroup)
  for (const name of await readdir(execs).catch(() => [])) {
    const path = join(execs, name)
    // Of a program that has ended, the number may be another's by now.
    if (inside.includes(Number(await readFile(path, 'utf8').catch(() => '')))) await killProgram(path)
    await rm(path, { recursive: true, force: true })
  }
}

/** As runtimes say it when there is no such program in the container. */
async function requireProgram({ init, directory }: ExecTarget, command: readonly string[]): Promise<void> {
  const [program = ''] = command
  const name = JSON.stringify(program)
  const fail = (why: string) => new Mk8sError('kubelet/runtime', `failed to exec in container: ${why}`)
  if (program === '') throw fail('exec: no command')
  const root = `/proc/${init}/root`
  if (program.includes('/')) {
    if (!program.startsWith('/')) return
    if ((await resolveInside(root, program)) === null) {
      throw fail(`exec: ${name}: stat ${program}: no such file or directory`)
    }
    return
  }
  for (const place of await searchPath(directory)) {
    if ((await resolveInside(root, join(place, program))) !== null) return
  }
  throw fail(`exec: ${name}: executable file not found in $PATH`)
}

async function searchPath(directory: string): Promise<string[]> {
  const { env } = (await readSpec(directory)).process
  const path = env.find(entry => entry.startsWith('PATH='))
  return (path ?? 'PATH=/bin:/usr/bin').slice('PATH='.length).split(':')
}

/** The container's. */
async function readSpec(directory: string): Promise<{ process: { env: readonly string[] } }> {
  return JSON.parse(await readFile(containerFiles(directory).spec, 'utf8'))
}
