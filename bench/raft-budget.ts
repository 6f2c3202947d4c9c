/**
 * Where the processor time of a put goes: of each kind of thread of three members together, at 1, 16 and 128 writers in
 * the leader's process, beside what three of etcd's and the load client that they need take as a whole. Without goals; for judging a change beside the
 * version before it, because other load hardly moves these figures once the program has run for a while.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { StoreCluster } from '../test/support/store-cluster.ts'
import { type Figure, median } from './figure.ts'
import { servedOf } from './raft-puts.ts'
import { cpuSecondsOf, EtcdCluster, hasEtcd, LoadClient, type Served } from './raft-served.ts'

const MEMBERS = 3
const VALUE_BYTES = 1024
/** Until what runs often is compiled. */
const WARM_MS = 8_000
const ROUND_MS = 2_000
const WRITERS = [1, 16, 128] as const
const NANOSECONDS_PER_MICROSECOND = 1_000

/** Microseconds by what a thread is there for. */
type Times = ReadonlyMap<string, number>

export async function measureBudget(directory: string, rounds: number): Promise<Figure[]> {
  const ours = await StoreCluster.start({ size: MEMBERS, directory })
  const etcd = hasEtcd() ? await EtcdCluster.start(join(directory, 'etcd'), MEMBERS) : null
  const client = new LoadClient()
  const perPut = new Map<string, number[]>()
  const note = (figure: string, value: number) => perPut.set(figure, [...(perPut.get(figure) ?? []), value])
  try {
    const warm = { writers: 128, milliseconds: WARM_MS, valueBytes: VALUE_BYTES }
    await (await ours.leader()).load(warm)
    for (let round = 0; round < rounds; round++) {
      for (const writers of WRITERS) {
        const load = { writers, milliseconds: ROUND_MS, valueBytes: VALUE_BYTES }
        const leader = await ours.leader()
        const before = timesOf(ours.members.map(servedOf), servedOf(leader))
        const { puts } = await leader.load(load)
        const after = timesOf(ours.members.map(servedOf), servedOf(leader))
        for (const [kind, time] of after)
          note(`${kind}, ${writers} writers`, (time - (before.get(kind) ?? 0)) / puts)
        if (etcd === null) continue
        const { path } = await etcd.leader()
        const sides = { 'all of etcd': etcd.alive, "etcd's load client": [{ pid: client.pid, path }] }
        const began = Object.values(sides).map(cpuSecondsOf)
        const theirs = await client.run(path, load)
        for (const [at, [side, processes]] of Object.entries(sides).entries())
          note(
            `${side}, ${writers} writers`,
            ((cpuSecondsOf(processes) - (began[at] ?? 0)) * 1e6) / theirs.puts,
          )
      }
    }
  } finally {
    client.close()
    await ours.close()
    await etcd?.close()
  }
  return [...perPut].map(([figure, values]) => ({
    figure: `CPU per put of ${figure}`,
    us: median(values),
    peer: null,
    unit: 'µs',
    goal: Number.POSITIVE_INFINITY,
  }))
}

/** As the kernel counts it for each thread. */
function timesOf(members: readonly Served[], leader: Served): Times {
  const times = new Map<string, number>()
  for (const { pid } of members) {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const role = pid === leader.pid ? 'the leader' : 'the followers'
      const kind = kindOf(thread === String(pid) ? 'main' : read(pid, thread, 'comm').trim(), role)
      const ran = Number(read(pid, thread, 'schedstat').split(' ')[0]) / NANOSECONDS_PER_MICROSECOND
      for (const name of [kind, 'all threads']) times.set(name, (times.get(name) ?? 0) + ran)
    }
  }
  return times
}

function kindOf(name: string, role: string): string {
  if (name === 'main' || name === 'raft') return `the ${name} thread of ${role}`
  if (name === 'store') return 'the store threads'
  return name.includes('V8') ? "V8's own threads" : 'other threads'
}

/** Empty for a thread that is gone. */
function read(pid: number, thread: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'utf8')
  } catch {
    return ''
  }
}
