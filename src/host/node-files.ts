/** Where the files of a running node are, and the note that a daemon leaves when it could not start. */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type ErrorCode, errorCodes, Mk8sError, messageOf } from '../base/errors.ts'
import { writeFileDurably } from './files.ts'
import { readPidFile } from './processes.ts'
import { defaultDataDir, endpointPath, system } from './system.ts'

const LOG_LINES_LOOKED_AT = 20
const LOG_LINES_SHOWN = 2

export interface NodePaths {
  readonly run: string
  readonly adminSocket: string
  readonly etcdSocket: string
  /** Where a daemon on Windows is told to stop or to start again. */
  readonly daemonPipe: string
  /** The scheduled task that Windows reads. */
  readonly taskFile: string
  /** Written by the daemon, with `writePidFile`. */
  readonly daemonPid: string
  readonly supervisorPid: string
  readonly lock: string
  readonly supervisorScript: string
  readonly failure: string
  /** Exit code of the daemon's last end, written by the supervising script. */
  readonly lastExit: string
  /** Left by a daemon that serves; taken away by who supervises it, once it has ended. */
  readonly ready: string
  readonly log: string
  readonly pki: string
  readonly kubeconfig: string
}

export function nodePaths(dataDir: string): NodePaths {
  const run = join(dataDir, 'run')
  const instance = system === 'windows' ? instanceName(dataDir) : ''
  const endpoint = (name: string) => endpointPath(system, { run, instance, name })
  return {
    run,
    adminSocket: endpoint('mk8s'),
    etcdSocket: endpoint('etcd'),
    daemonPipe: endpoint('daemon'),
    taskFile: join(run, 'task.xml'),
    daemonPid: join(run, 'daemon.pid'),
    supervisorPid: join(run, 'supervisor.pid'),
    lock: join(run, 'lock'),
    supervisorScript: join(run, 'supervise.sh'),
    failure: join(run, 'failure.json'),
    lastExit: join(run, 'last-exit'),
    ready: join(run, 'ready'),
    log: join(dataDir, 'daemon.log'),
    pki: join(dataDir, 'pki'),
    kubeconfig: join(dataDir, 'admin.kubeconfig'),
  }
}

/** A name for what belongs to this node outside its directory, so that several nodes fit on one machine. */
export function instanceName(dataDir: string): string {
  if (dataDir === defaultDataDir(system, process.env)) return 'mk8s'
  const hash = createHash('sha256').update(dataDir).digest('hex').slice(0, 8)
  return `mk8s-${basename(dataDir).replaceAll(/[^A-Za-z0-9-]/g, '-') || 'node'}-${hash}`
}

/** Leaves a note for the command that waits for this daemon. Never throws: the note is a courtesy. */
export function recordFailure(dataDir: string, error: unknown): void {
  const known = error instanceof Mk8sError ? error : undefined
  const note = { code: known?.code, message: messageOf(error), why: known?.why, hint: known?.hint }
  try {
    writeFileDurably(nodePaths(dataDir).failure, `${JSON.stringify(note)}\n`, 0o600)
  } catch {
    // The disk may be what failed; the log has the error.
  }
}

export function clearFailure(dataDir: string): void {
  const paths = nodePaths(dataDir)
  for (const path of [paths.failure, paths.lastExit]) rmSync(path, { force: true })
}

/** Says that this start succeeded. Never throws: without the marker, only the next restart is slower. */
export function recordReady(dataDir: string): void {
  try {
    clearFailure(dataDir)
    writeFileSync(nodePaths(dataDir).ready, '', { mode: 0o600 })
  } catch {
    // The disk may be full, which those who write to it will say.
  }
}

/** A daemon that serves, but whose admin socket somebody has deleted: it cannot be asked anything any more. */
export function findLostSocket(dataDir: string): Mk8sError | undefined {
  const { daemonPid, ready, adminSocket } = nodePaths(dataDir)
  const daemon = readPidFile(daemonPid)
  // A daemon that is still starting has no socket yet; the marker of an earlier one is older than its pid file.
  const [served, begun] = [modifiedMs(ready), modifiedMs(daemonPid)]
  if (daemon === undefined || served === 0 || served < begun || isThere(adminSocket)) return undefined
  return new Mk8sError('node/not-ready', `the daemon runs (process ${daemon.pid}) but cannot be asked`, {
    why: `its admin socket ${adminSocket} was deleted`,
    hint: 'mk8s stop, then mk8s start',
  })
}

/** A pipe of Windows is there as long as somebody serves it: nobody can delete it. */
const isThere = (endpoint: string): boolean => system === 'windows' || existsSync(endpoint)

const modifiedMs = (path: string): number => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0

/** Why the last start of the daemon failed, if it did. */
export function readFailure(dataDir: string): Mk8sError | undefined {
  const paths = nodePaths(dataDir)
  const note = readJson(paths.failure)
  if (note !== undefined) {
    const { code = '', message = '', why, hint } = note as Record<string, string | undefined>
    const known = Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : 'node/start-failed'
    return new Mk8sError(known, message, { why: why ?? '', hint: hint ?? `see ${paths.log}` })
  }
  const exitCode = readJson(paths.lastExit)
  if (exitCode === undefined) return undefined
  return new Mk8sError('node/start-failed', 'the daemon ended while it was starting', {
    why: [`its exit code is ${exitCode}`, ...lastWords(paths.log)].join('\n'),
    hint: `see ${paths.log}`,
  })
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

/** A line of the log without what only machines read. */
function spokenLine(line: string): string {
  try {
    const { message = line, why } = JSON.parse(line) as { message?: string; why?: string }
    return why === undefined ? message : `${message}: ${why}`
  } catch {
    return line
  }
}

/** The last lines of the log that speak of an error, else the very last ones. */
function lastWords(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').trim().split('\n').slice(-LOG_LINES_LOOKED_AT)
    const errors = lines.filter(line => /error/i.test(line) && !/^\s+at /.test(line))
    return (errors.length > 0 ? errors : lines).slice(-LOG_LINES_SHOWN).filter(Boolean).map(spokenLine)
  } catch {
    return []
  }
}
