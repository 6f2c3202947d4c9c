/**
 * The scheduler and the controllers of one server with 1,000 simulated nodes, whose leases and pod statuses another
 * process writes: 10,000 pods as fast as they come and at 500 a second, a Deployment of 1,000 replicas rolled out, and
 * what the daemon uses when nothing happens. `--only pods|rollout|idle` leaves the rest out, `--pods N` takes fewer.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { installCluster, type TestCluster } from '../test/support/cluster.ts'
import { ordinaryUser } from './api-user.ts'
import { type Figure, median } from './figure.ts'
import type { SchedulingOrder, SchedulingOutcome, SchedulingUsers } from './scheduling-load.ts'

const NODES = 1_000
/** A range for each node. */
const POD_NETWORK = ['--pod-cidr', '10.64.0.0/13']
const PODS_DEFAULT = 10_000
const REPLICAS = 1_000
/** Until history has as many bytes as it may, what is written adds to it. */
const FILLING_ROLLOUTS = 14
const ROLLOUTS = 6
const PER_SECOND = 500
const P99_MS = 1_000
const IDLE_PERCENT = 0.5
const GROWTH_MIB = 32
/** With the pause before it, shorter than nodes may be silent. */
const IDLE_MS = 15_000
const IDLE_ROUNDS = 4
const SETTLE_ROUNDS = 2
const SETTLE_MS = 8_000
const CLOCK_TICK_MS = 10

const optionAt = process.argv.indexOf('--pods')
const PODS = optionAt < 0 ? PODS_DEFAULT : Number(process.argv[optionAt + 1])

const wants = (part: string): boolean => {
  const at = process.argv.indexOf('--only')
  return at < 0 || process.argv[at + 1] === part
}

type Run = (order: SchedulingOrder) => Promise<SchedulingOutcome>

export async function measure(): Promise<Figure[]> {
  const cluster = await installCluster({ args: POD_NETWORK })
  const child = fork(join(import.meta.dirname, 'scheduling-load.ts'))
  const run: Run = async order => {
    child.send(order)
    const answered = new AbortController()
    const { signal } = answered
    const ended = once(child, 'exit', { signal }).then(([code]) =>
      Promise.reject(new Error(`the load ended with ${code}`)),
    )
    try {
      const [outcome] = await Promise.race([once(child, 'message', { signal }), ended])
      return outcome as SchedulingOutcome
    } finally {
      // Neither goes on listening.
      answered.abort()
    }
  }
  try {
    // Its kubelet would run the pods.
    await cluster.kubectl.ok(['cordon', 'node-1'])
    const user = await ordinaryUser(cluster, 'load')
    const read = (name: string) => readFileSync(join(cluster.dataDir, 'pki', name), 'utf8')
    const kubelets = { ...user, cert: read('admin.crt'), key: read('admin.key') }
    child.send({ kubelets, user } satisfies SchedulingUsers)
    const empty = wants('idle') ? await idlePercent(cluster) : 0
    await run({ kind: 'nodes', count: NODES })
    const figures = wants('pods') ? await measurePods(run, cluster) : []
    if (wants('rollout')) figures.push(...(await measureRollouts(run, cluster)))
    if (wants('idle')) figures.push(...(await measureIdle(run, cluster, empty)))
    return figures
  } finally {
    child.kill()
    await cluster.remove()
  }
}

async function measurePods(run: Run, cluster: TestCluster): Promise<Figure[]> {
  const before = processorMs(cluster)
  const flood = await run({ kind: 'pods', count: PODS, perSecond: 0, prefix: 'flood' })
  const used = (processorMs(cluster) - before) / PODS
  const paced = await run({ kind: 'pods', count: PODS, perSecond: PER_SECOND, prefix: 'paced' })
  const milliseconds = { peer: null, unit: 'ms' }
  return [
    {
      figure: `${PODS} pods created and bound, per pod (${used.toFixed(2)} of the daemon's processor time)`,
      us: (flood.seconds * 1_000) / PODS,
      ...milliseconds,
      goal: 1_000 / PER_SECOND,
    },
    {
      figure: `create to bound, p99 at ${PER_SECOND} per second (p50 ${paced.p50Ms.toFixed(0)})`,
      us: paced.p99Ms,
      ...milliseconds,
      goal: P99_MS,
    },
  ]
}

async function measureRollouts(run: Run, cluster: TestCluster): Promise<Figure[]> {
  const resident: number[] = []
  const seconds: number[] = []
  for (let round = 0; round <= FILLING_ROLLOUTS + ROLLOUTS; round++) {
    const image = `registry.example/web:${round}`
    seconds.push((await run({ kind: 'deployment', replicas: REPLICAS, image })).seconds)
    if (round < FILLING_ROLLOUTS) continue
    await sleep(SETTLE_MS)
    resident.push(residentMib(cluster))
  }
  const [first = 0, ...later] = resident
  const growth = Math.max(...later) - Math.max(first, later[0] ?? 0)
  const shown = [seconds[0] ?? 0, median(seconds.slice(1))].map(each => each.toFixed(1)).join(' s, then ')
  return [
    {
      figure: `a Deployment of ${REPLICAS} replicas made and rolled out (${shown} s), memory grows over ${ROLLOUTS} once history is full`,
      us: growth,
      peer: null,
      unit: `MiB of ${first.toFixed(0)}`,
      goal: GROWTH_MIB,
    },
  ]
}

/**
 * All nodes renew their leases in one go, and are silent until the next round: what the daemon uses once that is dealt
 * with is what its controllers use by themselves, and what it used before is the heartbeats'.
 */
async function measureIdle(run: Run, cluster: TestCluster, empty: number): Promise<Figure[]> {
  const idle: number[] = []
  const beats: number[] = []
  // What the work before has left to be cleared up is not idleness.
  for (let round = 0; round < SETTLE_ROUNDS; round++) {
    await run({ kind: 'beat' })
    await sleep(SETTLE_MS + IDLE_MS)
  }
  for (let round = 0; round < IDLE_ROUNDS; round++) {
    const before = processorMs(cluster)
    await run({ kind: 'beat' })
    beats.push((processorMs(cluster) - before) / NODES)
    idle.push(await idlePercent(cluster))
  }
  const mean = idle.reduce((a, b) => a + b) / idle.length
  const each = `a heartbeat ${median(beats).toFixed(2)} ms, rounds ${idle.map(one => one.toFixed(2)).join(', ')}`
  const figure = `idle between heartbeats of ${NODES} nodes, beyond an empty daemon (${empty.toFixed(2)} %; ${each})`
  return [{ figure, us: mean - empty, peer: null, unit: '% of a core', goal: IDLE_PERCENT }]
}

const residentMib = (cluster: TestCluster): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cluster.daemonPid()}/status`, 'utf8'))?.[1]) / 1024

function processorMs(cluster: TestCluster): number {
  const fields = readFileSync(`/proc/${cluster.daemonPid()}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS
}

async function idlePercent(cluster: TestCluster): Promise<number> {
  await sleep(SETTLE_MS)
  const before = processorMs(cluster)
  await sleep(IDLE_MS)
  return ((processorMs(cluster) - before) / IDLE_MS) * 100
}
