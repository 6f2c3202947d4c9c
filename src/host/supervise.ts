/** Keeps one daemon running, as `mk8s daemon --supervise`: where there is neither systemd nor a shell. */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { type Clock, sleepAlive, systemClock } from '../base/clock.ts'
import { Mk8sError } from '../base/errors.ts'
import { nodePaths } from './node-files.ts'
import { ownProgram } from './own-program.ts'
import { writePidFile } from './processes.ts'
import { afterDaemonEnd } from './supervising.ts'

export interface SuperviseParts {
  readonly dataDir: string
  readonly clock: Clock
  /** The program that is run as `PROGRAM daemon --data-dir DIR`. */
  readonly program: string
  /** Aborted when the daemon is to end and to stay down. */
  readonly signal: AbortSignal
}

/** What a shell says of a program that it cannot start. */
const EXIT_NOT_STARTED = 127
const SIGNAL_BASE = 128

/** Resolves when the daemon has ended for good. */
export async function supervise(parts: SuperviseParts): Promise<void> {
  const { dataDir, clock, signal } = parts
  const paths = nodePaths(dataDir)
  let failures = 0
  while (!signal.aborted) {
    const begun = clock.monotonic()
    const code = await runDaemonOnce(parts)
    const end = {
      code,
      ranMs: clock.monotonic() - begun,
      hadServed: existsSync(paths.ready),
      hasDirectory: existsSync(paths.run),
      isStopping: signal.aborted,
    }
    const verdict = afterDaemonEnd(end, failures)
    if (verdict.kind === 'end') return
    failures = verdict.failures
    noteEnd(paths, code)
    await sleepAlive(clock, verdict.pauseMs, signal).catch(() => {})
  }
}

/** A disk that is full does not keep the daemon from running. */
function openLog(path: string): number | 'inherit' {
  try {
    return openSync(path, 'a', 0o600)
  } catch {
    return 'inherit'
  }
}

function runDaemonOnce({ dataDir, program, signal }: SuperviseParts): Promise<number> {
  return new Promise(resolve => {
    const log = openLog(nodePaths(dataDir).log)
    const child = spawn(program, ['daemon', '--data-dir', dataDir], {
      stdio: ['ignore', log, log],
      windowsHide: true,
    })
    if (typeof log === 'number') closeSync(log)
    const end = () => void child.kill('SIGTERM')
    const settle = (code: number) => {
      signal.removeEventListener('abort', end)
      resolve(code)
    }
    signal.addEventListener('abort', end, { once: true })
    child.once('error', () => settle(EXIT_NOT_STARTED))
    child.once('exit', (code, name) =>
      settle(code ?? SIGNAL_BASE + (name === null ? 0 : constants.signals[name])),
    )
  })
}

/** A disk that is full does not keep the daemon from being started again. */
function noteEnd(paths: { readonly lastExit: string; readonly ready: string }, code: number): void {
  try {
    writeFileSync(paths.lastExit, `${code}\n`, { mode: 0o600 })
    rmSync(paths.ready, { force: true })
  } catch {
    // Only whoever waits for the start learns less.
  }
}

/** `mk8s daemon --supervise --data-dir DIR` as a process: ends with SIGTERM, outlives the terminal. */
export async function runSupervisor(argv: readonly string[]): Promise<number> {
  const [flag, dataDir = '', ...rest] = argv
  if (flag !== '--data-dir' || dataDir === '' || rest.length > 0) {
    throw new Mk8sError('usage', 'usage: mk8s daemon --supervise --data-dir DIR', {
      hint: 'mk8s start runs the daemon as it should be run',
    })
  }
  const stopping = new AbortController()
  // A scheduler's task does not tell whoever started it which process it became.
  writePidFile(nodePaths(dataDir).supervisorPid, process.pid)
  process.on('SIGHUP', () => {})
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => stopping.abort())
  await supervise({ dataDir, clock: systemClock, program: ownProgram(), signal: stopping.signal })
  return 0
}
