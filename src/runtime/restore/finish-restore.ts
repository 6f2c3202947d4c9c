/**
 * Carries out a restore that was decided: the journal is on disk, and whoever finds it goes on. The new generation
 * does not begin before so many voters have left the old one that it can neither write nor answer any more.
 */
import { type Clock, sleepAlive } from '../../base/clock.ts'
import { Mk8sError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { type RestoreJournal, readJournal, type ServerToTell, switchOver } from '../recovery/switch-over.ts'
import { COMMIT_PATH, type CommitAnswer } from './protocol.ts'
import type { ServerCalls } from './server-calls.ts'

export interface FinishParts {
  readonly dataDir: string
  readonly calls: ServerCalls
  readonly clock: Clock
  readonly log: Pick<Log, 'info' | 'warn'>
  readonly signal: AbortSignal
  /** How long the others are waited for. */
  readonly timeoutMs: number
}

const ASK_MS_MAX = 5_000
const PAUSE_MS = 100
/** Who can be reached gets so long to end its daemon. */
const GRACE_MS = 15_000
/** A daemon that was told ends within this; a machine that is silent for longer is off. */
const SILENT_MS = 30_000

/** False when there was nothing to finish. After an error it can be called again. */
export async function finishRestore(parts: FinishParts): Promise<boolean> {
  const { dataDir, log } = parts
  const journal = readJournal(dataDir)
  if (journal?.restore === undefined) return false
  await untilOldCannotServe(parts, journal.newClusterId, journal.restore)
  switchOver(dataDir, journal)
  log.info('the restored state is in place', { generation: journal.newClusterId, keptIn: journal.keptIn })
  return true
}

/** Those that were said to be off count as gone. */
async function untilOldCannotServe(
  parts: FinishParts,
  newClusterId: string,
  { others, voters }: RestoreJournal,
): Promise<void> {
  const { clock, log } = parts
  const begun = clock.monotonic()
  const leaving = others.map(server => new LeavingServer(parts, server, newClusterId))
  for (;;) {
    await Promise.all(leaving.map(server => server.tell()))
    const rest = leaving.filter(({ hasLeft }) => !hasLeft).map(({ server }) => server)
    if (rest.length === 0) return
    const waitedMs = clock.monotonic() - begun
    const canServe = rest.filter(({ id }) => voters.includes(id)).length >= quorumOf(voters)
    const names = rest.map(({ nodeName }) => nodeName).join(', ')
    if (!canServe && waitedMs >= GRACE_MS) {
      log.warn('these servers follow when they can be reached', { servers: names })
      return
    }
    if (waitedMs >= parts.timeoutMs) throw stillServing(names)
    await sleepAlive(clock, PAUSE_MS, parts.signal)
  }
}

/** A server of the old generation. Once it has answered, its journal is on its disk, and its daemon ends. */
class LeavingServer {
  readonly server: ServerToTell
  hasLeft = false
  readonly #parts: FinishParts
  readonly #newClusterId: string
  #toldAt: number | null = null

  constructor(parts: FinishParts, server: ServerToTell, newClusterId: string) {
    this.server = server
    this.#parts = parts
    this.#newClusterId = newClusterId
  }

  async tell(): Promise<void> {
    if (this.hasLeft) return
    const { calls, clock } = this.#parts
    const body = { newClusterId: this.#newClusterId }
    try {
      const answer = (await calls.post(
        this.server.joinAddress,
        COMMIT_PATH,
        body,
        ASK_MS_MAX,
      )) as CommitAnswer
      this.hasLeft = answer.left
      this.#toldAt = clock.monotonic()
    } catch (error) {
      if (this.#toldAt === null) return
      // Nobody listens there any more; or nothing comes back for longer than a daemon takes to end.
      const isGone = error instanceof Mk8sError && error.code === 'api/unreachable'
      this.hasLeft = isGone || clock.monotonic() - this.#toldAt >= SILENT_MS
    }
  }
}

const quorumOf = (voters: readonly number[]): number => Math.floor(voters.length / 2) + 1

const stillServing = (names: string): Mk8sError =>
  new Mk8sError('timeout', 'the other servers have not left the old generation of the cluster', {
    why: `nothing was heard of ${names}, and together they could still serve the old state`,
    hint: 'start them or make them reachable; the restore is decided, and goes on as soon as they answer',
  })
