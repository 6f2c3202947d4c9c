/**
 * The API server beside upstream's figures for this class of machine (kube-apiserver with etcd; it cannot run
 * here): one server with controllers and scheduler, fsync on, clients in a process of their own over TLS with
 * certificates, on the same cores. CPU per request decides; times are scaled by a calibration loop in the same run.
 */
import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { apiFor } from '../test/support/api.ts'
import { installCluster, type TestCluster } from '../test/support/cluster.ts'
import { until } from '../test/support/until.ts'
import { type Endpoint, openConnection } from './api-connection.ts'
import type { Order, Outcome } from './api-load.ts'
import { ordinaryUser } from './api-user.ts'
import { type Figure, median } from './figure.ts'

const RUNS = 3
const CREATES = 3_000
const GETS = 6_000
const LISTED_PODS = 5_000
const LISTS = 9
const OBJECTS_OF_A_KIND = 15_000
const WATCHERS = 100
const WARM_WRITES = 3_000
const CLIENTS = 16
const LOAD_USER = 'load'
const OTHER_USER = 'somebody-else'
const CLOCK_TICK_US = 10_000
const LOOKS = 400
const LOOK_PAUSE_MS = 10
/** What the calibration loop takes on an idle machine of the class that the goals are meant for. */
const CALIBRATION_MS = 42
const CALIBRATION_BYTES = 16 << 20

/** `npm run bench -- api --only requests|lists|watches|memory|fairness`. */
const only = process.argv.includes('--only') ? process.argv[process.argv.indexOf('--only') + 1] : undefined
const wants = (part: string) => only === undefined || only === part

export async function measure(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [part, work] of Object.entries(parts)) {
    if (!wants(part)) continue
    const cluster = await installCluster()
    const client = new LoadClient(await ordinaryUser(cluster, LOAD_USER))
    try {
      figures.push(...(await work(cluster, client)))
    } finally {
      client.end()
      await cluster.remove()
    }
  }
  return figures
}

type Part = (cluster: TestCluster, client: LoadClient) => Promise<Figure[]>

const parts: Readonly<Record<string, Part>> = {
  requests: measureRequests,
  lists: measureLists,
  watches: measureWatches,
  memory: measureMemory,
  fairness: measureFairness,
}

/** The process that makes the load. */
class LoadClient {
  readonly #child: ChildProcess
  constructor(endpoint: Endpoint) {
    this.#child = fork(join(import.meta.dirname, 'api-load.ts'))
    this.#child.send(endpoint)
  }
  async run(order: Order): Promise<Outcome> {
    const ended = new AbortController()
    const { signal } = ended
    this.#child.send(order)
    try {
      return await Promise.race([
        once(this.#child, 'message', { signal }).then(([outcome]) => outcome as Outcome),
        once(this.#child, 'exit', { signal }).then(([code]) => {
          throw new Error(`the load client exited with ${code}`)
        }),
      ])
    } finally {
      ended.abort()
    }
  }

  end(): void {
    this.#child.kill()
  }
}

/** CPU that the daemon has used: all of it, and its main thread's; microseconds. */
function cpuOf(cluster: TestCluster): { readonly all: number; readonly main: number } {
  const pid = cluster.daemonPid()
  const used = (path: string) => {
    const fields = readFileSync(path, 'utf8').split(') ')[1]?.split(' ') ?? []
    return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_US
  }
  return { all: used(`/proc/${pid}/stat`), main: used(`/proc/${pid}/task/${pid}/stat`) }
}

