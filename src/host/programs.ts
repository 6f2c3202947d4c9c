/**
 * The one place that starts programs: short commands whose output is wanted, and detached processes that
 * outlive the daemon.
 */
import { spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { execa } from 'execa'
import { Mk8sError } from '../base/errors.ts'

const PROGRAM_TIMEOUT_MS = 30_000
const PROGRAM_OUTPUT_BYTES_MAX = 16 * 1024 * 1024

export interface ProgramOptions {
  /** The program is killed after this time; 30 s unless given. */
  readonly timeoutMs?: number
  readonly input?: string | Uint8Array | Readable
  readonly cwd?: string
  /** Added to the daemon's own environment, or the whole of it with `cleanEnvironment`. */
  readonly env?: Readonly<Record<string, string>>
  readonly cleanEnvironment?: boolean
  /** `any`: a non-zero exit code is returned, not thrown. */
  readonly accept?: 'zero' | 'any'
  readonly signal?: AbortSignal
}

export interface ProgramResult {
  readonly stdout: string
  readonly stderr: string
  readonly exitCode: number
  /** It ran longer than `timeoutMs`; only with `accept: 'any'`. */
  readonly timedOut: boolean
}

/**
 * Runs a program to its end. Throws `host/program-missing` when it is not installed and
 * `host/program-failed` when it fails, is killed, or takes too long.
 */
export async function runProgram(
  name: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<ProgramResult> {
  const timeout = options.timeoutMs ?? PROGRAM_TIMEOUT_MS
  const result = await execa(name, [...args], {
    reject: false,
    timeout,
    forceKillAfterDelay: 1_000,
    maxBuffer: PROGRAM_OUTPUT_BYTES_MAX,
    stripFinalNewline: false,
    extendEnv: options.cleanEnvironment !== true,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: { ...options.env } }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  })
  options.signal?.throwIfAborted()
  if (result.code === 'ENOENT' || result.code === 'EACCES') {
    throw new Mk8sError('host/program-missing', `${name} cannot be started`, {
      why: result.originalMessage ?? 'it is not installed or not executable',
      hint: `Install ${name}, or put it on PATH.`,
    })
  }
  const outcome = { stdout: result.stdout, stderr: result.stderr, timedOut: result.timedOut }
  if (result.exitCode === 0) return { ...outcome, exitCode: 0 }
  if (options.accept === 'any') return { ...outcome, exitCode: result.exitCode ?? 137 }
  throw new Mk8sError('host/program-failed', `${name} failed`, {
    why: whyFailed(result, timeout),
    fields: { exitCode: result.exitCode ?? null },
  })
}

export interface HeldProgramOptions {
  /** Handed to its standard input, which then stays open for as long as this process lives. */
  readonly line: string
  /** It is killed after this time. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** How long a held program may take to clean up when it is told to end. */
const HELD_END_MS = 5_000

/**
 * Runs a program of our own that ends as soon as its standard input does, so that it never outlives this process,
 * however that ends. Returns whatever its exit code is; when `signal` is aborted, throws once the program has ended.
 */
export async function runHeldProgram(
  name: string,
  args: readonly string[],
  { line, timeoutMs, signal }: HeldProgramOptions,
): Promise<ProgramResult> {
  const running = execa(name, [...args], {
    reject: false,
    stdin: 'pipe',
    timeout: timeoutMs,
    forceKillAfterDelay: HELD_END_MS,
    maxBuffer: PROGRAM_OUTPUT_BYTES_MAX,
    cancelSignal: signal,
  })
  // One that ends at once does not read it; its exit code tells.
  running.stdin.on('error', () => {})
  running.stdin.write(`${line}\n`)
  const { stdout, stderr, exitCode = 137, timedOut } = await running
  signal.throwIfAborted()
  return { stdout, stderr, exitCode, timedOut }
}

function whyFailed(
  result: { timedOut: boolean; exitCode?: number; signal?: string; stderr: string },
  timeout: number,
): string {
  if (result.timedOut) return `it did not finish within ${timeout} ms`
  const last = result.stderr.trim().split('\n').slice(-5).join('; ').slice(0, 1_000)
  const end = result.exitCode === undefined ? `signal ${result.signal}` : `exit code ${result.exitCode}`
  return last === '' ? end : `${end}: ${last}`
}

export interface DetachedOptions {
  readonly cwd?: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  /** Standard input, output and error, then more file descriptors; the caller closes its own copies. */
  readonly stdio: readonly (number | 'ignore')[]
}

export interface DetachedProcess {
  /** Also the id of its process group and its session. */
  readonly pid: number
  /** Resolves when it ends while this process still runs. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>
}

/** Starts a process in a session of its own, which lives on when this process ends. */
export async function spawnDetached(
  name: string,
  args: readonly string[],
  options: DetachedOptions,
): Promise<DetachedProcess> {
  const child = spawn(name, [...args], {
    detached: true,
    stdio: [...options.stdio],
    env: { ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  })
  const exited = new Promise<{ code: number | null; signal: string | null }>(resolve => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', cause => {
      const message = `${name} cannot be started`
      reject(new Mk8sError('host/program-missing', message, { why: cause.message, cause }))
    })
  })
  child.unref()
  if (child.pid === undefined) throw new Mk8sError('host/program-failed', `${name} has no process id`)
  return { pid: child.pid, exited }
}

export interface ReportingOptions {
  readonly cwd: string
  /** The whole environment. The program finds the descriptor to report to, 3, in the variable `reportTo`. */
  readonly env: Readonly<Record<string, string>>
  readonly reportTo: string
  /** It is killed when it has not reported after this time. */
  readonly timeoutMs: number
}

const REPORT_CHARACTERS_MAX = 64 * 1024
const REPORT_DESCRIPTOR = 3

/**
 * Starts a program that goes on by itself once it has said one line about its start on a descriptor of its own.
 * Returns the line, and what else it said; empty when it ended without.
 */
export async function startReporting(
  name: string,
  args: readonly string[],
  { cwd, env, reportTo, timeoutMs }: ReportingOptions,
): Promise<string> {
  const child = spawn(name, [...args], {
    cwd,
    detached: true,
    stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    env: { ...env, [reportTo]: String(REPORT_DESCRIPTOR) },
  })
  const report = child.stdio[REPORT_DESCRIPTOR] as Readable
  try {
    return await new Promise<string>((resolve, reject) => {
      let said = ''
      const fail = (why: string, cause?: unknown) =>
        reject(new Mk8sError('host/program-failed', `${name} cannot be started`, { why, cause }))
      const late = setTimeout(() => {
        child.kill('SIGKILL')
        fail(`it said nothing within ${timeoutMs} ms`)
      }, timeoutMs)
      report.setEncoding('utf8').on('data', (text: string) => {
        said = `${said}${text}`.slice(0, REPORT_CHARACTERS_MAX)
        if (said.includes('\n')) resolve(said)
      })
      report.once('close', () => resolve(said)).once('error', error => fail(error.message, error))
      child.once('error', error => fail(error.message, error))
      report.once('close', () => clearTimeout(late)).once('error', () => clearTimeout(late))
      child.once('error', () => clearTimeout(late))
    })
  } finally {
    report.destroy()
    child.unref()
  }
}

/** A program between this process and something that it cannot open itself; it ends with its input. */
export interface RelayProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  readonly exited: Promise<void>
  kill(): void
}

export async function spawnRelay(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<RelayProcess> {
  const child = spawn(name, [...args], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...env } })
  const exited = new Promise<void>(resolve => {
    child.once('close', () => resolve())
  })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', cause => {
      reject(
        new Mk8sError('host/program-missing', `${name} cannot be started`, { why: cause.message, cause }),
      )
    })
  })
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.on('error', () => {})
  const { stdin, stdout, stderr } = child
  return { stdin, stdout, stderr, exited, kill: () => void child.kill('SIGKILL') }
}
