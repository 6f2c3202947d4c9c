/**
 * The shims of a containerd, which name its socket on their command line. One whose sandbox was being made when
 * containerd was killed has nothing to run any more, and would stay for ever.
 */
import { readdirSync } from 'node:fs'
import { type Clock, sleep } from '../../../../base/clock.ts'
import { readOrEmpty } from '../../../../host/files.ts'
import { identifyProcess, type ProcessIdentity, signalProcess } from '../../../../host/processes.ts'
import { CriClient } from './cri-client.ts'

export interface Shim {
  readonly pid: number
  /** Of its sandbox. */
  readonly id: string
}

export interface LostShimsParts {
  readonly socketPath: string
  /** The containerd that answers there now; what it has started since is left alone. */
  readonly containerd: ProcessIdentity
  readonly clock: Clock
  readonly signal: AbortSignal
}

const TRIES = 100
const PAUSE_MS = 100
/** For what containerd does by itself with what it finds. */
const SETTLE_MS = 1_000

export function shimsOf(socketPath: string): Shim[] {
  return processIds().flatMap(pid => {
    const words = readOrEmpty(`/proc/${pid}/cmdline`).split('\0')
    if (!(words[0] ?? '').includes('containerd-shim') || !words.includes(socketPath)) return []
    return [{ pid, id: words[words.indexOf('-id') + 1] ?? '' }]
  })
}

/**
 * Ends those of an earlier containerd that run nothing, and returns their ids. What ran in them has ended, and the
 * present containerd, which answers, has noted how; or nothing ever did.
 */
export async function endLostShims(parts: LostShimsParts): Promise<readonly string[]> {
  const { socketPath, containerd, clock, signal } = parts
  const found = shimsOf(socketPath).map(shim => ({ ...shim, identity: identifyProcess(shim.pid) }))
  const earlier = found.filter(({ identity }) => isEarlier(identity, containerd))
  if (earlier.length === 0) return []
  await answers(parts)
  await sleep(clock, SETTLE_MS, signal)
  const lost = earlier.filter(({ pid }) => childrenOf(pid).length === 0)
  return lost.flatMap(({ id, identity }) =>
    identity !== undefined && signalProcess(identity, 'SIGKILL') ? [id] : [],
  )
}

const isEarlier = (process: ProcessIdentity | undefined, than: ProcessIdentity): boolean =>
  process !== undefined && Number(process.startTime) < Number(than.startTime)

/** By then it has found again what there is. */
async function answers({ socketPath, clock, signal }: LostShimsParts): Promise<void> {
  const client = await CriClient.open(socketPath)
  try {
    for (let round = 1; ; round++) {
      try {
        await client.listSandboxes()
        return
      } catch (error) {
        if (round === TRIES) throw error
      }
      await sleep(clock, PAUSE_MS, signal)
    }
  } finally {
    client.close()
  }
}

/** Whose fourth field of `stat` is the process; the second one is in parentheses, and may have spaces in it. */
function childrenOf(parent: number): number[] {
  return processIds().filter(pid => {
    const text = readOrEmpty(`/proc/${pid}/stat`)
    return Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[1]) === parent
  })
}

const processIds = (): number[] =>
  readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number)
