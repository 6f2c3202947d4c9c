/** How long three members acknowledge nothing when their leader is killed or stands still under load, beside etcd. */
import { setTimeout as sleep } from 'node:timers/promises'
import { GrpcClient } from '../test/support/grpc-client.ts'
import { StoreCluster } from '../test/support/store-cluster.ts'
import { failover, timesOf } from '../test/support/store-failover.ts'
import type { StoreMember } from '../test/support/store-member.ts'
import { type Figure, median } from './figure.ts'
import { putOver } from './put-load.ts'
import { EtcdCluster, type Served } from './raft-served.ts'

const LOAD = { writers: 8, milliseconds: 1_500, valueBytes: 1024 }
/** How long the load runs before the blow. */
const WARM_MS = 300
const KILLED_MS = { median: 150, p95: 500, worst: 1_000 }
const ELECTION_MS = 300
const SILENT_MS = 500
/** The median for a silent leader, in effective election timeouts, where these are longer. */
const SILENT_TIMEOUTS = 1.7
const ATTEMPT_MS = 500

export interface Rounds {
  readonly ours: number
  /** etcd takes a second and more each time. */
  readonly etcd: number
}

export async function measureFailover(
  directory: string,
  { rounds, etcd }: { readonly rounds: Rounds; readonly etcd: boolean },
): Promise<Figure[]> {
  const ours = await StoreCluster.start({ size: 3, directory })
  try {
    const killed: number[] = []
    const silent: number[] = []
    const timeouts: number[] = []
    for (let round = 0; round < rounds.ours; round++) killed.push(await strikeOurs(ours, 'kill'))
    for (let round = 0; round < rounds.ours; round++) {
      timeouts.push((await (await ours.leader()).call('status')).timing.electionMs)
      silent.push(await strikeOurs(ours, 'freeze'))
    }
    const peers = etcd ? await strikeEtcd(`${directory}/etcd-failover`, rounds.etcd) : null
    return [...killedFigures(killed, peers), ...silentFigures(silent, timeouts, peers?.stopped ?? null)]
  } finally {
    await ours.close()
  }
}

/** The load comes from the members that survive, as it does in a cluster whose every server is written to. */
async function strikeOurs(cluster: StoreCluster, how: 'kill' | 'freeze'): Promise<number> {
  const followers = await cluster.followers()
  const loads = followers.map(member => member.load(LOAD))
  await sleep(WARM_MS)
  const { leader, milliseconds } = await failover(cluster, struck => struck[how]())
  await Promise.all(loads)
  await revive(leader, how)
  await cluster.settle()
  return milliseconds
}

async function revive(member: StoreMember, how: 'kill' | 'freeze'): Promise<void> {
  if (how === 'freeze') member.thaw()
  else await member.start()
}

interface PeerTimes {
  readonly killed: readonly number[]
  readonly stopped: readonly number[]
}

async function strikeEtcd(directory: string, rounds: number): Promise<PeerTimes> {
  const cluster = await EtcdCluster.start(directory, 3)
  const times = { killed: [] as number[], stopped: [] as number[] }
  try {
    for (let round = 0; round < rounds; round++) {
      const leader = await cluster.leader()
      times.killed.push(await untilWritten(cluster, leader, () => cluster.kill(leader)))
      await cluster.startAll()
      const next = await cluster.leader()
      times.stopped.push(await untilWritten(cluster, next, () => process.kill(next.pid, 'SIGSTOP')))
      process.kill(next.pid, 'SIGCONT')
      await cluster.startAll()
    }
  } finally {
    for (const { pid } of cluster.alive) process.kill(pid, 'SIGCONT')
    await cluster.close()
  }
  return times
}

async function untilWritten(cluster: EtcdCluster, leader: Served, strike: () => unknown): Promise<number> {
  const survivors = cluster.alive.filter(({ pid }) => pid !== leader.pid)
  const load = new AbortController()
  const loads = survivors.map(({ path }) => writeUntil(path, load.signal))
  await sleep(WARM_MS)
  const before = performance.now()
  const struck = strike()
  await Promise.any(survivors.map(({ path }) => written(path)))
  const milliseconds = performance.now() - before
  load.abort()
  await Promise.all([...loads, struck])
  return milliseconds
}

/** Tries until a put is acknowledged. */
async function written(path: string): Promise<void> {
  const client = new GrpcClient({ path })
  try {
    for (;;) if (await attempt(client)) return
  } finally {
    client.close()
  }
}

async function writeUntil(path: string, signal: AbortSignal): Promise<void> {
  const client = new GrpcClient({ path })
  const write = async () => {
    while (!signal.aborted) await attempt(client)
  }
  await Promise.all(Array.from({ length: LOAD.writers }, write))
  client.close()
}

async function attempt(client: GrpcClient): Promise<boolean> {
  const late = sleep(ATTEMPT_MS).then(() => false)
  const put = putOver(client, '/bench/failover', Buffer.alloc(LOAD.valueBytes, 'x'))
  return await Promise.race([put.then(() => true).catch(() => sleep(1).then(() => false)), late])
}

function killedFigures(killed: readonly number[], peers: PeerTimes | null): Figure[] {
  const ours = timesOf(killed)
  const theirs = peers === null ? null : timesOf(peers.killed)
  const figure = (what: 'median' | 'p95' | 'worst'): Figure => ({
    figure: `leader killed under load until a write is acknowledged, ${what} of ${killed.length}`,
    us: ours[what],
    peer: theirs?.[what] ?? null,
    unit: 'ms',
    goal: KILLED_MS[what],
  })
  return [figure('median'), figure('p95'), figure('worst')]
}

function silentFigures(
  silent: readonly number[],
  timeouts: readonly number[],
  peers: readonly number[] | null,
): Figure[] {
  const timeout = median(timeouts)
  const goal = timeout <= ELECTION_MS ? SILENT_MS : SILENT_TIMEOUTS * timeout
  return [
    {
      figure: `leader stopped under load until a write is acknowledged, median of ${silent.length} (timeout ${timeout} ms)`,
      us: median(silent),
      peer: peers === null ? null : median(peers),
      unit: 'ms',
      goal,
    },
  ]
}
