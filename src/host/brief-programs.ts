/**
 * Programs that the daemon starts for every container: run without a copy of its page tables where the system lets
 * us (`posix-spawn.ts`), and otherwise as `programs.ts` runs them.
 */
import type { Socket } from 'node:net'
import { Mk8sError } from '../base/errors.ts'
import { findProgram } from './container-programs.ts'
import { posixSpawner, SPAWN_INPUT_BYTES_MAX, type Spawned, type SpawnOptions } from './posix-spawn.ts'
import { type ProgramResult, type ReportingOptions, runProgram, startReporting } from './programs.ts'

export interface BriefOptions {
  /** It is told to end after this time, and killed a second later; 30 s unless given. */
  readonly timeoutMs?: number
  /** Added to the daemon's own environment, or the whole of it with `cleanEnvironment`. */
  readonly env?: Readonly<Record<string, string>>
  readonly cleanEnvironment?: boolean
  readonly cwd?: string
  readonly input?: string
  /** Ends it; the reason is thrown once it has ended, or is given up. */
  readonly signal?: AbortSignal
}

const TIMEOUT_MS = 30_000
const KILL_DELAY_MS = 1_000
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const REPORT_DESCRIPTOR = 3
const REPORT_BYTES_MAX = 64 * 1024

/** Runs a program to its end, whatever its exit code. Throws `host/program-missing` when it cannot be started. */
export async function runBriefly(
  name: string,
  args: readonly string[],
  options: BriefOptions = {},
): Promise<ProgramResult> {
  const input = options.input === undefined ? undefined : Buffer.from(options.input)
  const spawner = posixSpawner()
  if (spawner === null || (input?.length ?? 0) > SPAWN_INPUT_BYTES_MAX) {
    return runProgram(name, args, { ...options, accept: 'any' })
  }
  options.signal?.throwIfAborted()
  const { cwd, timeoutMs = TIMEOUT_MS } = options
  const env = options.cleanEnvironment === true ? { ...options.env } : { ...ownEnvironment(), ...options.env }
  const spawned = start(name, { args, env, outputs: [1, 2], ...(cwd && { cwd }), ...(input && { input }) })
  const ran = await resultOf(spawned, timeoutMs, options.signal)
  options.signal?.throwIfAborted()
  return ran
}

async function resultOf(
  { outputs, exited, kill }: Spawned,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<ProgramResult> {
  let timedOut = false
  let dead: NodeJS.Timeout | undefined
  const end = () => {
    kill('SIGTERM')
    dead ??= setTimeout(() => {
      kill('SIGKILL')
      // What it started may hold them open for ever.
      for (const output of outputs) output.destroy()
    }, KILL_DELAY_MS)
  }
  const late = setTimeout(() => {
    timedOut = true
    end()
  }, timeoutMs)
  signal?.addEventListener('abort', end, { once: true })
  try {
    const texts = Promise.all(outputs.map(output => allOf(output, OUTPUT_BYTES_MAX)))
    const [exitCode, [stdout = '', stderr = '']] = await Promise.all([exited, texts])
    return { stdout, stderr, exitCode, timedOut }
  } finally {
    clearTimeout(late)
    clearTimeout(dead)
    signal?.removeEventListener('abort', end)
  }
}

/** As `startReporting`. */
export async function reportBriefly(
  name: string,
  args: readonly string[],
  options: ReportingOptions,
): Promise<string> {
  const { cwd, env, reportTo, timeoutMs } = options
  if (posixSpawner() === null) return startReporting(name, args, options)
  const spawned = start(name, {
    ...{ args, cwd, detached: true, outputs: [REPORT_DESCRIPTOR] },
    env: { ...env, [reportTo]: String(REPORT_DESCRIPTOR) },
  })
  const [report] = spawned.outputs as [Socket]
  let isLate = false
  const late = setTimeout(() => {
    isLate = true
    spawned.kill('SIGKILL')
    report.destroy()
  }, timeoutMs)
  try {
    const said = await allOf(report, REPORT_BYTES_MAX, '\n')
    if (!isLate) return said
    const why = `it said nothing within ${timeoutMs} ms`
    throw new Mk8sError('host/program-failed', `${name} cannot be started`, { why })
  } finally {
    clearTimeout(late)
    report.destroy()
  }
}

const ownEnvironment = (): Record<string, string> =>
  Object.fromEntries(Object.entries(process.env).flatMap(([name, value = '']) => [[name, value]]))

function start(name: string, options: Omit<SpawnOptions, 'path'>): Spawned {
  const path = name.includes('/') ? name : findProgram(name, options.env['PATH'])
  const spawned = path === undefined ? undefined : posixSpawner()?.spawn({ ...options, path })
  if (typeof spawned === 'object') return spawned
  throw new Mk8sError('host/program-missing', `${name} cannot be started`, {
    why: spawned === undefined ? 'it is not installed or not executable' : `system error ${spawned}`,
    hint: `Install ${name}, or put it on PATH.`,
  })
}

/** What it writes until it ends, or to the end of the line; what is beyond the bound is left out. */
function allOf(output: Socket, bytesMax: number, last?: string): Promise<string> {
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let length = 0
    const tell = () => resolve(Buffer.concat(chunks).toString())
    output.on('data', (chunk: Buffer) => {
      if (length < bytesMax) chunks.push(chunk.subarray(0, bytesMax - length))
      length += chunk.length
      if (last !== undefined && chunk.includes(last)) tell()
    })
    output.on('error', () => {})
    output.once('close', tell)
  })
}
