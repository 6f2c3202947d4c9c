/** The upgrade of the node that this process runs on: its executable, its daemon, and how that is known to be healthy. */
import { readlinkSync } from 'node:fs'
import { must } from '../../base/assert.ts'
import { type Clock, sleepAlive } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import { waitUntilReady } from '../../client/lifecycle.ts'
import type { NodeStatus } from '../../client/node-status.ts'
import { MK8S_VERSION } from '../../config/version.ts'
import { isBundled } from '../../host/assets.ts'
import { clearFailure, nodePaths, readFailure } from '../../host/node-files.ts'
import { ownProgram } from '../../host/own-program.ts'
import { identifyProcess, readPidFile } from '../../host/processes.ts'
import { runProgram } from '../../host/programs.ts'
import { createService } from '../../host/service.ts'
import { FORMATS, parseFormats } from './formats.ts'
import type { Executable, NodeUpgradeParts } from './node-upgrade.ts'
import { STARTS_MAX } from './plan-upgrade.ts'
import { readUpgrade } from './upgrade-journal.ts'

export interface ThisNodeParts {
  readonly dataDir: string
  readonly clock: Clock
  /** How long the daemon may take to become healthy. */
  readonly timeoutMs: number
  readonly progress: (what: string) => void
}

const ASK_MS_MAX = 30_000
/** At least as long the version before may take to become healthy again, whatever was given for the next one. */
const BACK_MS_MIN = 180_000
/** One question for readiness; in between it is looked whether the daemon ends again and again. */
const LOOK_MS = 1_000
const PAUSE_MS = 50
/** A member that lacks more has not caught up. */
const LAG_MAX = 1_000

export function thisNode({ dataDir, clock, timeoutMs, progress }: ThisNodeParts): NodeUpgradeParts {
  const service = createService({ dataDir, clock })
  return {
    dataDir,
    program: replaceableProgram(dataDir),
    present: { version: MK8S_VERSION, formats: FORMATS },
    owner: must(identifyProcess(process.pid), 'this process runs'),
    ask: askExecutable,
    daemon: {
      isActive: () => service.isActive(),
      async restart() {
        clearFailure(dataDir)
        await service.restart()
      },
      healthy: (version, which) =>
        untilHealthy(
          { dataDir, clock },
          version,
          which === 'before' ? Math.max(timeoutMs, BACK_MS_MIN) : timeoutMs,
        ),
    },
    progress,
  }
}

/** @throws when there is no executable that could be replaced, or the daemon runs another one. */
function replaceableProgram(dataDir: string): string {
  if (!isBundled)
    throw new Mk8sError('host/unsupported', 'mk8s runs from its sources, which an upgrade does not replace', {
      hint: 'run the packaged executable',
    })
  const program = ownProgram()
  const daemon = programOf(readPidFile(nodePaths(dataDir).daemonPid)?.pid)
  if (daemon === null || daemon === program) return program
  throw new Mk8sError('refused', 'this is not the executable that the daemon runs', {
    why: `the daemon was started from ${daemon}`,
    hint: `${daemon} upgrade`,
  })
}

function programOf(pid: number | undefined): string | null {
  if (pid === undefined || process.platform !== 'linux') return null
  try {
    return readlinkSync(`/proc/${pid}/exe`)
      .replace(/ \(deleted\)$/, '')
      .replace(/\.(previous|next)$/, '')
  } catch {
    return null
  }
}

async function askExecutable(program: string): Promise<Executable> {
  const { stdout } = await runProgram(program, ['version', '--json'], { timeoutMs: ASK_MS_MAX })
  try {
    const said = JSON.parse(stdout) as { mk8s: string; formats: unknown }
    return { version: said.mk8s, formats: parseFormats(said.formats) }
  } catch (cause) {
    throw new Mk8sError('upgrade/damaged', 'the executable does not say which version it is', { cause })
  }
}

async function untilHealthy(
  parts: { readonly dataDir: string; readonly clock: Clock },
  version: string,
  timeoutMs: number,
): Promise<void> {
  const { dataDir, clock } = parts
  const deadline = clock.monotonic() + timeoutMs
  for (;;) {
    const remaining = deadline - clock.monotonic()
    try {
      const status = await waitUntilReady(parts, {
        timeoutMs: Math.min(LOOK_MS, Math.max(0, remaining)),
        failFast: false,
      })
      if (status.version === version && hasCaughtUp(status)) return
    } catch (error) {
      if (remaining <= 0 || !(error instanceof Mk8sError)) throw error
    }
    const record = readUpgrade(dataDir)
    if (record !== null && record.to === version && record.starts > STARTS_MAX)
      throw readFailure(dataDir) ?? new Mk8sError('node/start-failed', 'the daemon ends again and again')
    if (remaining <= 0) throw new Mk8sError('node/not-ready', `the daemon of mk8s ${version} does not serve`)
    await sleepAlive(clock, PAUSE_MS)
  }
}

function hasCaughtUp({ datastore, node }: NodeStatus): boolean {
  const own = datastore?.members.find(({ name }) => name === node.name)
  return own === undefined || own.lag === null || own.lag <= LAG_MAX
}
