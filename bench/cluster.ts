/**
 * Several servers on one machine: how long a join takes, and what clients of the others notice when one is killed or
 * cut off. No peer can run here: the goals stand for themselves.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bracketed } from '../src/base/bracketed.ts'
import { startServers, type TestNode, type TestServers } from '../test/support/servers.ts'
import { StoreNetwork, whyNoNetworks } from '../test/support/store-network.ts'
import { until } from '../test/support/until.ts'
import type { LoadReport, ToLoad } from './cluster-load.ts'
import { type Figure, median } from './figure.ts'

const API_PORT = 16443
const JOIN_S = 3
const CLUSTER_S = 10
/** The longest time without an acknowledgement, for a client of a server that lives on. */
const GAP_MS = { leader: { p95: 500, worst: 1_000 }, other: { p95: 300, worst: 300 }, cut: 1_500 } as const
const PROMOTION_S = 5
const ROUNDS_DEFAULT = 5
/** How long the load runs before and after the blow. */
const WARM_MS = 500
const AFTER_MS = 2_500

interface Member {
  readonly name: string
  readonly role: string
  readonly leader: boolean
  readonly alive: boolean
}

interface Status {
  readonly ready: boolean
  readonly datastore: {
    readonly members: readonly Member[]
    readonly highAvailability: { readonly state: string }
  }
}

export async function measure(): Promise<Figure[]> {
  const at = process.argv.indexOf('--rounds')
  const rounds = at < 0 ? ROUNDS_DEFAULT : Number(process.argv[at + 1])
  return [...(await measureKills(rounds)), ...(await measureCuts(rounds))]
}

async function measureKills(rounds: number): Promise<Figure[]> {
  const begun = performance.now()
  const servers = await startServers({ count: 1 })
  try {
    const joins: number[] = []
    for (let count = 1; count < 3; count++) {
      const before = performance.now()
      await servers.join()
      joins.push((performance.now() - before) / 1_000)
    }
    const formed = (performance.now() - begun) / 1_000
    const gaps = await strike(servers, rounds, {
      blow: async node => node.powerOff(),
      heal: async node => void (await node.powerOn()),
      fork: node => startLoad(node, []),
    })
    const promotion = await measurePromotion(servers)
    return [
      {
        figure: 'mk8s join until it says so, three daemons on one machine, median',
        us: median(joins),
        peer: null,
        unit: 's',
        goal: JOIN_S,
      },
      { figure: 'three servers from nothing', us: formed, peer: null, unit: 's', goal: CLUSTER_S },
      ...gapFigures('killed', gaps),
      {
        figure: 'voter killed until a standby votes, detection included',
        us: promotion,
        peer: null,
        unit: 's',
        goal: PROMOTION_S,
      },
    ]
  } finally {
    await servers.remove()
  }
}

async function measureCuts(rounds: number): Promise<Figure[]> {
  const why = await whyNoNetworks()
  if (why !== null) {
    process.stderr.write(`cut networks are not measured: ${why}\n`)
    return []
  }
  const network = await StoreNetwork.create(3)
  try {
    const [first, ...others] = network.places
    const optionsOf = ({ address, prefix }: (typeof network.places)[number]) => ({ address, enter: prefix })
    const servers = await startServers({ count: 1, ...(first && optionsOf(first)) })
    try {
      for (const place of others) await servers.join(optionsOf(place))
      const number = (node: TestNode) => servers.nodes.indexOf(node) + 1
      const gaps = await strike(servers, rounds, {
        blow: node => network.isolate([number(node)]),
        heal: () => network.heal(),
        fork: node => startLoad(node, network.places[number(node) - 1]?.prefix ?? []),
      })
      return gapFigures('cut off', gaps)
    } finally {
      await servers.remove()
    }
  } finally {
    await network.remove()
  }
}

interface Gaps {
  readonly leader: number[]
  readonly other: number[]
  readonly faults: string[]
}

interface Means {
  readonly blow: (node: TestNode) => Promise<void>
  readonly heal: (node: TestNode) => Promise<void>
  readonly fork: (node: TestNode) => ChildProcess
}

