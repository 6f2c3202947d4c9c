/** Puts on three members, in the leader's process and through the leader's etcd endpoint, beside three of etcd's. */
import { join } from 'node:path'
import { StoreCluster } from '../test/support/store-cluster.ts'
import type { StoreMember } from '../test/support/store-member.ts'
import { type Figure, median } from './figure.ts'
import type { Load, Outcome } from './put-load.ts'
import { cpuSecondsOf, EtcdCluster, hasEtcd, LoadClient, type Served } from './raft-served.ts'

const MEMBERS = 3
const ROUND_MS = 2_000
const WRITERS = [1, 16, 128] as const
const VALUE_BYTES = 1024
/** A turn with so many comes first and is not reported. */
const WARM_WRITERS = 32
/** At least so many times etcd's puts, by the number of writers. */
const IN_PROCESS_RATIO: Readonly<Record<number, number>> = { 1: 1.2, 16: 3.5, 128: 3.5 }
const ENDPOINT_RATIO: Readonly<Record<number, number>> = { 1: 0.75, 16: 1, 128: 1 }

interface Measured extends Outcome {
  /** Of all members together. */
  readonly cpuMicroseconds: number
}

type Outcomes = Map<number, Measured[]>

export async function measurePuts(directory: string, rounds: number): Promise<Figure[]> {
  const client = new LoadClient()
  const ours = await StoreCluster.start({ size: MEMBERS, directory, etcd: true })
  const etcd = hasEtcd() ? await EtcdCluster.start(join(directory, 'etcd'), MEMBERS) : null
  const [inProcess, endpoint, theirs]: [Outcomes, Outcomes, Outcomes] = [new Map(), new Map(), new Map()]
  const takeTurns = async (load: Load) => {
    const leader = await ours.leader()
    const members = ours.members.map(servedOf)
    note(inProcess, load, await withCpu(members, () => leader.load(load)))
    note(endpoint, load, await withCpu(members, () => client.run(servedOf(leader).path, load)))
    if (etcd === null) return
    const { path } = await etcd.leader()
    note(theirs, load, await withCpu(etcd.alive, () => client.run(path, load)))
  }
  try {
    await takeTurns({ writers: WARM_WRITERS, milliseconds: ROUND_MS, valueBytes: VALUE_BYTES })
    for (let round = 0; round < rounds; round++) {
      for (const writers of WRITERS)
        await takeTurns({ writers, milliseconds: ROUND_MS, valueBytes: VALUE_BYTES })
    }
  } finally {
    client.close()
    await ours.close()
    await etcd?.close()
  }
  return WRITERS.flatMap(writers => [
    ...putFigures('in process', { writers, ours: inProcess, theirs, ratios: IN_PROCESS_RATIO }),
    ...putFigures('through the etcd endpoint', { writers, ours: endpoint, theirs, ratios: ENDPOINT_RATIO }),
  ])
}

export function servedOf(member: StoreMember): Served {
  return { pid: member.pid ?? 0, path: member.options.etcdSocket ?? '' }
}

function note(outcomes: Outcomes, { writers }: Load, outcome: Measured): void {
  outcomes.set(writers, [...(outcomes.get(writers) ?? []), outcome])
}

async function withCpu(members: readonly Served[], run: () => Promise<Outcome>): Promise<Measured> {
  const before = cpuSecondsOf(members)
  const outcome = await run()
  return { ...outcome, cpuMicroseconds: ((cpuSecondsOf(members) - before) * 1e6) / outcome.puts }
}

interface Compared {
  readonly writers: number
  readonly ours: Outcomes
  readonly theirs: Outcomes
  readonly ratios: Readonly<Record<number, number>>
}

/** As time per put, so that less is better, like everything else that is reported. */
function putFigures(where: string, { writers, ours, theirs, ratios }: Compared): Figure[] {
  const ratio = ratios[writers] ?? 1
  const figure = (
    what: string,
    unit: string,
    factor: number,
    pick: (outcome: Measured) => number,
  ): Figure => {
    const own = median((ours.get(writers) ?? []).map(pick))
    const peers = theirs.get(writers)
    const peer = peers === undefined ? null : median(peers.map(pick))
    const goal = peer === null ? Number.POSITIVE_INFINITY : peer / factor
    return { figure: `${what}, 3 members, ${writers} writers, ${where}`, us: own, peer, unit, goal }
  }
  return [
    figure('time per put', 'µs', ratio, ({ putsPerSecond }) => 1e6 / putsPerSecond),
    figure('p50 of a put', 'ms', 0, ({ p50Ms }) => p50Ms),
    figure('p99 of a put', 'ms', 1, ({ p99Ms }) => p99Ms),
    figure('CPU of all members per put', 'µs', 0, ({ cpuMicroseconds }) => cpuMicroseconds),
  ]
}
