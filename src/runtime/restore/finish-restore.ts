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
  const { clock, calls, log } = parts
  const begun = clock.monotonic()
  const states = new Map<number, Leaving>()
  const left = ({ id }: ServerToTell) => states.get(id) === 'left'
  for (;;) {
    const staying = others.filter(other => !left(other))
    await Promise.all(
      staying.map(async other =>
        states.set(other.id, await tell(calls, other, newClusterId, states.get(other.id))),
      ),
    )
    const rest = others.filter(other => !left(other))
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

/** `told`: its journal is on disk; once it cannot be reached any more, its daemon has ended. */
type Leaving = 'told' | 'left' | undefined

async function tell(
  calls: ServerCalls,
  { joinAddress }: ServerToTell,
  newClusterId: string,
  before: Leaving,
): Promise<Leaving> {
  try {
    const answer = (await calls.post(joinAddress, COMMIT_PATH, { newClusterId }, ASK_MS_MAX)) as CommitAnswer
    return answer.left ? 'left' : 'told'
  } catch (error) {
    const isGone = error instanceof Mk8sError && error.code === 'api/unreachable'
    return before === 'told' && isGone ? 'left' : before
  }
}

const quorumOf = (voters: readonly number[]): number => Math.floor(voters.length / 2) + 1

const stillServing = (names: string): Mk8sError =>
  new Mk8sError('timeout', 'the other servers have not left the old generation of the cluster', {
    why: `nothing was heard of ${names}, and together they could still serve the old state`,
    hint: 'start them or make them reachable; the restore is decided, and goes on as soon as they answer',
  })