const residentMib = (cluster: TestCluster): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cluster.daemonPid()}/status`, 'utf8'))?.[1]) / 1024

/** How much slower than an idle machine of its class this one is right now. */
function slowness(): number {
  const block = Buffer.alloc(CALIBRATION_BYTES, 7)
  const times = Array.from({ length: RUNS }, () => {
    const start = performance.now()
    createHash('sha1').update(block).digest()
    JSON.parse(JSON.stringify(Array.from({ length: 20_000 }, (_, n) => ({ n, name: `object-${n}` }))))
    return performance.now() - start
  })
  return median(times) / CALIBRATION_MS
}

interface Cost {
  readonly usPerRequest: number
  readonly cpuUs: number
  readonly mainUs: number
  readonly p99Ms: number
  readonly p50Ms: number
  readonly slowness: number
}

async function costOf(cluster: TestCluster, run: () => Promise<Outcome>, per = 1): Promise<Cost> {
  const slow = slowness()
  const before = cpuOf(cluster)
  const outcome = await run()
  const after = cpuOf(cluster)
  const requests = outcome.requests / per
  return {
    usPerRequest: (outcome.seconds * 1e6) / requests,
    cpuUs: (after.all - before.all) / requests,
    mainUs: (after.main - before.main) / requests,
    p50Ms: outcome.p50Ms,
    p99Ms: outcome.p99Ms,
    slowness: slow,
  }
}

async function repeated(runs: number, one: (run: number) => Promise<Cost>): Promise<Cost> {
  const costs: Cost[] = []
  for (let run = 0; run < runs; run++) costs.push(await one(run))
  const of = (pick: (cost: Cost) => number) => median(costs.map(pick))
  return {
    usPerRequest: of(cost => cost.usPerRequest),
    cpuUs: of(cost => cost.cpuUs),
    mainUs: of(cost => cost.mainUs),
    p50Ms: of(cost => cost.p50Ms),
    p99Ms: of(cost => cost.p99Ms),
    slowness: of(cost => cost.slowness),
  }
}

const NO_GOAL = Number.POSITIVE_INFINITY
const figure = (name: string, us: number, unit: string, goal: number): Figure => ({
  figure: name,
  us,
  peer: null,
  unit,
  goal,
})

interface Goals {
  /** Requests per second on an idle machine. */
  readonly rate?: number
  readonly cpuUs?: number
  readonly mainUs?: number
}

function costFigures(what: string, cost: Cost, { rate, cpuUs, mainUs }: Goals): Figure[] {
  const time = rate === undefined ? NO_GOAL : (1e6 / rate) * Math.max(1, cost.slowness)
  return [
    figure(`${what}: time each`, cost.usPerRequest, 'µs', time),
    figure(`${what}: p50`, cost.p50Ms, 'ms', NO_GOAL),
    figure(`${what}: p99`, cost.p99Ms, 'ms', NO_GOAL),
    figure(`${what}: server CPU each`, cost.cpuUs, 'µs', cpuUs ?? NO_GOAL),
    figure(`${what}: server CPU each, main thread`, cost.mainUs, 'µs', mainUs ?? NO_GOAL),
  ]
}

async function measureRequests(cluster: TestCluster, client: LoadClient): Promise<Figure[]> {
  const creates = (what: 'configmap' | 'pod', clients: number, count: number, run: number) =>
    costOf(cluster, () =>
      client.run({ kind: 'creates', what, clients, count, prefix: `${what}-${clients}-${run}` }),
    )
  const figures: Figure[] = []
  await creates('configmap', CLIENTS, CREATES, -1)
  for (const [clients, goals] of [
    [1, {}],
    [CLIENTS, { rate: 2_500, cpuUs: 500, mainUs: 350 }],
    [64, {}],
  ] as const) {
    const count = clients === 1 ? CREATES / 3 : CREATES
    const cost = await repeated(RUNS, run => creates('configmap', clients, count, run))
    figures.push(...costFigures(`create ConfigMap of 1 KiB, ${clients} clients`, cost, goals))
  }
  const pods = await repeated(RUNS, run => creates('pod', CLIENTS, CREATES / 2, run))
  figures.push(...costFigures(`create Pod, ${CLIENTS} clients`, pods, { rate: 1_400 }))
  const path = `/api/v1/namespaces/default/pods/pod-${CLIENTS}-0-0`
  const gets = await repeated(RUNS, () =>
    costOf(cluster, () => client.run({ kind: 'gets', path, clients: CLIENTS, count: GETS })),
  )
  figures.push(...costFigures(`GET one pod, ${CLIENTS} clients`, gets, { rate: 5_500, cpuUs: 200 }))
  return figures
}

async function measureLists(cluster: TestCluster, client: LoadClient): Promise<Figure[]> {
  await client.run({ kind: 'creates', what: 'pod', clients: CLIENTS, count: LISTED_PODS, prefix: 'listed' })
  const path = '/api/v1/namespaces/default/pods'
  const figures: Figure[] = []
  for (const [what, query, headers, goalMs] of [
    ['resourceVersion=0', '?resourceVersion=0', '', 80],
    ['linearizable', '', '', 90],
    ['gzip', '?resourceVersion=0', 'accept-encoding: gzip\r\n', 250],
  ] as const) {
    const order: Order = { kind: 'lists', path: path + query, headers, count: LISTS }
    const slow = slowness()
    const before = cpuOf(cluster)
    const outcome = await client.run(order)
    const cpuMs = (cpuOf(cluster).all - before.all) / 1000 / LISTS
    const name = `LIST of ${LISTED_PODS} pods, ${what}`
    const megabytes = (outcome.amount / 1e6).toFixed(1)
    figures.push(figure(`${name} (${megabytes} MB)`, outcome.p50Ms, 'ms', goalMs * Math.max(1, slow)))
    figures.push(figure(`${name}: server CPU`, cpuMs, 'ms', NO_GOAL))
  }
  return figures
}

async function measureWatches(cluster: TestCluster, client: LoadClient): Promise<Figure[]> {
  const calm: Order = { kind: 'watches', perSecond: 50, writes: 500 }
  const flatOut: Order = { kind: 'watches', perSecond: 0, writes: 1_000 }
  await client.run({ kind: 'open-watches', watchers: WATCHERS })
  // V8 compiles what it has seen a thousand times, on threads of its own: that is the start's cost, not a delivery's.
  await client.run({ ...flatOut, writes: WARM_WRITES })
  const idle = await idleCpu(cluster)
  const paced = await repeated(RUNS, () => costOf(cluster, () => client.run(calm)))
  const fast = await repeated(RUNS, () => costOf(cluster, () => client.run(flatOut)))
  const what = `${WATCHERS} watchers, 50 writes/s`
  return [
    figure(`${what}: write sent to event held, p50`, paced.p50Ms, 'ms', NO_GOAL),
    figure(`${what}: p99`, paced.p99Ms, 'ms', 10 * Math.max(1, paced.slowness)),
    figure(`${what}: server CPU per delivery`, paced.cpuUs - idle * paced.usPerRequest * 1e-6, 'µs', 30),
    figure(
      `${WATCHERS} watchers, one writer flat out: time per delivery`,
      fast.usPerRequest,
      'µs',
      40 * Math.max(1, fast.slowness),
    ),
    figure(`${WATCHERS} watchers, one writer flat out: p99`, fast.p99Ms, 'ms', NO_GOAL),
  ]
}

/** What the daemon uses when nobody asks for anything, µs per second: not the watches' doing. */
async function idleCpu(cluster: TestCluster): Promise<number> {
  const before = cpuOf(cluster)
  const start = performance.now()
  await new Promise(resolve => setTimeout(resolve, 5_000))
  return (cpuOf(cluster).all - before.all) / ((performance.now() - start) / 1000)
}

async function measureMemory(cluster: TestCluster, client: LoadClient): Promise<Figure[]> {
  for (const what of ['configmap', 'pod'] as const) {
    await client.run({
      kind: 'creates',
      what,
      clients: CLIENTS,
      count: OBJECTS_OF_A_KIND,
      prefix: `held-${what}`,
    })
  }
  await new Promise(resolve => setTimeout(resolve, 30_000))
  const held = residentMib(cluster)
  const api = apiFor(cluster.kubeconfig)
  const restarts: number[] = []
  for (let run = 0; run < RUNS; run++) {
    // A supervisor that has seen no crash yet: from the second one on it waits for a second, which is not the daemon's.
    for (const command of ['stop', 'start']) await cluster.mk8s([command])
    await cluster.ready()
    const pid = cluster.daemonPid()
    const start = performance.now()
    cluster.signalDaemon('SIGKILL')
    await until('ready again', async () => {
      try {
        return cluster.daemonPid() !== pid && (await api('/readyz')).text === 'ok'
      } catch {
        return false
      }
    })
    restarts.push((performance.now() - start) / 1000)
  }
  const what = `${OBJECTS_OF_A_KIND} ConfigMaps of 1 KiB and ${OBJECTS_OF_A_KIND} pods`
  return [
    figure(`memory (RSS) with ${what}`, held, 'MiB', 400),
    figure(`killed daemon to /readyz with ${what}`, median(restarts), 's', 1.5 * Math.max(1, slowness())),
  ]
}

/** A GET and a heartbeat (a Lease's update) of another client, while the others do as much as they can. */
async function measureFairness(cluster: TestCluster, client: LoadClient): Promise<Figure[]> {
  await client.run({ kind: 'creates', what: 'pod', clients: CLIENTS, count: LISTED_PODS, prefix: 'listed' })
  const figures: Figure[] = []
  for (const what of ['configmap', 'get', 'list'] as const) {
    const flood = new LoadClient(await ordinaryUser(cluster, LOAD_USER))
    await flood.run({ kind: 'flood', what, clients: CLIENTS })
    const { get, put } = await lookAgain(cluster)
    flood.end()
    const name = `while ${CLIENTS} clients ${{ configmap: 'create ConfigMaps', get: 'get', list: 'list 5,000 pods' }[what]} flat out`
    figures.push(figure(`${name}: a GET waits, p99`, get, 'ms', 50))
    figures.push(figure(`${name}: a heartbeat waits, p99`, put, 'ms', 50))
  }
  return figures
}

async function lookAgain(cluster: TestCluster): Promise<{ get: number; put: number }> {
  const connection = await openConnection(await ordinaryUser(cluster, OTHER_USER))
  const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
  const beat = `beat-${performance.now().toFixed()}`
  const lease = (metadata: object) =>
    JSON.stringify({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata,
      spec: {
        holderIdentity: 'a',
        leaseDurationSeconds: 40,
        renewTime: new Date().toISOString().replace('Z', '000Z'),
      },
    })
  const gets: number[] = []
  const puts: number[] = []
  const call = async (method: string, to: string, body?: string, into?: number[]) => {
    const start = performance.now()
    const { status, body: answer } = await connection.request(method, to, body)
    if (status >= 300) throw new Error(`a client beside the load was answered with ${answer}`)
    into?.push(performance.now() - start)
    return JSON.parse(answer.toString()) as { metadata: object }
  }
  let { metadata } = await call('POST', path, lease({ name: beat }))
  for (let look = 0; look < LOOKS; look++) {
    await call('GET', '/api/v1/namespaces/default', undefined, gets)
    metadata = (await call('PUT', `${path}/${beat}`, lease(metadata), puts)).metadata
    await new Promise(resolve => setTimeout(resolve, LOOK_PAUSE_MS))
  }
  connection.close()
  const p99 = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0
  return { get: p99(gets), put: p99(puts) }
}