/** Strikes each server in turn; writers and watches go through the others. */
async function strike(servers: TestServers, rounds: number, means: Means): Promise<Gaps> {
  const gaps: Gaps = { leader: [], other: [], faults: [] }
  for (let round = 0; round < rounds; round++) {
    for (const victim of servers.nodes) {
      await untilAllHold(servers.nodes)
      const isLeader = (await statusOf(victim))?.datastore.members.find(
        ({ name }) => name === victim.name,
      )?.leader
      const loads = servers.nodes.filter(node => node !== victim).map(means.fork)
      await sleep(WARM_MS)
      for (const load of loads) tell(load, 'begin')
      await means.blow(victim)
      await sleep(AFTER_MS)
      const reports = await Promise.all(loads.map(ask))
      gaps[isLeader ? 'leader' : 'other'].push(Math.max(...reports.map(({ gapMs }) => gapMs)))
      gaps.faults.push(...reports.flatMap(({ faults }) => faults))
      for (const load of loads) tell(load, 'end')
      await means.heal(victim)
    }
  }
  return gaps
}

async function untilAllHold(nodes: readonly TestNode[]): Promise<void> {
  await until('every server holds its role', async () => {
    const statuses = await Promise.all(nodes.map(statusOf))
    return statuses.every(status => status?.ready && status.datastore.highAvailability.state === 'yes')
  })
}

async function statusOf(node: TestNode): Promise<Status | null> {
  const { stdout } = await node.mk8s(['status', '--format', 'json'])
  return stdout.startsWith('{') ? (JSON.parse(stdout) as Status) : null
}

/** With a fourth server, a standby: the time from the death of a voter until that one votes. */
async function measurePromotion(servers: TestServers): Promise<number> {
  const standby = await servers.join()
  await untilAllHold(servers.nodes)
  const status = await statusOf(standby)
  const victim = servers.nodes.find(
    ({ name }) =>
      status?.datastore.members.find(member => member.name === name)?.leader === false &&
      name !== standby.name,
  )
  const before = performance.now()
  victim?.powerOff()
  await until('the standby votes', async () => {
    const now = await statusOf(standby)
    return now?.datastore.members.find(({ name }) => name === standby.name)?.role === 'voter'
  })
  return (performance.now() - before) / 1_000
}

function gapFigures(what: string, { leader, other, faults }: Gaps): Figure[] {
  for (const fault of faults.slice(0, 10)) process.stderr.write(`${fault}\n`)
  const gap = (figure: string, us: number, goal: number): Figure => ({
    figure,
    us,
    peer: null,
    unit: 'ms',
    goal,
  })
  const isCut = what === 'cut off'
  const figures = (name: string, gaps: readonly number[], goals: { p95: number; worst: number }) =>
    gaps.length === 0
      ? []
      : [
          gap(
            `longest gap in writes, ${name} ${what}, p95 of ${gaps.length}`,
            percentile(gaps, 0.95),
            goals.p95,
          ),
          gap(
            `longest gap in writes, ${name} ${what}, worst of ${gaps.length}`,
            Math.max(...gaps),
            goals.worst,
          ),
        ]
  const cut = { p95: GAP_MS.cut, worst: GAP_MS.cut }
  return [
    ...figures('leader', leader, isCut ? cut : GAP_MS.leader),
    ...figures('another server', other, isCut ? cut : GAP_MS.other),
    {
      figure: `events lost or repeated by watches, and writes lost (${what})`,
      us: faults.length,
      peer: null,
      unit: '',
      goal: 0,
    },
  ]
}

function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN
}

let loads = 0

function startLoad(node: TestNode, prefix: readonly string[]): ChildProcess {
  const program = join(import.meta.dirname, 'cluster-load.ts')
  const args = [`https://${bracketed(node.address)}:${API_PORT}`, node.dataDir, `load-${loads++}`]
  const [execPath = process.execPath, ...words] = [...prefix, process.execPath]
  if (words.length === 0) return fork(program, args)
  return fork(program, args, { execPath, execArgv: words })
}

const tell = (load: ChildProcess, message: ToLoad) => load.connected && load.send(message)

async function ask(load: ChildProcess): Promise<LoadReport> {
  const answer = once(load, 'message')
  tell(load, 'report')
  const [report] = (await answer) as [LoadReport]
  return report
}
