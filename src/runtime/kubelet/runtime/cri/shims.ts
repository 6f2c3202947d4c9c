/**
 * The shims of a containerd, which name its socket on their command line. One whose sandbox was being made when
 * containerd was killed is unknown to the next one, which would leave it there for ever.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
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
  /** Its directory of state. */
  readonly state: string
  /** The containerd that answers there now; what it has started since is left alone. */
  readonly containerd: ProcessIdentity
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Below its state: a directory by the id of each shim that it knows. */
const BUNDLES = 'io.containerd.runtime.v2.task/k8s.io'
const TRIES = 100
const PAUSE_MS = 100

export function shimsOf(socketPath: string): Shim[] {
  return processIds().flatMap(pid => {
    const words = readOrEmpty(`/proc/${pid}/cmdline`).split('\0')
    if (!(words[0] ?? '').includes('containerd-shim') || !words.includes(socketPath)) return []
    return [{ pid, id: words[words.indexOf('-id') + 1] ?? '' }]
  })
}

/** Returns the ids of those that it has ended, with what they had begun to run. */
export async function endLostShims(parts: LostShimsParts): Promise<readonly string[]> {
  const { socketPath, containerd } = parts
  const earlier = shimsOf(socketPath).filter(({ pid }) => isEarlier(identifyProcess(pid), containerd))
  if (earlier.length === 0) return []
  await answers(parts)
  const lost = earlier.filter(({ id }) => !existsSync(join(parts.state, BUNDLES, id)))
  for (const { pid } of lost) {
    for (const each of [...childrenOf(pid), pid]) {
      const identity = identifyProcess(each)
      if (identity !== undefined) signalProcess(identity, 'SIGKILL')
    }
  }
  return lost.map(({ id }) => id)
}

const isEarlier = (process: ProcessIdentity | undefined, than: ProcessIdentity): boolean =>
  process !== undefined && Number(process.startTime) < Number(than.startTime)

/** By then it has found again what it can, and has taken away the bundles of what it cannot. */
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
