/**
 * The daemon's process: reads the configuration, holds the lock, runs the server until a signal or `mk8s stop`,
 * and ends with an exit code that the supervisor understands (0: stay down, anything else: start again).
 */
import { mkdirSync } from 'node:fs'
import { systemClock } from '../base/clock.ts'
import { EXIT_BUG, EXIT_OK, Mk8sError } from '../base/errors.ts'
import { createLog, type Log } from '../base/log.ts'
import { systemRandom } from '../base/random.ts'
import { readClusterInit, readNodeConfig } from '../config/config-files.ts'
import type { NodeConfig } from '../config/node-config.ts'
import { GIT_VERSION, MK8S_VERSION } from '../config/version.ts'
import { onWish } from '../host/daemon-wishes.ts'
import { acquireLock } from '../host/lock.ts'
import { boundLog } from '../host/log-bound.ts'
import { nodePaths, recordFailure, recordReady } from '../host/node-files.ts'
import { removePidFile, writePidFile } from '../host/processes.ts'
import { keepMemoryLow } from './keep-memory-low.ts'
import { waitForOwnAddress } from './own-address.ts'
import { refuseInterruptedRecovery } from './recovery/switch-over.ts'
import { finishRestore } from './restore/finish-restore.ts'
import { createServerCalls } from './restore/server-calls.ts'
import { type Server, type ServerParts, startServer } from './server.ts'
import { beginTrial } from './upgrade/trial.ts'
import { startWorkerNode } from './worker.ts'

export interface DaemonArguments {
  readonly dataDir: string
}

/** Whoever keeps the daemon running starts it again at once. */
const EXIT_RESTART = 75
/** How long the other servers are waited for, before the daemon is started again to wait on. */
const RESTORE_MS_MAX = 60_000

/** A shutdown that takes longer is cut short; what matters is on disk already. */
const SHUTDOWN_MS_MAX = 20_000

/** `--data-dir DIR` is the only argument. */
export function parseDaemonArguments(argv: readonly string[]): DaemonArguments {
  const [flag, dataDir, ...rest] = argv
  if (flag !== '--data-dir' || !dataDir || rest.length > 0) {
    throw new Mk8sError('usage', 'usage: mk8s daemon --data-dir DIR', {
      hint: 'mk8s start runs the daemon as it should be run',
    })
  }
  return { dataDir }
}

/** Runs until it is told to stop; returns the exit code. Errors are logged and left where `mk8s start` finds them. */
export async function runDaemon({ dataDir }: DaemonArguments): Promise<number> {
  const write = (line: string) => void process.stderr.write(line)
  const bootLog = createLog({ level: 'info', write, now: systemClock.now })
  try {
    const config = readNodeConfig(dataDir)
    const log = createLog({ level: config.logLevel, write, now: systemClock.now })
    return await runLocked(config, log)
  } catch (error) {
    return reportFailure(dataDir, bootLog, error)
  }
}

async function runLocked(config: NodeConfig, log: Log): Promise<number> {
  const paths = nodePaths(config.dataDir)
  mkdirSync(paths.run, { recursive: true, mode: 0o700 })
  const lock = acquireLock(paths.lock, config.dataDir)
  refuseInterruptedRecovery(config.dataDir)
  writePidFile(paths.daemonPid, process.pid)
  const logBound = boundLog(paths.log, { clock: systemClock })
  const memory = keepMemoryLow()
  try {
    const trial = await beginTrial(config.dataDir)
    if (trial.kind === 'start-again') return EXIT_RESTART
    return await runServer(await restored(config, log), log, trial.served)
  } finally {
    logBound.cancel()
    memory.cancel()
    removePidFile(paths.daemonPid)
    lock.release()
  }
}

/** A restore that was decided is finished before anything is served; the node may be of another generation then. */
async function restored(config: NodeConfig, log: Log): Promise<NodeConfig> {
  const { dataDir } = config
  const finished = await finishRestore({
    dataDir,
    calls: createServerCalls(dataDir),
    clock: systemClock,
    log: log.child({ component: 'restore' }),
    signal: new AbortController().signal,
    timeoutMs: RESTORE_MS_MAX,
  })
  return finished ? readNodeConfig(dataDir) : config
}

async function runServer(config: NodeConfig, log: Log, onServing: () => void): Promise<number> {
  const ended = Promise.withResolvers<number>()
  const interrupted = new AbortController()
  const fail = (error: unknown) => {
    ended.resolve(reportFailure(config.dataDir, log, error))
    // A start that still waits, for a leader or for the network, waits in vain.
    interrupted.abort(error)
  }
  onWish(config.dataDir, log, wish => {
    interrupted.abort()
    ended.resolve(wish === 'stop' ? EXIT_OK : EXIT_RESTART)
  })
  process.on('uncaughtException', fail)
  process.on('unhandledRejection', fail)
  log.info('starting', {
    version: MK8S_VERSION,
    kubernetes: GIT_VERSION,
    node: config.nodeName,
    pid: process.pid,
  })
  const { signal } = interrupted
  const addressed = waitForOwnAddress({ config, clock: systemClock, log, signal })
  const start = () =>
    startNode({
      config,
      clock: systemClock,
      random: systemRandom,
      log,
      signal,
      onFatal: fail,
      onStopRequested: () => {
        interrupted.abort()
        ended.resolve(EXIT_OK)
      },
      onRestart: () => {
        interrupted.abort()
        ended.resolve(EXIT_RESTART)
      },
    })
  const server = await addressed.then(start).catch(error => {
    if (interrupted.signal.aborted) return undefined
    throw error
  })
  if (server === undefined) return ended.promise
  recordReady(config.dataDir)
  onServing()
  const code = await ended.promise
  await stopInTime(server, log)
  log.info('stopped', { code })
  return code
}

function startNode(parts: Omit<ServerParts, 'clusterInit'>): Promise<Server> {
  const { config } = parts
  if (config.role === 'worker') return startWorkerNode(parts)
  return startServer({ ...parts, clusterInit: () => readClusterInit(config.dataDir) })
}

/** Waits for the server's stop, but not for ever. */
async function stopInTime(server: Server, log: Log): Promise<void> {
  const late = Promise.withResolvers<void>()
  const timer = setTimeout(() => {
    log.error('the shutdown took too long and is cut short', { limitMs: SHUTDOWN_MS_MAX })
    late.resolve()
  }, SHUTDOWN_MS_MAX)
  await Promise.race([server.stop(), late.promise])
  clearTimeout(timer)
}

function reportFailure(dataDir: string, log: Log, error: unknown): number {
  if (error instanceof Mk8sError) {
    log.error(error.message, { code: error.code, why: error.why, hint: error.hint, cause: error.cause })
    // Another daemon's directory is not ours to write into.
    if (error.code !== 'store/locked' && error.code !== 'node/not-installed') recordFailure(dataDir, error)
    // Starting again would not bring it back into its cluster.
    return error.code === 'node/removed' ? EXIT_OK : error.info.exit
  }
  log.error('a bug ends the daemon', { error })
  recordFailure(dataDir, error)
  return EXIT_BUG
}
